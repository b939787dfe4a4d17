/**
 * What is missing in an outbox of which some is damaged: the topics stand in what
 * is damaged, but each stream's sequences are known from what lies around it.
 *
 * @module
 */

import { MomError } from "../../protocol/errors.ts";
import type { OutboxItem } from "./item.ts";
import type { PublishStream } from "./publish_stream.ts";
import type { Producer } from "./producers.ts";

/** Why they will not come. */
export function lostError(count: number): MomError {
  return new MomError(
    "data_damaged",
    `Cannot publish ${count} messages: they were damaged on this machine's disk`,
  );
}

/** Finds whose messages are missing. */
export class OutboxLosses {
  readonly #last = new Map<PublishStream, number>();
  readonly #missing = new Map<PublishStream, number>();

  /** The next intact item of a stream. */
  seen(stream: PublishStream, item: OutboxItem): void {
    // Before the first one that is seen the broker has everything, as far as known.
    const last = this.#last.get(stream) ?? item.previous;
    this.#miss(stream, item.previous - last);
    this.#last.set(stream, item.firstSequence + item.count - 1);
  }

  /** Tells what is missing of `damaged` messages, by topic as far as that is known. */
  tell(
    damaged: number,
    onLost: (
      producer: Producer | null,
      topic: string | null,
      count: number,
    ) => void,
  ): void {
    for (const [stream, last] of this.#last) {
      this.#miss(stream, stream.storedLast - last);
    }
    let left = damaged;
    for (const [stream, missing] of this.#missing) {
      const count = Math.min(missing, left);
      if (count === 0) continue;
      left -= count;
      onLost(stream.producer, stream.topic, count);
    }
    if (left > 0) onLost(null, null, left);
  }

  #miss(stream: PublishStream, count: number): void {
    if (count <= 0) return;
    this.#missing.set(stream, (this.#missing.get(stream) ?? 0) + count);
  }
}
