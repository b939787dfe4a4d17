/**
 * The batches of a handle that wait to be sent, in the order of publishing over
 * all its topics. Records join what is gathering only; behind that all is closed.
 * No I/O.
 *
 * ```text
 *   doors 1…3   doors 4, windows 1, doors 5   windows 2…9
 *   └─ sent next   └─ a bundle                └─ gathering: takes what comes
 * ```
 *
 * @module
 */

import { Gathering } from "./gathering.ts";
import type { BatchTerms, Outgoing } from "./topic_queue.ts";

/** Spent places before the first waiting one, at which the list is cut. */
const SPENT_MAX = 1024;

/** What waits, oldest first. */
export class SendLine {
  /** Whether the other side takes bundles. */
  takesBundles = false;
  #waiting: Outgoing[] = [];
  #head = 0;
  #orders = 0;
  #gathering: Gathering | null = null;

  /** Whether nothing waits. */
  get isEmpty(): boolean {
    return this.#head === this.#waiting.length;
  }

  /** When what gathers was begun, or `null` when nothing does. */
  get openSinceMs(): number | null {
    return this.#gathering?.beganMs ?? null;
  }

  /** What a new topic's batch may join; what it may not is closed. */
  gather(terms: BatchTerms, nowMs: number): Gathering {
    const open = this.#gathering;
    if (open !== null && this.takesBundles && open.takes(terms)) return open;
    this.seal();
    return this.#gathering = new Gathering(terms, nowMs);
  }

  /** What gathers takes no more. */
  seal(): void {
    const open = this.#gathering;
    this.#gathering = null;
    open?.close();
  }

  /** The next place in the order of publishing. */
  nextOrder(): number {
    return ++this.#orders;
  }

  /** A batch that has begun waits. */
  push(batch: Outgoing): void {
    this.#waiting.push(batch);
  }

  /** The batch that was begun last comes to nothing. */
  drop(batch: Outgoing): void {
    if (this.#waiting.at(-1) === batch) this.#waiting.pop();
    if (this.isEmpty) this.clear();
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

  /** Takes the oldest out if it is of the same bundle as `batch`. */
  shiftBundled({ bundled }: Outgoing): Outgoing | null {
    if (this.isEmpty) return null;
    const first = this.#waiting[this.#head];
    return first.bundled === bundled ? this.shift() : null;
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
