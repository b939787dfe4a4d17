/**
 * Deliveries that wait in memory, within the credit that the broker was given, until
 * their handle takes them or they are stored.
 *
 * @module
 */

import type { Clock } from "../../protocol/clock.ts";
import { costOf, type Delivery, sliceDelivery } from "./delivery.ts";
import type { UserFlow } from "./flow.ts";

/** What a queue stands on. */
export interface QueueContext {
  readonly clock: Clock;
  /** Gets the credit back of what the handle has taken. */
  readonly flow: UserFlow;
  /** Hands over what there is room for; gives the number of records. */
  push(delivery: Delivery): number;
}

/** The deliveries of one user that wait for its handle. */
export class DeliveryQueue {
  readonly #context: QueueContext;
  #deliveries: Delivery[] = [];
  /** When the first one came to an empty queue, or one last moved. */
  #sinceMs = 0;

  constructor(context: QueueContext) {
    this.#context = context;
  }

  /** Whether nothing waits. */
  get isEmpty(): boolean {
    return this.#deliveries.length === 0;
  }

  /** The one that has waited longest, if any. */
  get first(): Delivery | undefined {
    return this.#deliveries[0];
  }

  /** For how long nothing has moved. */
  get stillMs(): number {
    return this.#context.clock.monotonicMs() - this.#sinceMs;
  }

  /** Puts a delivery behind the others. */
  add(delivery: Delivery): void {
    if (this.isEmpty) this.#sinceMs = this.#context.clock.monotonicMs();
    this.#deliveries.push(delivery);
  }

  /** Hands over what there is room for. */
  pump(): void {
    const { clock, flow } = this.#context;
    while (this.#deliveries.length > 0) {
      const delivery = this.#deliveries[0];
      const count = this.#context.push(delivery);
      if (count === 0) return;
      const rest = delivery.count === count ? null : sliceDelivery(
        delivery,
        delivery.base + count,
        delivery.base + delivery.count,
      );
      const left = rest === null ? 0 : costOf(rest.batch.length);
      flow.release(costOf(delivery.batch.length) - left);
      this.#sinceMs = clock.monotonicMs();
      if (rest === null) this.#deliveries.shift();
      else this.#deliveries[0] = rest;
    }
  }

  /** Gives the first one away. */
  shift(): Delivery | undefined {
    return this.#deliveries.shift();
  }

  /** Gives up what waits. */
  clear(): void {
    this.#deliveries = [];
  }
}
