/**
 * Retention: what stays for late starts, how long a subscription may hold messages
 * back, and what goes when the store outgrows its share of the disk.
 *
 * @module
 */

import { RESULTS } from "./counts.ts";
import { dropBelow } from "./dropping.ts";
import { DAY_MS } from "./producers.ts";
import type { State } from "./state.ts";
import { LAST_PUBLISH_STEP_MS, type Topic } from "./topics.ts";

const HOUR_MS = 60 * 60 * 1000;
const MIB = 1024 * 1024;

/** What is kept and for how long. */
export interface RetentionLimits {
  /** A topic keeps messages for late starts for so long, ms. @default 24 hours. */
  readonly keepMs: number;
  /** … and so many bytes of them. @default 64 MiB. */
  readonly keepBytes: number;
  /** A subscription holds messages back for so long, ms. @default 7 days. */
  readonly holdMs: number;
  /** … and so many bytes of them. @default 4 GiB. */
  readonly holdBytes: number;
  /**
   * What all messages together may take, in bytes: above it goes first what
   * nobody waits for, then the oldest backlog. @default Half of the disk.
   */
  readonly storeBytes: number;
  /** Backlog younger than this does not go for `storeBytes`: publishers wait instead. @default 1 hour. */
  readonly storeHoldMs: number;
  /** A topic without anything is forgotten after so long, ms. @default 24 hours. */
  readonly forgetMs: number;
  /** A producer that is not heard of is forgotten after so many days. @default 90. */
  readonly producerDays: number;
}

/** What holds unless told otherwise; the share of the disk is to be measured. */
export const RETENTION_LIMITS: RetentionLimits = {
  keepMs: 24 * HOUR_MS,
  keepBytes: 64 * MIB,
  holdMs: 7 * 24 * HOUR_MS,
  holdBytes: 4096 * MIB,
  storeBytes: Infinity,
  storeHoldMs: HOUR_MS,
  forgetMs: 24 * HOUR_MS,
  producerDays: 90,
};

/** Topics looked at in one go, beside those published to lately. */
const TOPICS_PER_TICK = 1_000;
/** What is left at each tick on a full disk, of what nobody waits for. */
const FULL_DISK_STEP = 0.75;
/** Nothing younger than this goes to make room, ms. */
const YOUNGEST_MS = 1_000;

/** Trims logs and forgets topics. */
export class Retention {
  readonly #state: State;
  readonly #limits: RetentionLimits;
  #round: Iterator<Topic> | null = null;

  constructor(state: State, limits: RetentionLimits) {
    this.#state = state;
    this.#limits = limits;
  }

  /** Looks at some topics; all have their turn in time. */
  tick(): void {
    for (const topic of this.#state.topics.takeLately()) this.#look(topic);
    for (let n = 0; n < TOPICS_PER_TICK; n++) {
      this.#round ??= this.#state.topics.all();
      const next = this.#round.next();
      if (next.done === true) {
        this.#round = null;
        break;
      }
      this.#look(next.value);
    }
    this.#keepShare();
    this.#state.commits.finish();
  }

  /** Forgets producers that were silent for long; `isPresent` keeps one. */
  forgetProducers(isPresent: (id: string) => boolean): void {
    this.#state.producers.forgetSilent(
      this.#state.store.timeline.stampOfAge(
        this.#limits.producerDays * DAY_MS,
      ),
      (producer) => isPresent(producer.id.toHex()),
    );
    this.#state.commits.finish();
  }

  #look(topic: Topic): void {
    if (topic.isGone) return;
    const { store } = this.#state;
    const { keepBytes, keepMs, holdBytes, holdMs } = this.#limits;
    const { log } = topic;
    if (store.begin(log) === store.end(log)) return this.#forgetIfIdle(topic);
    const late = store.trimTarget(log, { keepBytes, olderThanMs: keepMs });
    const held = store.trimTarget(log, {
      keepBytes: holdBytes,
      olderThanMs: holdMs,
    });
    this.#trim(topic, Math.max(Math.min(late, neededFrom(topic)), held));
  }

  #forgetIfIdle(topic: Topic): void {
    const { timeline } = this.#state.store;
    const ageMs = this.#limits.forgetMs + LAST_PUBLISH_STEP_MS;
    if (topic.lastPublishMs > timeline.stampOfAge(ageMs)) return;
    if (topic.readers.length > 0) return;
    if (this.#state.filters.match(topic.name).length > 0) return;
    this.#state.forgetTopic(topic);
  }

  /** Above the share of the disk: first what nobody waits for goes, then the oldest backlog. */
  #keepShare(): void {
    const { store } = this.#state;
    const { storeBytes, storeHoldMs } = this.#limits;
    if (store.liveBytes > storeBytes) {
      this.#trimTo(storeBytes, YOUNGEST_MS, false);
      this.#trimTo(storeBytes, storeHoldMs, true);
    } else if (!store.canAppend(this.#state.takeRefused())) {
      // Before publishers have to wait: step by step what nobody waits for.
      this.#trimTo(store.liveBytes * FULL_DISK_STEP, YOUNGEST_MS, false);
    }
  }

  /** Trims until all messages together take `bytes`, the oldest first. */
  #trimTo(bytes: number, youngestMs: number, mayDrop: boolean): void {
    const topics = [...this.#state.topics.all()];
    for (const ageMs of halves(this.#limits.holdMs, youngestMs)) {
      // What is trimmed stays in the files until its deletion has had its turn.
      if (this.#bytesOf(topics) <= bytes) return;
      for (const topic of topics) this.#trimOlder(topic, ageMs, mayDrop);
    }
  }

  #trimOlder(topic: Topic, olderThanMs: number, mayDrop: boolean): void {
    const target = this.#state.store.trimTarget(topic.log, { olderThanMs });
    this.#trim(topic, mayDrop ? target : Math.min(target, neededFrom(topic)));
  }

  #bytesOf(topics: readonly Topic[]): number {
    const { store } = this.#state;
    return topics.reduce((sum, { log }) => sum + store.bytes(log), 0);
  }

  #trim(topic: Topic, begin: number): void {
    if (begin <= this.#state.store.begin(topic.log)) return;
    for (const reader of [...topic.readers]) {
      const messages = dropBelow(this.#state, reader, begin, RESULTS.trimmed);
      if (messages === 0) continue;
      this.#state.logger.warn("backlog_trimmed", {
        user: reader.user.id,
        topic: topic.name,
        messages,
      });
    }
    this.#state.commits.trim(topic.log, begin);
  }
}

/** `most`, half of it, and so on, down to `least`. */
function* halves(most: number, least: number): Generator<number> {
  for (let next = most; next > least; next = Math.floor(next / 2)) yield next;
  yield least;
}

/** The first offset that a reader still needs from the log; its end if none does. */
function neededFrom(topic: Topic): number {
  let needed = Infinity;
  for (const reader of topic.readers) {
    const first = reader.firstOpen(reader.settled.floor);
    if (first < reader.claimEnd) needed = Math.min(needed, first);
  }
  return needed;
}
