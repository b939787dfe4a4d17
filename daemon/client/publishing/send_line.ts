/**
 * The batches of a handle that wait to be sent, in the order of publishing over
 * all its topics. Records join the last batch only: one that began before would
 * be overtaken by them. No I/O.
 *
 * ```text
 *   doors 1…3   windows 1   doors 4   windows 2…9
 *   └─ sent next                      └─ open: takes what comes for `windows`
 * ```
 *
 * @module
 */

import type { Outgoing, TopicQueue } from "./topic_queue.ts";

/** Spent places before the first waiting one, at which the list is cut. */
const SPENT_MAX = 1024;

/** What waits, oldest first. */
export class SendLine {
  #waiting: Outgoing[] = [];
  #head = 0;
  #orders = 0;
  #open: TopicQueue | null = null;

  /** Whether nothing waits. */
  get isEmpty(): boolean {
    return this.#head === this.#waiting.length;
  }

  /**
   * A batch of `queue` begins behind all others: a batch of another topic that is
   * still open takes no more records.
   *
   * @returns Its place in the order of publishing; it grows.
   */
  begin(queue: TopicQueue): number {
    if (this.#open !== null && this.#open !== queue) this.#open.seal();
    this.#open = queue;
    return ++this.#orders;
  }

  /** A batch that has begun waits. */
  push(batch: Outgoing): void {
    this.#waiting.push(batch);
  }

  /** Takes the oldest out; `null` when nothing waits. */
  shift(): Outgoing | null {
    if (this.isEmpty) return null;
    const first = this.#waiting[this.#head++];
    if (this.isEmpty) this.clear();
    else if (this.#head === SPENT_MAX) {
      this.#waiting.splice(0, SPENT_MAX);
      this.#head = 0;
    }
    return first;
  }

  /** These wait now, and no others: something goes out again. */
  restart(batches: Outgoing[]): void {
    this.#waiting = batches.sort((a, b) => a.order - b.order);
    this.#head = 0;
  }

  /** Nothing waits any more. */
  clear(): void {
    this.#waiting = [];
    this.#head = 0;
  }
}
