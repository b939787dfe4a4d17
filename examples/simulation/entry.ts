/**
 * What is written down about a simulation, and in which order.
 *
 * All that happens is published on one topic, each time waiting for the broker's
 * receipt before the lock is given back under which it happened. So the topic's
 * offsets are a true order, over all machines, and no clock is compared with
 * another: what follows from something has a higher offset.
 *
 * @module
 */

/** What happens in every simulation. */
export type CommonEvent =
  /** The first: all flags. */
  | { kind: "opened"; settings: Record<string, number | boolean> }
  /** A semaphore or a shared value came into being. */
  | { kind: "created"; what: ResourceKind; name: string; is: number }
  /** An actor is in its place. */
  | { kind: "ready" }
  /** A semaphore was waited for and granted. */
  | { kind: "taken"; semaphore: string; token: number }
  /** It is about to be given back. */
  | { kind: "released"; semaphore: string; token: number }
  /** A shared value was read. */
  | { kind: "reads"; value: string; is: number }
  /** A shared value was written. */
  | { kind: "writes"; value: string; is: number }
  /** An actor's process has ended. */
  | { kind: "ended"; actor: string; code: number }
  /** A coordinator was ended with SIGKILL. */
  | { kind: "killed"; program: string }
  /** It runs again. */
  | { kind: "back"; program: string }
  /** A resource was destroyed, and asking for it gives `unknown_name`. */
  | { kind: "gone"; what: ResourceKind; name: string }
  /** The last that is published. */
  | { kind: "closed" }
  /** A broker, daemon or coordinator has ended, after all of it. */
  | { kind: "program_ended"; program: string; code: number }
  /** No event at all: a line of the log that cannot be read. */
  | { kind: "unreadable" };

/** What a coordinator keeps. */
export type ResourceKind = "semaphore" | "value";

/** An event as it stands in the log. */
export type Entry<E> = E & {
  /** Its offset in the topic; `null` for what came after the broker's end. */
  offset: number | null;
  /** Milliseconds by the broker's clock. */
  time: number;
  /** Who published it: `person-3@north`. */
  user: string;
};

/** The name of who published an entry, without the machine. */
export function actorOf(entry: Entry<unknown>): string {
  return entry.user.split("@", 1)[0]!;
}

/**
 * Reads a log, a JSON object a line. A line that is none becomes an entry of the
 * kind `unreadable`, which no log may have.
 */
export function readLog<E>(text: string): Entry<E | CommonEvent>[] {
  return text.split("\n").filter((line) => line !== "")
    .map((line) => readLine<E>(line));
}

function readLine<E>(line: string): Entry<E | CommonEvent> {
  try {
    const value = JSON.parse(line);
    const { kind, user, offset } = value ?? {};
    const isEntry = typeof kind === "string" && typeof user === "string" &&
      (offset === null || Number.isSafeInteger(offset));
    if (isEntry) return value;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  return { kind: "unreadable", offset: null, time: 0, user: "" };
}
