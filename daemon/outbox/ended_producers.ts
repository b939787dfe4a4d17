/**
 * Producers whose handle is gone for good: once nothing of one is left the broker is
 * told that it may forget it.
 *
 * @module
 */

import type { Commits } from "../commits.ts";
import type { OutboxLink } from "./outbox_link.ts";
import type { OutboxLog } from "./outbox_log.ts";
import type { Producer, Producers } from "./producers.ts";

/** What they stand on. */
export interface EndedContext {
  readonly commits: Commits;
  readonly producers: Producers;
  readonly log: OutboxLog;
  readonly link: OutboxLink;
  /** A number for a request to the broker. */
  nextRequest(): number;
}

/** Those of whose end the broker was not told yet. */
export class EndedProducers {
  readonly #context: EndedContext;
  readonly #ended = new Set<Producer>();

  constructor(context: EndedContext) {
    this.#context = context;
  }

  /** A handle is gone for good. */
  end(producer: Producer): void {
    producer.isEnded = true;
    this.#ended.add(producer);
    this.tell();
  }

  /** Something may be gone that one of them waited for. */
  tell(): void {
    for (const producer of this.#ended) {
      if (!this.#isNowhere(producer)) continue;
      // What the disk still holds would be sent again after a crash, to a broker
      // that has forgotten the sequences: first the trim, then ENDED.
      this.#context.commits.whenDone(() => this.#tellEnded(producer));
    }
  }

  /** Whether nothing of a producer is on its way, or would come back from the disk. */
  #isNowhere(producer: Producer): boolean {
    return producer.isIdle && producer.outboxEnd <= this.#context.log.begin;
  }

  #tellEnded(producer: Producer): void {
    const { link, commits, producers, nextRequest } = this.#context;
    // Of one that never published the broker does not know.
    const isKnown = producer.streams.size > 0;
    if (isKnown && !link.isUp || !this.#ended.delete(producer)) return;
    if (isKnown) link.sendEnded(nextRequest(), producer);
    for (const stream of producer.streams.values()) {
      stream.isEnded = true;
      commits.changed(stream);
    }
    producers.remove(producer);
  }
}
