/**
 * The link as requests go over it: each has one answer, the broker's or, when the
 * link is gone, that nobody knows.
 *
 * @module
 */

import { MomError } from "../../protocol/errors.ts";
import type { ErrorMessage } from "../../protocol/messages.ts";
import type { Port } from "../port.ts";

/** What is done with the answer to a request. */
export interface Answer {
  onOk(): void;
  /** A `MomError`: the link ended before. */
  onError(error: ErrorMessage | MomError): void;
  /** An ATTACH of this ref, which ATTACHED answers and OK does not. */
  readonly ref?: number;
}

/** The way to the broker, or none. */
export class UpstreamLink {
  readonly #nextRequest: () => number;
  readonly #answers = new Map<number, Answer>();
  #port: Port | null = null;

  /** @param nextRequest A number for a request to the broker; it grows. */
  constructor(nextRequest: () => number) {
    this.#nextRequest = nextRequest;
  }

  /** What is sent goes there; `null` without a link. */
  get port(): Port | null {
    return this.#port;
  }

  /** There is a new one. */
  up(port: Port): void {
    this.#port = port;
  }

  /** Nothing more is sent. */
  close(): void {
    this.#port = null;
  }

  /** @returns Number of the request, which is yet to be sent. */
  ask(answer: Answer): number {
    const request = this.#nextRequest();
    this.#answers.set(request, answer);
    return request;
  }

  /** What is to be done with the answer to a request, if one is awaited. */
  asked(request: number): Answer | undefined {
    return this.#answers.get(request);
  }

  /** A request needs no answer any more. */
  forget(request: number): void {
    this.#answers.delete(request);
  }

  /** OK. What it answers may be known no more. */
  onOk(request: number): void {
    const answer = this.#taken(request);
    if (answer?.ref !== undefined) throw wrongAnswer("ATTACH", "OK");
    answer?.onOk();
  }

  /** ERROR. What it answers may be known no more. */
  onError(request: number, error: ErrorMessage): void {
    this.#taken(request)?.onError(error);
  }

  /** What was asked over a link that is gone gets no other answer. */
  abandon(): void {
    const lost = new MomError(
      "outcome_unknown",
      "The link ended before the broker's answer",
    );
    for (const answer of this.#answers.values()) answer.onError(lost);
    this.#answers.clear();
  }

  #taken(request: number): Answer | undefined {
    const answer = this.#answers.get(request);
    this.#answers.delete(request);
    return answer;
  }
}

/** The broker answers something else than it was asked. */
export function wrongAnswer(asked: string, given: string): MomError {
  return new MomError(
    "bad_message",
    `Cannot take ${given}: it does not answer ${asked}`,
  );
}
