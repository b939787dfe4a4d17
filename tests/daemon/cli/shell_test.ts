import assert from "node:assert/strict";
import { linesOf } from "../../../daemon/cli/lines.ts";
import {
  runShell,
  type ShellHandle,
  type ShellOptions,
} from "../../../daemon/cli/shell.ts";
import { MomError } from "../../../protocol/errors.ts";

/** A handle that notes what is asked of it and hands out `values`. */
function fakeHandle(values: unknown[] = []) {
  const calls: unknown[][] = [];
  const note = (...call: unknown[]) => {
    calls.push(call);
    const [, topic] = call;
    return topic === "bad topic"
      ? Promise.reject(new MomError("topic_invalid", "Cannot do:\nspace"))
      : Promise.resolve();
  };
  const handle: ShellHandle = {
    user: "ana@north",
    publish: (topic, value) => note("publish", topic, value),
    subscribe: (filter) => note("subscribe", filter),
    unsubscribe: (filter) => note("unsubscribe", filter),
    receive({ signal }) {
      if (values.length > 0) {
        return Promise.resolve({ topic: "t", value: values.shift() });
      }
      return new Promise((_, reject) =>
        signal!.addEventListener("abort", () => reject(signal!.reason))
      );
    },
  };
  return { handle, calls };
}

async function* from(...lines: string[]): AsyncGenerator<string> {
  yield* lines;
}

async function shell(
  handle: ShellHandle,
  lines: AsyncIterable<string>,
  more: Partial<ShellOptions> = {},
): Promise<{ output: string; error: string }> {
  let output = "";
  let error = "";
  await runShell(handle, {
    lines,
    writeOutput: (text) => output += text,
    writeError: (text) => error += text,
    isTerminal: false,
    hasColour: true,
    signal: new AbortController().signal,
    ...more,
  });
  return { output, error };
}

Deno.test("runShell() turns lines into calls and prints only what was received", async () => {
  const { handle, calls } = fakeHandle(["hello  world", { a: [1, null] }]);
  const { output, error } = await shell(
    handle,
    from("S t", "P t some  text", "R", "r", "U t", "E", "P t never"),
  );
  assert.equal(output, 't hello  world\nt {"a":[1,null]}\n');
  assert.equal(error, "");
  assert.deepEqual(calls, [
    ["subscribe", "t"],
    ["publish", "t", "some  text"],
    ["unsubscribe", "t"],
  ]);
});

Deno.test("runShell() prints every kind of value as JSON that is no string", async () => {
  const values = [null, undefined, 2n ** 63n, new Uint8Array([1, 255]), true, {
    big: 5n,
    bytes: new Uint8Array([2]),
  }];
  const { handle } = fakeHandle([...values]);
  const { output } = await shell(handle, from(...values.map(() => "R")));
  assert.deepEqual(output.split("\n"), [
    "t null",
    "t null",
    't "9223372036854775808"',
    't "01ff"',
    "t true",
    't {"big":"5","bytes":"02"}',
    "",
  ]);
});

Deno.test("runShell() tells failures on one line of stderr and goes on", async () => {
  const { handle, calls } = fakeHandle();
  const { output, error } = await shell(
    handle,
    from("S bad topic", "P t text"),
  );
  assert.equal(error, "error: topic_invalid Cannot do: space\n");
  assert.equal(output, "");
  assert.equal(calls.length, 2);
});

Deno.test("runShell() prints help at a bad line and goes on", async () => {
  const { handle, calls } = fakeHandle();
  const { error } = await shell(handle, from("what?", "", "S t"));
  assert.match(
    error,
    /^Not understood: there is no command "what\?"\.\nS topic/,
  );
  assert.equal(error.match(/Not understood/g)!.length, 1);
  assert.deepEqual(calls, [["subscribe", "t"]]);
});

Deno.test("runShell() has prompt, answers and colour on a terminal only", async () => {
  const { handle } = fakeHandle(["\u001b[2J\u0007"]);
  const { output } = await shell(handle, from("S t", "R"), {
    isTerminal: true,
  });
  assert.match(output, /^You are ana@north\.\nS topic/);
  assert(output.includes("\nmom> subscribed\nmom> \u001b[1mt\u001b[0m "));
  assert(output.includes("\\u001b[2J\\u0007\nmom> \n"));
  const plain = await shell(fakeHandle(["x"]).handle, from("R"), {
    isTerminal: true,
    hasColour: false,
  });
  assert(!plain.output.includes("\u001b"));
});

Deno.test("runShell() ends when told to, also while it waits for a message", async () => {
  const { handle } = fakeHandle();
  const ending = new AbortController();
  const running = shell(handle, from("R", "R"), { signal: ending.signal });
  ending.abort(new Error("SIGINT"));
  const { output, error } = await running;
  assert.equal(output + error, "");
});

Deno.test("linesOf() gives whole lines however the bytes are cut", async () => {
  const bytes = new TextEncoder().encode("eins\n\nzwölf €\r\nend");
  for (let size = 1; size <= bytes.length; size++) {
    const cut = async function* () {
      for (let at = 0; at < bytes.length; at += size) {
        yield bytes.subarray(at, at + size);
      }
    };
    const lines = await Array.fromAsync(linesOf(cut()));
    assert.deepEqual(lines, ["eins", "", "zwölf €\r", "end"]);
  }
});

Deno.test("linesOf() refuses a line that is too long", async () => {
  const endless = async function* () {
    for (let count = 0; count < 100; count++) yield new Uint8Array(10).fill(97);
  };
  await assert.rejects(
    Array.fromAsync(linesOf(endless(), 50)),
    (error: unknown) =>
      error instanceof MomError && error.code === "message_too_large",
  );
});
