/**
 * Decides, from what writers and readers noted, whether a run kept the
 * promises. Pure: a history in, findings out.
 *
 * What it holds a named user to:
 *
 * - An acknowledged publish that one of its filters takes is taken at least once.
 * - A live handle gets nothing twice. Another life of the user gets a message
 *   again only if it was not confirmed to the life before, which must have
 *   ended without it, and then it is marked `redelivered`.
 * - Per writer and topic the messages come in the order of publishing, within
 *   a life and over all lives. Per topic the offsets rise within a life.
 * - A message does not come behind a later one of another topic, if its writer
 *   awaited each receipt: `overtaken`.
 * - Nothing comes that was never published, was refused, is the user's own or
 *   that no filter takes; a message has one offset, an offset one message.
 *
 * The notes make this exact. A writer notes an attempt before it publishes, and
 * the answer after. A reader notes a take before the acknowledgement can leave
 * its process, and a confirmation before the library hears of it. So what is
 * acknowledged was noted as taken, and what is noted as confirmed was committed,
 * whenever the process died.
 *
 * @module
 */

import { filterTakes } from "./filter_match.ts";

/** What a writer knows of a publish. */
export type AttemptOutcome = "acknowledged" | "refused" | "unknown";

/** One publish. */
export interface Attempt {
  /** The writer: one handle of one process, never used again. */
  writer: string;
  /** Numbers the writer's publishes over all topics, rising. */
  counter: number;
  topic: string;
  /** Whether the writer had the answers to all before it when it published this. */
  inTurn?: boolean;
  /** `unknown`: the process died or the wait ended before the answer. */
  outcome: AttemptOutcome;
  /** The offset in the receipt, if it told one. */
  offset?: number;
}

/** Whether a reader has to get a message, may get it, or must not. */
export type Claim = "must" | "may" | "never";

/** One message as an app received it. */
export interface Take {
  writer: string;
  counter: number;
  topic: string;
  offset: number;
  redelivered: boolean;
  /** The sender that the message names. */
  sender?: string;
}

/** One handle of a user, from connect to its end. */
export interface ReaderLife {
  /** Process and handle, for findings. */
  life: string;
  takes: readonly Take[];
  /** `[topic, from, to)`: offsets that were confirmed to this life. */
  confirmed: readonly (readonly [topic: string, from: number, to: number])[];
}

/** A named user with its lives in their order. */
export interface Reader {
  /** `name@machine`. */
  user: string;
  /** Its filters; they stood before the first attempt and stay. */
  filters: readonly string[];
  lives: readonly ReaderLife[];
  /**
   * What it has a claim to, where filters come and go.
   *
   * @default What one of its filters takes it must get, all else never.
   */
  claim?: (attempt: Attempt) => Claim;
}

/** All that was noted. */
export interface History {
  attempts: readonly Attempt[];
  readers: readonly Reader[];
  /** The user behind each writer. */
  users: ReadonlyMap<string, string>;
}

/** Every kind of finding. */
export const FINDING_KINDS = [
  "lost",
  "duplicated",
  "unflagged",
  "reordered",
  "overtaken",
  "unexpected",
  "inconsistent",
] as const;

/** A way in which a run broke a promise. */
export type FindingKind = (typeof FINDING_KINDS)[number];

/** One broken promise. */
export interface Finding {
  kind: FindingKind;
  /** Whose; `*` when it is nobody's alone. */
  user: string;
  /** Which message, how. */
  detail: string;
}

/** What a user got, in numbers. */
export interface ReaderTally {
  user: string;
  /** Distinct messages taken. */
  taken: number;
  /** Takes beyond the first of a message, allowed or not. */
  again: number;
  /** Takes that came marked. */
  redelivered: number;
  /** Distinct messages taken, per topic. */
  topics: Map<string, number>;
}

/** The outcome of a judgement. */
export interface Verdict {
  /** Empty: every promise was kept. */
  findings: Finding[];
  tallies: ReaderTally[];
  attempts: Record<AttemptOutcome, number>;
}

