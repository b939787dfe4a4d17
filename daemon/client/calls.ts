/**
 * Requests that are answered with OK or ERROR. One whose answer was lost with
 * the connection is made again on the next one.
 *
 * @module
 */

import type { Clock } from "../../protocol/clock.ts";
import { type ErrorCode, MomError } from "../../protocol/errors.ts";
import { asMomError } from "../../protocol/handshake.ts";
import type { ErrorMessage, Message } from "../../protocol/messages.ts";
import type { Peer } from "../../protocol/peer.ts";
import { Deadline, type Deadlines } from "./deadlines.ts";

/** How long an answer may take over a connection that lives. */
const ANSWER_MS = 30_000;

/** What is asked, and by whom. */
interface Asked {
  readonly toMessage: (request: number) => Message;
  /** What the answer is when an earlier sending has been carried out. */
  readonly doneCode: ErrorCode | null;
  readonly startMs: number;
  readonly resolve: () => void;
  readonly reject: (error: MomError) => void;
}

class Call extends Deadline {
  readonly asked: Asked;
  /** Number of its last sending. */
  request = 0;
  sendings = 0;
  /** When a connection was lost before the answer came, for the first time. */
  lostMs: number | null = null;
  readonly #onDue: (call: Call) => void;

  constructor(asked: Asked, onDue: (call: Call) => void) {
    super();
    this.asked = asked;
    this.#onDue = onDue;
  }

  onDue(): void {
    this.#onDue(this);
  }
}

/** What calls stand on. */
export interface CallsOptions {
  /** Its monotonic time counts. */
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  /** How long a call may wait in all once a connection was lost under it. */
  readonly reconnectTimeoutMs: number;
  /** Numbers of requests, rising. */
  nextRequest(): number;
}

/** The requests of one handle. */
export class Calls {
  readonly #options: CallsOptions;
  #calls = new Map<number, Call>();
  #peer: Peer | null = null;

  constructor(options: CallsOptions) {
    this.#options = options;
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
    startMs: number = this.#options.clock.monotonicMs(),
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      const asked = { toMessage, doneCode, startMs, resolve, reject };
      this.#send(new Call(asked, (call) => this.#giveUp(call)));
    });
  }

  /** There is a connection: what has no answer is asked again, but not for ever. */
  attached(peer: Peer): void {
    this.#peer = peer;
    const { clock, reconnectTimeoutMs } = this.#options;
    const oldestMs = clock.monotonicMs() - reconnectTimeoutMs;
    const calls = this.#calls;
    this.#calls = new Map();
    for (const call of calls.values()) {
      if (call.lostMs === null || call.lostMs >= oldestMs) this.#send(call);
      else call.asked.reject(noAnswer(reconnectTimeoutMs));
    }
  }

  /** The connection is lost. */
  detached(): void {
    this.#peer = null;
    for (const call of this.#calls.values()) {
      this.#options.deadlines.remove(call);
      if (call.sendings === 0) continue;
      call.lostMs ??= this.#options.clock.monotonicMs();
    }
  }

  /** OK. */
  onOk(request: number): void {
    this.#take(request)?.asked.resolve();
  }

  /** ERROR with a request. @returns Whether the request was one of these. */
  onError(message: ErrorMessage): boolean {
    const call = this.#take(message.request);
    if (call === null) return false;
    const { doneCode, resolve, reject } = call.asked;
    if (call.sendings > 1 && message.code === doneCode) resolve();
    else reject(asMomError(message));
    return true;
  }

  /** Ends all calls, or those that began before a moment. */
  reject(error: MomError, beganBeforeMs: number = Infinity): void {
    for (const [request, call] of this.#calls) {
      if (call.asked.startMs > beganBeforeMs) continue;
      this.#take(request)?.asked.reject(error);
    }
  }

  #send(call: Call): void {
    const { nextRequest, deadlines } = this.#options;
    call.request = nextRequest();
    this.#calls.set(call.request, call);
    if (this.#peer === null) return;
    call.sendings++;
    deadlines.add(call, ANSWER_MS);
    this.#peer.send(call.asked.toMessage(call.request));
  }

  #take(request: number | null): Call | null {
    const call = this.#calls.get(request ?? -1);
    if (call === undefined) return null;
    this.#calls.delete(call.request);
    this.#options.deadlines.remove(call);
    return call;
  }

  #giveUp(call: Call): void {
    this.#calls.delete(call.request);
    call.asked.reject(
      new MomError(
        "outcome_unknown",
        `Cannot tell whether it was done: no answer within ${ANSWER_MS} ms`,
      ),
    );
  }
}

function noAnswer(timeoutMs: number): MomError {
  return new MomError(
    "daemon_unavailable",
    `Cannot get an answer: connections were lost for ${timeoutMs} ms`,
  );
}
