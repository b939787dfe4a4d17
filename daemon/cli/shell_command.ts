/**
 * The language of the shell: one letter, in either case, and what belongs to it.
 *
 * @module
 */

/** What a line asks for. */
export type ShellCommand =
  | { kind: "subscribe"; topic: string }
  | { kind: "unsubscribe"; topic: string }
  | { kind: "publish"; topic: string; text: string }
  | { kind: "receive" }
  | { kind: "exit" }
  | { kind: "nothing" }
  | { kind: "bad"; reason: string };

/** What the shell prints when it does not understand. */
export const SHELL_HELP = `S topic        subscribe to a topic or filter
U topic        unsubscribe from it
P topic text   publish text to a topic
R              receive the next message, waiting for it
E              exit
`;

/**
 * Reads one line.
 *
 * @param line Without its end. The text to publish is all that follows the
 *   first space behind the topic, as it is.
 */
export function parseShellLine(line: string): ShellCommand {
  const text = line.endsWith("\r") ? line.slice(0, -1) : line;
  if (text.trim() === "") return { kind: "nothing" };
  const letter = text.slice(0, 1).toUpperCase();
  const rest = text.slice(1);
  switch (letter) {
    case "S":
      return withTopic(rest, (topic) => ({ kind: "subscribe", topic }));
    case "U":
      return withTopic(rest, (topic) => ({ kind: "unsubscribe", topic }));
    case "P":
      return withTopic(rest, toPublish);
    case "R":
      return alone(rest, { kind: "receive" });
    case "E":
      return alone(rest, { kind: "exit" });
    default:
      return {
        kind: "bad",
        reason: `there is no command "${firstWord(text)}"`,
      };
  }
}

function withTopic(
  rest: string,
  make: (rest: string) => ShellCommand,
): ShellCommand {
  if (rest.trim() === "") {
    return { kind: "bad", reason: "the topic is missing" };
  }
  if (!rest.startsWith(" ")) {
    return { kind: "bad", reason: "a space follows the letter" };
  }
  return make(rest.slice(1));
}

function toPublish(rest: string): ShellCommand {
  const space = rest.indexOf(" ");
  const topic = space === -1 ? rest : rest.slice(0, space);
  const text = space === -1 ? "" : rest.slice(space + 1);
  if (text === "") return { kind: "bad", reason: "the text is missing" };
  return { kind: "publish", topic, text };
}

function alone(rest: string, command: ShellCommand): ShellCommand {
  if (rest.trim() === "") return command;
  return { kind: "bad", reason: "nothing follows this letter" };
}

function firstWord(text: string): string {
  return text.trimStart().split(/\s/, 1)[0]!.slice(0, 20);
}
