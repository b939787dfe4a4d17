/**
 * The judge of the soak: the rules of tests/faults/judge.ts as far as they can be
 * held while millions of messages pass, in memory that does not grow with them.
 * Pure: what apps tell in, findings out.
 *
 * A writer counts its messages by topic, from 0. So it is enough to keep, by
 * writer and topic, which counters have a receipt, and by reader, writer and
 * topic, which were taken: sets that are one range each when all goes well.
 *
 * - An acknowledged message is taken by every reader whose filter takes its
 *   topic, unless it is the reader's own: else `lost`.
 * - Within a life of a reader the counters of a writer and topic rise: else
 *   `duplicated` or `reordered`. (That offsets rise, the app watches itself.)
 * - A later life takes a message again only if no earlier one had its
 *   acknowledgement confirmed (else `duplicated`), and marked (else
 *   `unflagged`).
 * - What is taken for the first time comes behind all that was taken before it,
 *   over all lives: else `reordered`.
 * - Nothing is taken that was not published, was refused, is the reader's own or
 *   on a topic that its filter does not take: else `unexpected`.
 *
 * @module
 */

import { OffsetSet } from "../../protocol/offset_set.ts";
import { filterTakes } from "../faults/filter_match.ts";
import type { Run } from "./app_lines.ts";

/** A user that reads. */
export interface LedgerReader {
  /** The user's name. */
  name: string;
  filter: string;
}

/** What a reader got, in numbers. */
export interface ReaderSum {
  name: string;
  filter: string;
  /** Distinct messages, by topic. */
  taken: Map<string, number>;
  /** Takes beyond the first, all of them allowed if there is no finding. */
  again: number;
  /** Takes that came marked. */
  redelivered: number;
}

/** Findings that are told in full. */
const FINDINGS_MAX = 40;
/** More ranges than this apart in one set: so much is missing that it is told. */
const RANGES_MAX = 1_000;

/** What a writer published to a topic. */
interface Published {
  tried: number;
  acknowledged: OffsetSet;
  refused: OffsetSet;
}

/** What a reader got of a writer and topic. */
interface Got {
  seen: OffsetSet;
  settled: OffsetSet;
  /** Behind the last one of this life. */
  next: number;
}

interface ReaderState extends LedgerReader {
  lives: number;
  again: number;
  redelivered: number;
  got: Map<string, Got>;
}

/** Keeps the books of a soak. */
export class Ledger {
  readonly #published = new Map<string, Published>();
  readonly #readers = new Map<string, ReaderState>();
  readonly #findings: string[] = [];
  #findingCount = 0;

