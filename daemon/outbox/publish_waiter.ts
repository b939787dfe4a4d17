/**
 * Who waits for the answer to a PUBLISH.
 *
 * @module
 */

import type { MomError } from "../../protocol/errors.ts";
import { LEVEL, type Publish } from "../../protocol/messages.ts";
import type { Port } from "../port.ts";

/** An app's PUBLISH that has no final answer. */
export interface Waiter {
  readonly port: Port;
  readonly request: number;
  /** First and last sequence that the request is about. */
  readonly first: number;
  readonly last: number;
  readonly wantsBroker: boolean;
}

/** Who waits for the answer to a message of an app. */
export function waiterOf(port: Port, message: Publish): Waiter {
  const { request, firstSequence, count, wanted } = message;
  return {
    port,
    request,
    first: firstSequence,
    last: firstSequence + count - 1,
    wantsBroker: wanted === LEVEL.broker,
  };
}

/** Answers an app's PUBLISH with RECEIPT. */
export function answer(
  waiter: Waiter,
  level: 0 | 1,
  offset: number | null,
): void {
  waiter.port.send({ type: "RECEIPT", request: waiter.request, level, offset });
}

/** Answers an app's PUBLISH with ERROR. */
export function refuse(waiter: Waiter, error: MomError): void {
  waiter.port.refuse(error, waiter.request);
}
