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
 * - Within a life a writer's messages come in the order of publishing over all
 *   topics, too: else one is `overtaken`. Not so behind a message that the broker
 *   refused for good: what follows it to its topic has to be sent again.
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
  /** `unknown`: the process died or the wait ended before the answer. */
  outcome: AttemptOutcome;
  /** The offset in the receipt, if it told one. */
  offset?: number;
  /** When it was made, and when its receipt came, ms since 1970. */
  beganMs?: number;
  answeredMs?: number;
  /** The level of the receipt. */
  level?: "daemon" | "broker";
  /** Whether the broker refuses it for good. */
  isTooLarge?: boolean;
}

/** What a disaster explains, and nothing else is excused. */
export interface Excuse {
  /** Whether an acknowledged message may be missing at a user. */
  mayLose(attempt: Attempt, user: string): boolean;
  /** Whether what a user took may come again, marked `redelivered` or not. */
  mayRepeat(attempt: Attempt, user: string, isMarked: boolean): boolean;
  /** How often offsets began anew: each may name so many more messages. */
  histories: number;
}

/** Nothing is excused. */
export const NO_EXCUSE: Excuse = {
  mayLose: () => false,
  mayRepeat: () => false,
  histories: 0,
};

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
export function judge(
  history: History,
  excuse: Excuse = NO_EXCUSE,
): Verdict {
  const published = indexAttempts(history.attempts, excuse);
  const findings: Finding[] = [...published.findings];
  const tallies: ReaderTally[] = [];
  for (const reader of history.readers) {
    const trial = new ReaderTrial(reader, published, history.users, excuse);
    trial.run();
    findings.push(...trial.findings);
    tallies.push(trial.tally());
  }
  return { findings, tallies, attempts: countOutcomes(history.attempts) };
}

interface Published {
  byKey: Map<string, Attempt>;
  /** `topic offset` → message keys, filled from receipts and takes. */
  offsets: Places;
  /** `writer topic` → the first counter that the broker refuses for good. */
  holes: Map<string, number>;
  findings: Finding[];
}

/** The one text that names a message. */
export function messageKey(
  message: { writer: string; counter: number },
): string {
  return `${message.writer}#${message.counter}`;
}

/** Which message has which offset. */
class Places {
  readonly #keys = new Map<string, string[]>();
  readonly #histories: number;

  constructor(histories: number) {
    this.#histories = histories;
  }

  /** Notes a message's place; gives another that has it and should not. */
  take(place: string, key: string): string | null {
    const keys = this.#keys.get(place) ?? [];
    this.#keys.set(place, keys);
    if (keys.includes(key)) return null;
    keys.push(key);
    return keys.length > 1 + this.#histories ? keys[0]! : null;
  }
}

function indexAttempts(
  attempts: readonly Attempt[],
  { histories }: Excuse,
): Published {
  const byKey = new Map<string, Attempt>();
  const offsets = new Places(histories);
  const findings: Finding[] = [];
  const holes = new Map<string, number>();
  for (const attempt of attempts) {
    const key = messageKey(attempt);
    if (byKey.has(key)) throw new Error(`Notes name attempt ${key} twice`);
    byKey.set(key, attempt);
    const stream = `${attempt.writer} ${attempt.topic}`;
    if (attempt.isTooLarge && !holes.has(stream)) {
      holes.set(stream, attempt.counter);
    }
    if (attempt.offset === undefined) continue;
    const place = `${attempt.topic} ${attempt.offset}`;
    const other = offsets.take(place, key);
    if (other !== null) {
      findings.push({
        kind: "inconsistent",
        user: "*",
        detail: `receipts give ${place} to ${other} and to ${key}`,
      });
    }
  }
  return { byKey, offsets, holes, findings };
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
  readonly #excuse: Excuse;
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
    excuse: Excuse,
  ) {
    this.#reader = reader;
    this.#published = published;
    this.#users = users;
    this.#excuse = excuse;
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
    const falls = new Map<string, number>();
    for (const take of life.takes) {
      const name = nameOf(take, life);
      if (take.redelivered) this.#redelivered++;
      this.#checkExpected(take, name);
      this.#checkOffset(take, name);
      const news = this.#checkAgain(take, name, index);
      if (news === "doubled") continue;
      const stream = `${take.writer} ${take.topic}`;
      const wrong = [
        fallsBehind(counters, `${stream} of this life`, take.counter),
        this.#offsetFalls(take, offsets, falls),
        news === "first" && fallsBehind(this.#highest, stream, take.counter),
      ].filter((fall) => fall !== false);
      if (wrong.length > 0) this.#add("reordered", `${name}: ${wrong[0]}`);
      else if (!this.#isBehindHole(take)) {
        const all = `all of ${take.writer}`;
        const fall = fallsBehind(counters, all, take.counter);
        if (fall !== false) this.#add("overtaken", `${name}: ${fall}`);
      }
    }
  }

  /** Offsets rise, but where they began anew: once for each time. */
  #offsetFalls(
    { topic, offset }: Take,
    offsets: Map<string, number>,
    falls: Map<string, number>,
  ): string | false {
    const fall = fallsBehind(offsets, `offsets of ${topic}`, offset);
    if (fall === false) return false;
    const times = (falls.get(topic) ?? 0) + 1;
    falls.set(topic, times);
    if (times > this.#excuse.histories) return fall;
    offsets.set(`offsets of ${topic}`, offset);
    return false;
  }

  #isBehindHole({ writer, topic, counter }: Take): boolean {
    const hole = this.#published.holes.get(`${writer} ${topic}`);
    return hole !== undefined && hole < counter;
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
    const other = this.#published.offsets.take(place, key);
    const before = this.#offsetOf.get(key);
    const isMoved = before !== undefined && before !== take.offset;
    if (other !== null) {
      this.#add("inconsistent", `${name}: elsewhere ${place} is ${other}`);
    } else if (isMoved && this.#excuse.histories === 0) {
      this.#add("inconsistent", `${name}: came with offset ${before} before`);
    }
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
    if (this.#mayRepeat(take)) return "doubled";
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

  #mayRepeat(take: Take): boolean {
    const attempt = this.#published.byKey.get(messageKey(take));
    const { user } = this.#reader;
    return attempt !== undefined &&
      this.#excuse.mayRepeat(attempt, user, take.redelivered);
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
      if (this.#excuse.mayLose(attempt, this.#reader.user)) continue;
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
