/**
 * Notes of an app under test: one JSON object a line, written with one system
 * call each, so that what was noted before a SIGKILL is there after it.
 *
 * @module
 */

import type {
  Attempt,
  AttemptOutcome,
  History,
  Reader,
  ReaderLife,
  Take,
} from "./judge.ts";

/** One line. */
export type Note =
  /** The handle is open; first line of a life. */
  | { kind: "life"; user: string; filters: string[] }
  /** Before a publish. */
  | {
    kind: "attempt";
    writer: string;
    counter: number;
    topic: string;
    atMs?: number;
  }
  /** After its receipt. */
  | {
    kind: "receipt";
    writer: string;
    counter: number;
    level: "daemon" | "broker";
    offset?: number;
    atMs?: number;
  }
  /** After its failure. */
  | { kind: "failure"; writer: string; counter: number; code: string }
  /** A message came out of the library, before its acknowledgement leaves. */
  | { kind: "take" } & Take
  /** Offsets were confirmed, before the library hears of it. */
  | { kind: "confirmed"; topic: string; from: number; to: number }
  /** Something that must not be. */
  | { kind: "broken"; text: string };

/** The notes of one process. */
export class NoteBook implements Disposable {
  readonly #file: Deno.FsFile;
  readonly #encoder = new TextEncoder();

  /** Opens `path`, behind what is there. */
  constructor(path: string) {
    this.#file = Deno.openSync(path, { append: true, create: true });
  }

  /** Writes a note; it outlives the process from the return on. */
  write(note: Note): void {
    const bytes = this.#encoder.encode(`${JSON.stringify(note)}\n`);
    const written = this.#file.writeSync(bytes);
    if (written !== bytes.length) throw new Error("A note was cut");
  }

  [Symbol.dispose](): void {
    this.#file.close();
  }
}

/** All notes of one life. */
export interface LifeNotes {
  life: string;
  notes: Note[];
}

/** Reads a file of notes; a last line without its end was never written. */
export async function readNotes(path: string): Promise<Note[]> {
  const lines = (await Deno.readTextFile(path)).split("\n");
  return lines.slice(0, -1).map((line) => JSON.parse(line) as Note);
}

/**
 * What a failed publish may have become. `daemon_unavailable` says that nothing
 * left the process, the codes of refusals that nobody took it.
 */
export function outcomeOf(code: string): AttemptOutcome {
  return REFUSALS.includes(code) ? "refused" : "unknown";
}

const REFUSALS: readonly string[] = [
  "daemon_unavailable",
  "outbox_full",
  "storage_full",
  "message_too_large",
  "topic_invalid",
];

/**
 * Puts a history together.
 *
 * @param lives Of each user in their order.
 */
export function toHistory(lives: readonly LifeNotes[]): History {
  const attempts = new Map<string, Attempt>();
  const readers = new Map<string, Reader & { lives: ReaderLife[] }>();
  const users = new Map<string, string>();
  for (const { life, notes } of lives) {
    const opening = notes[0];
    // Killed before it was connected: it has no story.
    if (opening?.kind !== "life") continue;
    const { user, filters } = opening;
    collectAttempts(notes, attempts, (writer) => users.set(writer, user));
    if (filters.length === 0) continue;
    const reader = readers.get(user) ?? { user, filters, lives: [] };
    reader.lives.push(toReaderLife(life, notes));
    readers.set(user, reader);
  }
  return {
    attempts: [...attempts.values()],
    readers: [...readers.values()],
    users,
  };
}

/** Texts of all that must not be. */
export function brokenNotes(lives: readonly LifeNotes[]): string[] {
  return lives.flatMap(({ life, notes }) =>
    notes.filter((note) => note.kind === "broken")
      .map((note) => `${life}: ${note.text}`)
  );
}

function collectAttempts(
  notes: readonly Note[],
  attempts: Map<string, Attempt>,
  onWriter: (writer: string) => void,
): void {
  for (const note of notes) {
    if (!("writer" in note) || note.kind === "take") continue;
    const { writer, counter } = note;
    const key = `${writer}#${counter}`;
    if (note.kind === "attempt") {
      const { topic, atMs } = note;
      attempts.set(key, {
        writer,
        counter,
        topic,
        beganMs: atMs,
        outcome: "unknown",
      });
      onWriter(writer);
      continue;
    }
    const attempt = attempts.get(key);
    if (attempt === undefined) throw new Error(`No attempt before ${key}`);
    if (note.kind === "failure") attempt.outcome = outcomeOf(note.code);
    else {
      attempt.outcome = "acknowledged";
      attempt.level = note.level;
      attempt.answeredMs = note.atMs;
      if (note.offset !== undefined) attempt.offset = note.offset;
    }
  }
}

function toReaderLife(life: string, notes: readonly Note[]): ReaderLife {
  const takes: Take[] = [];
  const confirmed: [string, number, number][] = [];
  for (const note of notes) {
    if (note.kind === "take") takes.push(note);
    if (note.kind === "confirmed") {
      confirmed.push([note.topic, note.from, note.to]);
    }
  }
  return { life, takes, confirmed };
}
