/**
 * Requests that are answered with OK or ERROR. One whose answer was lost with
 * the connection is made again on the next one.
 *
 * @module
 */

import type { Clock } from "../../protocol/clock.ts";
import type { ErrorCode, MomError } from "../../protocol/errors.ts";
import { asMomError } from "../../protocol/handshake.ts";
import type { ErrorMessage, Message } from "../../protocol/messages.ts";
import type { Peer } from "../../protocol/peer.ts";

interface Call {
  readonly toMessage: (request: number) => Message;
  /** What the answer is when an earlier sending has been carried out. */
  readonly doneCode: ErrorCode | null;
  readonly startMs: number;
  readonly resolve: () => void;
  readonly reject: (error: MomError) => void;
  sendings: number;
}

/** The requests of one handle. */
export class Calls {
  readonly #clock: Clock;
  readonly #nextRequest: () => number;
  #calls = new Map<number, Call>();
  #peer: Peer | null = null;

  /**
   * @param clock Its monotonic time counts.
   * @param nextRequest Numbers of requests, rising.
   */
  constructor(clock: Clock, nextRequest: () => number) {
    this.#clock = clock;
    this.#nextRequest = nextRequest;
  }

  /**
   * Makes a request; resolves with its OK.
   *
   * @param toMessage The message with that request number.
   * @param doneCode The error that, after a repetition, means that the first
   *   sending was carried out and only its answer was lost.
   * @param startMs When the wait began, on the monotonic clock; by default now.
   */
  call(
    toMessage: (request: number) => Message,
    doneCode: ErrorCode | null = null,
    startMs: number = this.#clock.monotonicMs(),
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#send({
        toMessage,
        doneCode,
        startMs,
        resolve,
        reject,
        sendings: 0,
      });
    });
  }

  /** There is a connection: what has no answer is asked again. */
  attached(peer: Peer): void {
    this.#peer = peer;
    const calls = this.#calls;
    this.#calls = new Map();
    for (const call of calls.values()) this.#send(call);
  }

  /** The connection is lost. */
  detached(): void {
    this.#peer = null;
  }

  /** OK. */
  onOk(request: number): void {
    this.#take(request)?.resolve();
  }

  /** ERROR with a request. @returns Whether the request was one of these. */
  onError(message: ErrorMessage): boolean {
    const call = this.#take(message.request);
    if (call === null) return false;
    if (call.sendings > 1 && message.code === call.doneCode) call.resolve();
    else call.reject(asMomError(message));
    return true;
  }

  /** Ends all calls, or those that began before a moment. */
  reject(error: MomError, beganBeforeMs: number = Infinity): void {
    for (const [request, call] of this.#calls) {
      if (call.startMs > beganBeforeMs) continue;
      this.#calls.delete(request);
      call.reject(error);
    }
  }

  #send(call: Call): void {
    const request = this.#nextRequest();
    this.#calls.set(request, call);
    if (this.#peer === null) return;
    call.sendings++;
    this.#peer.send(call.toMessage(request));
  }

  #take(request: number | null): Call | null {
    const call = this.#calls.get(request ?? -1);
    if (call === undefined) return null;
    this.#calls.delete(request ?? -1);
    return call;
  }
}