/** Judges a history. */
export function judge(history: History): Verdict {
  const published = indexAttempts(history.attempts);
  const findings: Finding[] = [...published.findings];
  const tallies: ReaderTally[] = [];
  for (const reader of history.readers) {
    const trial = new ReaderTrial(reader, published, history.users);
    trial.run();
    findings.push(...trial.findings);
    tallies.push(trial.tally());
  }
  return { findings, tallies, attempts: countOutcomes(history.attempts) };
}

interface Published {
  byKey: Map<string, Attempt>;
  /** `topic offset` → message key, filled from receipts and takes. */
  offsets: Map<string, string>;
  findings: Finding[];
}

/** The one text that names a message. */
export function messageKey(
  message: { writer: string; counter: number },
): string {
  return `${message.writer}#${message.counter}`;
}

function indexAttempts(attempts: readonly Attempt[]): Published {
  const byKey = new Map<string, Attempt>();
  const offsets = new Map<string, string>();
  const findings: Finding[] = [];
  for (const attempt of attempts) {
    const key = messageKey(attempt);
    if (byKey.has(key)) throw new Error(`Notes name attempt ${key} twice`);
    byKey.set(key, attempt);
    if (attempt.offset === undefined) continue;
    const place = `${attempt.topic} ${attempt.offset}`;
    const other = offsets.get(place);
    if (other !== undefined) {
      findings.push({
        kind: "inconsistent",
        user: "*",
        detail: `receipts give ${place} to ${other} and to ${key}`,
      });
    }
    offsets.set(place, key);
  }
  return { byKey, offsets, findings };
}

function countOutcomes(
  attempts: readonly Attempt[],
): Record<AttemptOutcome, number> {
  const counts = { acknowledged: 0, refused: 0, unknown: 0 };
  for (const attempt of attempts) counts[attempt.outcome]++;
  return counts;
}

/** One reader's lives, walked once from the first take to the last. */
class ReaderTrial {
  readonly findings: Finding[] = [];
  readonly #reader: Reader;
  readonly #published: Published;
  readonly #users: ReadonlyMap<string, string>;
  /** Message → index of the life that took it last. */
  readonly #takenIn = new Map<string, number>();
  readonly #offsetOf = new Map<string, number>();
  /** `writer topic` → highest counter among first takes. */
  readonly #highest = new Map<string, number>();
  readonly #perTopic = new Map<string, number>();
  #again = 0;
  #redelivered = 0;

  constructor(
    reader: Reader,
    published: Published,
    users: ReadonlyMap<string, string>,
  ) {
    this.#reader = reader;
    this.#published = published;
    this.#users = users;
  }

  run(): void {
    this.#reader.lives.forEach((life, index) => this.#walk(life, index));
    this.#findLost();
  }

  tally(): ReaderTally {
    return {
      user: this.#reader.user,
      taken: this.#takenIn.size,
      again: this.#again,
      redelivered: this.#redelivered,
      topics: this.#perTopic,
    };
  }

  #walk(life: ReaderLife, index: number): void {
    const counters = new Map<string, number>();
    const offsets = new Map<string, number>();
    for (const take of life.takes) {
      const name = nameOf(take, life);
      if (take.redelivered) this.#redelivered++;
      this.#checkExpected(take, name);
      this.#checkOffset(take, name);
      const news = this.#checkAgain(take, name, index);
      if (news === "doubled") continue;
      const stream = `${take.writer} ${take.topic}`;
      const falls = [
        fallsBehind(counters, `${stream} of this life`, take.counter),
        fallsBehind(offsets, `offsets of ${take.topic}`, take.offset),
        news === "first" && fallsBehind(this.#highest, stream, take.counter),
      ].filter((fall) => fall !== false);
      if (falls.length > 0) this.#add("reordered", `${name}: ${falls[0]}`);
      else if (this.#isInTurn(take)) {
        const all = `all of ${take.writer}`;
        const fall = fallsBehind(counters, all, take.counter);
        if (fall !== false) this.#add("overtaken", `${name}: ${fall}`);
      }
    }
  }

