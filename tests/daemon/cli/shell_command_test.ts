import assert from "node:assert/strict";
import {
  parseShellLine,
  type ShellCommand,
} from "../../../daemon/cli/shell_command.ts";

Deno.test("parseShellLine() reads every command in either case", () => {
  const table: [string, ShellCommand][] = [
    ["S a/b", { kind: "subscribe", topic: "a/b" }],
    ["s a/b", { kind: "subscribe", topic: "a/b" }],
    ["S a b", { kind: "subscribe", topic: "a b" }],
    ["U a", { kind: "unsubscribe", topic: "a" }],
    ["u a\r", { kind: "unsubscribe", topic: "a" }],
    ["P a hello", { kind: "publish", topic: "a", text: "hello" }],
    ["p a  two  spaces ", {
      kind: "publish",
      topic: "a",
      text: " two  spaces ",
    }],
    ["P  x", { kind: "publish", topic: "", text: "x" }],
    ["R", { kind: "receive" }],
    ["r  ", { kind: "receive" }],
    ["E", { kind: "exit" }],
    ["e\r", { kind: "exit" }],
    ["", { kind: "nothing" }],
    ["  \t\r", { kind: "nothing" }],
  ];
  for (const [line, command] of table) {
    assert.deepEqual(parseShellLine(line), command, JSON.stringify(line));
  }
});

Deno.test("parseShellLine() says what is wrong with a bad line", () => {
  const table: [string, RegExp][] = [
    ["X a", /no command "X"/],
    ["hello world", /no command "hello"/],
    [" S a", /no command "S"/],
    ["Sa", /space follows/],
    ["S", /topic is missing/],
    ["U  ", /topic is missing/],
    ["P", /topic is missing/],
    ["P a", /text is missing/],
    ["P a ", /text is missing/],
    ["R now", /nothing follows/],
    ["Exit", /nothing follows/],
  ];
  for (const [line, reason] of table) {
    const command = parseShellLine(line);
    assert(command.kind === "bad", line);
    assert.match(command.reason, reason);
  }
});
