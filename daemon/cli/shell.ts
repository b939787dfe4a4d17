/**
 * The shell: lines in, calls to the library, what comes of them out.
 *
 * @module
 */

import { toErrorLine } from "../../program/exit.ts";
import {
  parseShellLine,
  SHELL_HELP,
  type ShellCommand,
} from "./shell_command.ts";

/** What the shell needs of a `Mom`. */
export interface ShellHandle {
  /** Who publishes and receives, `name@machine`. */
  readonly user: string;
  /** Publishes a text. */
  publish(topic: string, value: unknown): Promise<unknown>;
  /** Subscribes to a topic or filter. */
  subscribe(filter: string): Promise<unknown>;
  /** Ends a subscription. */
  unsubscribe(filter: string): Promise<void>;
  /** Waits for the next message. */
  receive(
    options: { signal?: AbortSignal },
  ): Promise<{ topic: string; value: unknown } | null>;
}

/** Where the shell reads and writes. */
export interface ShellOptions {
  /** What is typed, line by line. */
  lines: AsyncIterable<string>;
  /** Takes what was received. */
  writeOutput(text: string): void;
  /** Takes failures and help. */
  writeError(text: string): void;
  /** Whether a person is at the other end: prompt, answers and colour. */
  isTerminal: boolean;
  /** Whether there may be colour on a terminal. */
  hasColour: boolean;
  /** Ends the shell, also in the middle of waiting for a message. */
  signal: AbortSignal;
}

const PROMPT = "mom> ";
const BOLD = "\u001b[1m";
const RED = "\u001b[31m";
const PLAIN = "\u001b[0m";

/** Runs the shell until `E`, the end of its input, or the signal. */
export async function runShell(
  handle: ShellHandle,
  options: ShellOptions,
): Promise<void> {
  const { signal, isTerminal, writeOutput } = options;
  const prompt = () => isTerminal && writeOutput(PROMPT);
  if (isTerminal) writeOutput(`You are ${handle.user}.\n${SHELL_HELP}`);
  prompt();
  for await (const line of options.lines) {
    const command = parseShellLine(line);
    if (command.kind === "exit" || signal.aborted) return;
    await execute(command, handle, options);
    if (signal.aborted) return;
    prompt();
  }
  if (isTerminal) writeOutput("\n");
}

async function execute(
  command: ShellCommand,
  handle: ShellHandle,
  options: ShellOptions,
): Promise<void> {
  try {
    const answer = await answerTo(command, handle, options);
    if (answer !== null && options.isTerminal) {
      options.writeOutput(`${answer}\n`);
    }
  } catch (error) {
    if (options.signal.aborted) return;
    options.writeError(paint(toErrorLine(error), RED, options));
  }
}

/** Does what was asked; what it returns is told to people only. */
async function answerTo(
  command: ShellCommand,
  handle: ShellHandle,
  options: ShellOptions,
): Promise<string | null> {
  switch (command.kind) {
    case "subscribe":
      await handle.subscribe(command.topic);
      return "subscribed";
    case "unsubscribe":
      await handle.unsubscribe(command.topic);
      return "unsubscribed";
    case "publish":
      await handle.publish(command.topic, command.text);
      return "published";
    case "receive": {
      const message = await handle.receive({ signal: options.signal });
      if (message !== null) options.writeOutput(toLine(message, options));
      return null;
    }
    case "bad":
      options.writeError(
        paint(`Not understood: ${command.reason}.\n`, RED, options) +
          SHELL_HELP,
      );
      return null;
    case "exit":
    case "nothing":
      return null;
    default:
      return command satisfies never;
  }
}

function toLine(
  { topic, value }: { topic: string; value: unknown },
  options: ShellOptions,
): string {
  const text = typeof value === "string" ? value : toJson(value);
  // What others wrote must not steer a person's terminal.
  const shown = options.isTerminal ? hideControls(text) : text;
  return `${paint(topic, BOLD, options)} ${shown}\n`;
}

/** JSON of any value of a message; bytes in hex, large integers as digits. */
function toJson(value: unknown): string {
  const plain = (_name: string, inner: unknown): unknown => {
    if (typeof inner === "bigint") return String(inner);
    return inner instanceof Uint8Array ? inner.toHex() : inner;
  };
  return JSON.stringify(value, plain) ?? "null";
}

function hideControls(text: string): string {
  return text.replace(
    /[\p{Cc}]/gu,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

function paint(text: string, colour: string, options: ShellOptions): string {
  if (!options.isTerminal || !options.hasColour) return text;
  return `${colour}${text}${PLAIN}`;
}
