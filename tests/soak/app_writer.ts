/**
 * The writing half of an app of the soak.
 *
 * @module
 */

import type { Mom } from "../../mod.ts";
import { MomError } from "../../mod.ts";
import { OffsetSet } from "../../protocol/offset_set.ts";
import { pause } from "../helpers/eventually.ts";
import { paddingOf, type SoakLine } from "./app_lines.ts";
import { Pace } from "./pace.ts";

/** Publishes that may wait for their receipt. */
const WAITING_MAX = 10_000;
/** Messages of one topic in a row. */
const BURST = 50;
const TICK_MS = 5;

/** Publishes at a pace and tells of every outcome. */
export class AppWriter {
  readonly #mom: Mom;
  readonly #life: string;
  readonly #say: (line: SoakLine) => void;
  /** By topic: the next counter, and receipts that are not told yet. */
  readonly #topics: Map<string, { next: number; got: OffsetSet }>;
  #waiting = 0;
  #isWriting = false;
  #writing: Promise<void> = Promise.resolve();
  #wake = (): void => {};

  constructor(
    mom: Mom,
    options: { life: string; topics: readonly string[] },
    say: (line: SoakLine) => void,
  ) {
    this.#mom = mom;
    this.#life = options.life;
    this.#say = say;
    this.#topics = new Map(
      options.topics.map((topic) => [topic, { next: 0, got: new OffsetSet() }]),
    );
  }

  /** Writes from now on; `null`: as fast as it goes. */
  start(rate: number | null): void {
    this.#isWriting = true;
    this.#writing = this.#write(rate);
  }

  /** Resolves when nothing is written any more and all have their outcome. */
  async rest(): Promise<void> {
    this.#isWriting = false;
    await this.#writing;
    while (this.#waiting > 0) await this.#nextOutcome();
    this.#tellReceipts();
  }

  async #write(rate: number | null): Promise<void> {
    const pace = rate === null ? null : new Pace(rate, performance.now());
    const topics = [...this.#topics.keys()];
    for (let turn = 0; this.#isWriting;) {
      const room = WAITING_MAX - this.#waiting;
      const due = pace === null ? room : pace.take(performance.now());
      for (let left = Math.min(due, room); left > 0; left -= BURST) {
        this.#burst(topics[turn++ % topics.length], Math.min(left, BURST));
      }
      if (pace === null) await this.#nextOutcome();
      else await pause(TICK_MS);
      this.#tellReceipts();
    }
  }

  #burst(topic: string, count: number): void {
    const state = this.#topics.get(topic)!;
    const from = state.next;
    state.next += count;
    this.#say({ told: "tries", topic, to: state.next });
    for (let counter = from; counter < state.next; counter++) {
      void this.#publish(topic, counter, state.got);
    }
  }

  async #publish(topic: string, c: number, got: OffsetSet): Promise<void> {
    this.#waiting++;
    try {
      await this.#mom.publish(topic, { w: this.#life, c, p: paddingOf(c) });
      got.add(c, c + 1);
    } catch (error) {
      const code = error instanceof MomError ? error.code : String(error);
      this.#say({ told: "failure", topic, counter: c, code });
    }
    this.#waiting--;
    this.#wake();
  }

  #nextOutcome(): Promise<void> {
    if (this.#waiting === 0) return Promise.resolve();
    return new Promise((resolve) => this.#wake = resolve);
  }

  /** Receipts of a while together: one line for each topic. */
  #tellReceipts(): void {
    for (const [topic, state] of this.#topics) {
      const ranges = state.got.spans().flat();
      if (ranges.length === 0) continue;
      this.#say({ told: "receipts", topic, ranges });
      state.got = new OffsetSet();
    }
  }
}
