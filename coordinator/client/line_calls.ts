/**
 * The calls of one line until they are answered: those whose turn has not come, and
 * those that were sent.
 *
 * @module
 */

import { COORDINATOR_LIMITS } from "../limits.ts";
import type { Call } from "./call.ts";

/** So many of the requests that may be open can be `wait`s: others must get through. */
const OPEN_WAITS = COORDINATOR_LIMITS.openRequests * 3 / 4;
const OPEN_OTHERS = COORDINATOR_LIMITS.openRequests - OPEN_WAITS;

/** All calls of a line that have no answer. */
export class LineCalls {
  /** Those that were sent, by number. */
  readonly #sent = new Map<number, Call>();
  readonly #waits = new Set<Call>();
  readonly #others = new Set<Call>();

  /** How many were sent. */
  get sentCount(): number {
    return this.#sent.size;
  }

  /** Whether one of those that were sent is a `wait`. */
  get hasSentWait(): boolean {
    for (const call of this.#sent.values()) if (call.isWait) return true;
    return false;
  }

  /** Behind all others of its kind. */
  queue(call: Call): void {
    this.#queueOf(call).add(call);
  }

  /** Nobody waits for it any more, and its turn has not come. */
  unqueue(call: Call): void {
    this.#queueOf(call).delete(call);
  }

  /** Those whose turn it is: they wait no more, and are to be sent. */
  takeReady(): Call[] {
    let waits = 0;
    for (const call of this.#sent.values()) if (call.isWait) waits++;
    const others = this.#sent.size - waits;
    return [
      ...takeFirst(this.#others, OPEN_OTHERS - others),
      ...takeFirst(this.#waits, OPEN_WAITS - waits),
    ];
  }

  /** All whose turn has not come. */
  takeQueued(): Call[] {
    return [
      ...takeFirst(this.#waits, Infinity),
      ...takeFirst(this.#others, Infinity),
    ];
  }

  /** All, the sent ones first. */
  takeAll(): Call[] {
    const sent = this.sent();
    this.#sent.clear();
    return [...sent, ...this.takeQueued()];
  }

  /** It has a number now. */
  addSent(call: Call): void {
    this.#sent.set(call.request, call);
  }

  /** The one with that number, of any session. */
  sentOf(request: number): Call | undefined {
    return this.#sent.get(request);
  }

  /** It is answered, or nobody waits for its answer; whether it was there. */
  removeSent(request: number): boolean {
    return this.#sent.delete(request);
  }

  /** Those that were sent, oldest first, as they are now. */
  sent(): Call[] {
    return [...this.#sent.values()];
  }

  /** The numbers of those that were sent in a session. */
  openRequests(session: number): number[] {
    const open: number[] = [];
    for (const call of this.#sent.values()) {
      if (call.session === session) open.push(call.request);
    }
    return open;
  }

  #queueOf(call: Call): Set<Call> {
    return call.isWait ? this.#waits : this.#others;
  }
}

/** The first of a queue, at most so many; they are in it no more. */
function takeFirst(queue: Set<Call>, most: number): Call[] {
  const taken: Call[] = [];
  for (const call of queue) {
    if (taken.length >= most) break;
    queue.delete(call);
    taken.push(call);
  }
  return taken;
}
