/**
 * Bundles of apps (PROTOCOL 8.12), as they come: a part that is known here, or that
 * cannot be taken, is answered by itself; the others take one road together.
 *
 * @module
 */

import type { Ranks } from "../../protocol/bundle.ts";
import { MomError } from "../../protocol/errors.ts";
import type { Publish } from "../../protocol/messages.ts";
import type { Base } from "../base.ts";
import type { Port } from "../port.ts";
import type { LoosePublishes } from "./loose_publishes.ts";
import type { OutboxLink } from "./outbox_link.ts";
import type { Producer } from "./producers.ts";
import { type BundleItem, newTag } from "./publish_batch.ts";
import type { PublishStream } from "./publish_stream.ts";
import type { OutboxSending } from "./sending.ts";
import type { OutboxStoring } from "./storing.ts";
import type { OutboxTaking } from "./taking.ts";

/** What bundles stand on. */
export interface BundlesContext {
  /** Where the broker's epoch is kept. */
  readonly base: Base;
  readonly link: OutboxLink;
  readonly storing: OutboxStoring;
  readonly sending: OutboxSending;
  readonly loose: LoosePublishes;
  readonly taking: OutboxTaking;
}

/** Takes the bundles of apps. */
export class OutboxBundles {
  readonly #context: BundlesContext;

  constructor(context: BundlesContext) {
    this.#context = context;
  }

  /**
   * Takes the parts of a BUNDLE, already checked.
   *
   * @param ranks The places of each part's records.
   */
  publish(
    port: Port,
    producer: Producer,
    parts: readonly Publish[],
    ranks: readonly Ranks[],
  ): void {
    const { taking } = this.#context;
    const items: BundleItem[] = [];
    for (const [i, part] of parts.entries()) {
      answering(port, [part.request], () => {
        const fresh = taking.fresh(port, producer, part);
        if (fresh === null) return;
        const known = part.count - fresh.item.count;
        items.push({ ...fresh, ranks: ranks[i].subarray(known) });
      });
    }
    if (items.length === 0) return;
    const requests = items.map(({ waiter }) => waiter.request);
    answering(port, requests, () => this.#take(producer, items));
  }

  #take(producer: Producer, items: readonly BundleItem[]): void {
    if (this.#mustStore(producer, items)) this.#store(items);
    else this.#send(producer, items);
  }

  /**
   * Whether the fast road is closed. Also where the broker has to be asked how far
   * it has come with some part, or takes no bundles: that would tear it apart.
   */
  #mustStore(producer: Producer, items: readonly BundleItem[]): boolean {
    const { base, link, storing, taking } = this.#context;
    if (!link.isUp || producer.isInOutbox) return true;
    const isPlain = link.takesBundles && producer.gate === null &&
      items.every(({ stream, item }) =>
        !stream.isUncertain(base.brokerEpoch, item.previous)
      );
    if (isPlain && taking.isMoving) return false;
    const bytes = items.reduce((sum, { item }) => sum + item.batch.length, 0);
    return storing.fits(bytes);
  }

  #store(items: readonly BundleItem[]): void {
    const { storing, taking } = this.#context;
    for (const { stream, waiter } of storing.storeBundle(items)) {
      answering(
        waiter.port,
        [waiter.request],
        () => taking.answerKnown(stream, waiter),
      );
    }
  }

  #send(producer: Producer, items: readonly BundleItem[]): void {
    const { sending, loose, taking } = this.#context;
    const streams: PublishStream[] = [];
    let bundle = 0;
    for (const { stream, item, ranks, waiter } of items) {
      // With nothing on its way of a stream it begins anew, as part of the bundle.
      const { size, nextSequence } = stream.sender;
      if (size > 0 && item.firstSequence < nextSequence) {
        loose.send(stream, item, waiter);
        continue;
      }
      const order = taking.nextOrder();
      if (streams.length === 0) bundle = order;
      stream.queue(item, newTag(item, [waiter], order, { bundle, ranks }));
      streams.push(stream);
    }
    sending.sendBundle(producer, streams);
  }
}

/** Answers these requests with what `work` refuses. */
function answering(
  port: Port,
  requests: readonly number[],
  work: () => void,
): void {
  try {
    work();
  } catch (error) {
    if (!(error instanceof MomError)) throw error;
    for (const request of requests) port.refuse(error, request);
  }
}
