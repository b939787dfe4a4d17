/**
 * Publishes that are sent again though later ones of their stream are on their way:
 * only the broker knows of them, so its answer is passed on as it is.
 *
 * @module
 */

import type { MomError } from "../../protocol/errors.ts";
import {
  type ErrorMessage,
  LEVEL,
  type Receipt,
} from "../../protocol/messages.ts";
import type { OutboxItem } from "./item.ts";
import { type OutboxLink, tooLargeError } from "./outbox_link.ts";
import type { PublishStream } from "./publish_stream.ts";
import { refuse, type Waiter } from "./publish_waiter.ts";

/** What a publish takes in memory beside its batch. */
const OVERHEAD_BYTES = 1024;

/** One of them. */
interface Loose {
  readonly stream: PublishStream;
  readonly waiter: Waiter;
  /** Nothing of it was known here, and it went in one piece. */
  readonly isWhole: boolean;
  /** Bytes of its batch. */
  readonly bytes: number;
}

/** What they stand on. */
export interface LooseContext {
  readonly link: OutboxLink;
  /** A number for a request to the broker; it grows. */
  nextRequest(): number;
  /** There are fewer. */
  onFewer(): void;
}

/** Those without an answer, by request. */
export class LoosePublishes {
  readonly #context: LooseContext;
  readonly #byRequest = new Map<number, Loose>();
  #bytes = 0;

  constructor(context: LooseContext) {
    this.#context = context;
  }

  /** What they take in memory. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Sends one that is not known here: the broker decides. */
  send(stream: PublishStream, item: OutboxItem, waiter: Waiter): void {
    const { link, nextRequest } = this.#context;
    const { fitting, tooLarge } = link.cut(item.batch);
    for (const { index, count, bytes } of tooLarge) {
      const firstSequence = item.firstSequence + index;
      const error = tooLargeError(stream, bytes);
      if (fitting.length === 0) return refuse(waiter, error);
      stream.noteRefused({ firstSequence, count }, error, false);
    }
    let { previous } = item;
    let request = 0;
    for (const { index, count, bytes } of fitting) {
      request = nextRequest();
      const firstSequence = item.firstSequence + index;
      const part = { ...item, previous, firstSequence, count, batch: bytes };
      link.send(stream, request, part);
      previous = firstSequence + count - 1;
    }
    // The last one's answer is that to all: none is taken before those in front of it.
    // What the outbox has of it already is not sent, and its offset not known.
    const isWhole = item.firstSequence === waiter.first && fitting.length === 1;
    const bytes = item.batch.length;
    const loose = { stream, waiter, isWhole, bytes };
    this.#byRequest.set(request, loose);
    this.#count(loose, bytes + OVERHEAD_BYTES);
  }

  /** RECEIPT. @returns Whether it was about one of them. */
  onReceipt({ request, offset }: Receipt): boolean {
    const loose = this.#take(request);
    if (loose === undefined) return false;
    const { stream, waiter, isWhole } = loose;
    stream.answer(waiter, LEVEL.broker, isWhole ? offset : null);
    return true;
  }

  /** ERROR. @returns Whether it was about one of them. */
  onError(request: number, message: ErrorMessage): boolean {
    const loose = this.#take(request);
    if (loose === undefined) return false;
    // As it is: the app goes on from what the broker says it has.
    const { waiter } = loose;
    waiter.port.send({ ...message, request: waiter.request });
    return true;
  }

  /** None of them will be answered. */
  refuseAll(error: MomError): void {
    for (const loose of this.#byRequest.values()) {
      this.#count(loose, -loose.bytes - OVERHEAD_BYTES);
      refuse(loose.waiter, error);
    }
    this.#byRequest.clear();
  }

  #count({ stream }: Loose, bytes: number): void {
    this.#bytes += bytes;
    stream.producer.fastBytes += bytes;
  }

  #take(request: number): Loose | undefined {
    const loose = this.#byRequest.get(request);
    if (loose === undefined) return;
    this.#byRequest.delete(request);
    this.#count(loose, -loose.bytes - OVERHEAD_BYTES);
    this.#context.onFewer();
    return loose;
  }
}