  /** @param readers Who reads; they have subscribed before the first publish. */
  constructor(readers: readonly LedgerReader[]) {
    for (const { name, filter } of readers) {
      this.#readers.set(name, {
        name,
        filter,
        lives: 0,
        again: 0,
        redelivered: 0,
        got: new Map(),
      });
    }
  }

  /** A writer may publish counters below `to`. */
  tries(writer: string, topic: string, to: number): void {
    this.#of(writer, topic).tried = to;
  }

  /** Counters have their receipt. */
  receipts(writer: string, topic: string, ranges: readonly number[]): void {
    const { acknowledged } = this.#of(writer, topic);
    for (let at = 0; at < ranges.length; at += 2) {
      acknowledged.add(ranges[at], ranges[at + 1]);
    }
  }

  /** A publish was refused: nobody may get it. */
  refused(writer: string, topic: string, counter: number): void {
    this.#of(writer, topic).refused.add(counter, counter + 1);
  }

  /** A reader begins another life. */
  begin(reader: string): void {
    const state = this.#readers.get(reader);
    if (state === undefined) return;
    state.lives++;
    for (const got of state.got.values()) got.next = 0;
  }

  /** A reader took messages. */
  takes(reader: string, runs: readonly Run[]): void {
    const state = this.#readers.get(reader);
    if (state === undefined) return this.add(`unexpected: ${reader} reads`);
    for (const run of runs) this.#take(state, run);
  }

  /** A reader's acknowledgements were confirmed. */
  settled(reader: string, runs: readonly Run[]): void {
    const state = this.#readers.get(reader);
    for (const { writer, topic, from, to } of runs) {
      state?.got.get(streamOf(writer, topic))?.settled.add(from, to);
    }
  }

  /** Notes what must not be. */
  add(finding: string): void {
    this.#findingCount++;
    if (this.#findings.length < FINDINGS_MAX) this.#findings.push(finding);
  }

  /** Whether every reader has all that is acknowledged. */
  get isComplete(): boolean {
    return [...this.#readers.values()].every((reader) =>
      this.#missing(reader).length === 0
    );
  }

  /** How many messages have their receipt. */
  get acknowledged(): number {
    return [...this.#published.values()]
      .reduce((sum, { acknowledged }) => sum + sizeOf(acknowledged), 0);
  }

  /** By topic: how many have a receipt, and how many may be there at most. */
  bounds(): Map<string, { least: number; most: number }> {
    const bounds = new Map<string, { least: number; most: number }>();
    for (const [stream, published] of this.#published) {
      const { tried, acknowledged, refused } = published;
      const topic = topicOf(stream);
      const bound = bounds.get(topic) ?? { least: 0, most: 0 };
      bound.least += sizeOf(acknowledged);
      bound.most += tried - sizeOf(refused);
      bounds.set(topic, bound);
    }
    return bounds;
  }

  /** What each reader got. */
  sums(): ReaderSum[] {
    return [...this.#readers.values()].map((reader) => {
      const { name, filter, again, redelivered } = reader;
      const taken = new Map<string, number>();
      for (const [stream, { seen }] of reader.got) {
        const topic = topicOf(stream);
        taken.set(topic, (taken.get(topic) ?? 0) + sizeOf(seen));
      }
      return { name, filter, taken, again, redelivered };
    });
  }

  /** All findings, when everything has come to rest. Empty: every rule was kept. */
  conclude(): string[] {
    for (const reader of this.#readers.values()) {
      for (const text of this.#missing(reader)) {
        this.add(`lost: ${reader.name}: ${text}`);
      }
      for (const [stream, got] of reader.got) {
        this.#checkPublished(`${reader.name}: ${stream}`, stream, got.seen);
      }
    }
    const rest = this.#findingCount - this.#findings.length;
    const more = rest > 0 ? [`… and ${rest} more findings`] : [];
    return [...this.#findings, ...more];
  }

  #take(reader: ReaderState, run: Run): void {
    const { writer, topic, from, to } = run;
    const what = `${reader.name}: ${writer} ${topic} ${from} to ${to - 1}`;
    if (!isFor(reader, writer, topic)) {
      this.add(`unexpected: ${what}: not for it`);
    }
    const got = gotOf(reader, streamOf(writer, topic));
    if (run.redelivered) reader.redelivered += to - from;
    this.#checkOrder(got, run, what);
    this.#checkAgain(reader, got, run, what);
    got.seen.add(from, to);
    got.next = Math.max(got.next, to);
    if (got.seen.rangeCount === RANGES_MAX) {
      this.add(`lost: ${what}: ${RANGES_MAX} gaps before it`);
    }
  }

  #checkOrder(got: Got, { from }: Run, what: string): void {
    if (from < got.next) {
      const kind = got.seen.has(from) ? "duplicated" : "reordered";
      this.add(`${kind}: ${what}: comes after ${got.next - 1} in one life`);
    }
  }

  #checkAgain(reader: ReaderState, got: Got, run: Run, what: string): void {
    const { from, to } = run;
    const { seen, settled } = got;
    const again = seen.countIn(from, to);
    reader.again += again;
    if (again > 0 && reader.lives === 1) {
      this.add(`duplicated: ${what}: the only life had ${again} of them`);
    } else if (settled.countIn(from, to) > 0) {
      this.add(`duplicated: ${what}: was confirmed before`);
    } else if (again > 0 && !run.redelivered) {
      this.add(`unflagged: ${what}: an earlier life had ${again} of them`);
    }
    const [first] = seen.missing(from, to);
    if (first !== undefined && first[0] < seen.end) {
      this.add(`reordered: ${what}: ${first[0]} comes after ${seen.end - 1}`);
    }
  }

  /** What was acknowledged and is for a reader, but did not come to it. */
  #missing(reader: ReaderState): string[] {
    const missing: string[] = [];
    for (const [stream, { acknowledged }] of this.#published) {
      if (!isFor(reader, writerOf(stream), topicOf(stream))) continue;
      const seen = reader.got.get(stream)?.seen ?? new OffsetSet();
      for (const [from, to] of seen.missing(0, acknowledged.end)) {
        const count = acknowledged.countIn(from, to);
        if (count === 0) continue;
        missing.push(`${stream}: ${count} of ${from} to ${to - 1}`);
      }
    }
    return missing;
  }

  #checkPublished(what: string, stream: string, seen: OffsetSet): void {
    const published = this.#published.get(stream);
    const tried = published?.tried ?? 0;
    if (seen.end > tried) {
      this.add(`unexpected: ${what} ${seen.end - 1}: ${tried} were tried`);
    }
    for (const [from, to] of published?.refused.spans() ?? []) {
      if (seen.countIn(from, to) > 0) {
        this.add(`unexpected: ${what}: some of ${from} to ${to - 1} refused`);
      }
    }
  }

  #of(writer: string, topic: string): Published {
    const stream = streamOf(writer, topic);
    const known = this.#published.get(stream);
    if (known !== undefined) return known;
    const acknowledged = new OffsetSet();
    const made = { tried: 0, acknowledged, refused: new OffsetSet() };
    this.#published.set(stream, made);
    return made;
  }
}

function gotOf(reader: ReaderState, stream: string): Got {
  const known = reader.got.get(stream);
  if (known !== undefined) return known;
  const got = { seen: new OffsetSet(), settled: new OffsetSet(), next: 0 };
  reader.got.set(stream, got);
  return got;
}

/** A writer is called like its user with the number of its life: `ana.2`. */
function isFor(reader: LedgerReader, writer: string, topic: string): boolean {
  const isOwn = writer.startsWith(`${reader.name}.`);
  return !isOwn && filterTakes(reader.filter, topic);
}

function streamOf(writer: string, topic: string): string {
  return `${writer} ${topic}`;
}

function writerOf(stream: string): string {
  return stream.slice(0, stream.indexOf(" "));
}

function topicOf(stream: string): string {
  return stream.slice(stream.indexOf(" ") + 1);
}

function sizeOf(set: OffsetSet): number {
  return set.countIn(0, set.end);
}
