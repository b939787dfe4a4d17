/**
 * Publishes that are sent again though later ones of their stream are on their way:
 * only the broker knows of them, so its answer is passed on as it is.
 *
 * @module
 */

import { type PublishStream, refuse, type Waiter } from "./publish_stream.ts";
import type { MomError } from "../protocol/errors.ts";

/** What a publish takes in memory beside its batch. */
const OVERHEAD_BYTES = 1024;

/** One of them. */
export interface Loose {
  readonly stream: PublishStream;
  readonly waiter: Waiter;
  /** Nothing of it was known here, and it went in one piece. */
  readonly isWhole: boolean;
  /** Bytes of its batch. */
  readonly bytes: number;
}

/** Those without an answer, by request. */
export class LoosePublishes {
  readonly #byRequest = new Map<number, Loose>();
  #bytes = 0;

  /** What they take in memory. */
  get bytes(): number {
    return this.#bytes;
  }

  /** One is on its way. */
  add(request: number, loose: Loose): void {
    this.#byRequest.set(request, loose);
    this.#count(loose, loose.bytes + OVERHEAD_BYTES);
  }

  /** The one that is answered with this request's number. */
  take(request: number): Loose | undefined {
    const loose = this.#byRequest.get(request);
    if (loose === undefined) return;
    this.#byRequest.delete(request);
    this.#count(loose, -loose.bytes - OVERHEAD_BYTES);
    return loose;
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
}