  /** Whether the writer published nothing before it knew what became of this. */
  #isInTurn(take: Take): boolean {
    const attempt = this.#published.byKey.get(messageKey(take));
    return attempt?.inTurn === true && attempt.outcome === "acknowledged";
  }

  #checkExpected(take: Take, name: string): void {
    const attempt = this.#published.byKey.get(messageKey(take));
    const owner = this.#users.get(take.writer);
    if (attempt === undefined) this.#add("unexpected", `${name}: no attempt`);
    else if (attempt.topic !== take.topic) {
      this.#add("unexpected", `${name}: published to ${attempt.topic}`);
    } else if (attempt.outcome === "refused") {
      this.#add("unexpected", `${name}: was refused`);
    } else if (this.#claim(attempt) === "never") {
      this.#add("unexpected", `${name}: no filter takes it`);
    } else if (owner === this.#reader.user) {
      this.#add("unexpected", `${name}: the user's own`);
    }
    if (take.sender !== undefined && owner !== take.sender) {
      this.#add("inconsistent", `${name}: sender ${take.sender}, not ${owner}`);
    }
  }

  #checkOffset(take: Take, name: string): void {
    const key = messageKey(take);
    const place = `${take.topic} ${take.offset}`;
    const other = this.#published.offsets.get(place);
    const before = this.#offsetOf.get(key);
    if (other !== undefined && other !== key) {
      this.#add("inconsistent", `${name}: elsewhere ${place} is ${other}`);
    } else if (before !== undefined && before !== take.offset) {
      this.#add("inconsistent", `${name}: came with offset ${before} before`);
    }
    this.#published.offsets.set(place, key);
    this.#offsetOf.set(key, take.offset);
  }

  #checkAgain(
    take: Take,
    name: string,
    index: number,
  ): "first" | "doubled" | "again" {
    const key = messageKey(take);
    const before = this.#takenIn.get(key);
    this.#takenIn.set(key, index);
    if (before === undefined) {
      const topics = this.#perTopic;
      topics.set(take.topic, (topics.get(take.topic) ?? 0) + 1);
      return "first";
    }
    this.#again++;
    if (before === index) {
      this.#add("duplicated", `${name}: the same life had it`);
      return "doubled";
    }
    if (this.#wasConfirmed(take, index)) {
      this.#add("duplicated", `${name}: it was confirmed before`);
    } else if (!take.redelivered) {
      this.#add("unflagged", `${name}: an earlier life had it`);
    }
    return "again";
  }

  /** Whether a life before number `index` knew that the take is settled. */
  #wasConfirmed(take: Take, index: number): boolean {
    return this.#reader.lives.slice(0, index).some(({ confirmed }) =>
      confirmed.some(([topic, from, to]) =>
        topic === take.topic && from <= take.offset && take.offset < to
      )
    );
  }

  #findLost(): void {
    for (const [key, attempt] of this.#published.byKey) {
      if (attempt.outcome !== "acknowledged" || this.#takenIn.has(key)) {
        continue;
      }
      if (this.#claim(attempt) !== "must") continue;
      if (this.#users.get(attempt.writer) === this.#reader.user) continue;
      this.#add("lost", `${key} (${attempt.topic} ${attempt.offset ?? "?"})`);
    }
  }

  #claim(attempt: Attempt): Claim {
    const { filters, claim } = this.#reader;
    if (claim !== undefined) return claim(attempt);
    return filters.some((filter) => filterTakes(filter, attempt.topic))
      ? "must"
      : "never";
  }

  #add(kind: FindingKind, detail: string): void {
    this.findings.push({ kind, user: this.#reader.user, detail });
  }
}

function nameOf(take: Take, life: ReaderLife): string {
  const mark = take.redelivered ? "marked" : "not marked";
  const place = `${take.topic} ${take.offset}`;
  return `${messageKey(take)} (${place}, ${mark}) in life ${life.life}`;
}

/** Raises the mark of `stream` to `value`; tells if `value` is not above it. */
function fallsBehind(
  marks: Map<string, number>,
  stream: string,
  value: number,
): string | false {
  const mark = marks.get(stream) ?? -1;
  if (value <= mark) return `${value} comes after ${mark} in ${stream}`;
  marks.set(stream, value);
  return false;
}
