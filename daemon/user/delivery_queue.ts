/**
 * Deliveries that wait in memory, within the credit that the broker was given, until
 * their handle takes them or they are stored.
 *
 * @module
 */

import type { Clock } from "../../protocol/clock.ts";
import {
  costOf,
  costOfAll,
  type Delivery,
  runsOfBundle,
  sliceDelivery,
} from "./delivery.ts";
import type { UserFlow } from "./flow.ts";

/** What a queue stands on. */
export interface QueueContext {
  readonly clock: Clock;
  /** Gets the credit back of what the handle has taken. */
  readonly flow: UserFlow;
  /** Hands over what there is room for; gives the number of records. */
  push(delivery: Delivery): number;
  /**
   * Hands over all parts of a bundle.
   *
   * @returns Whether that was done; `null`: it can be done run by run only.
   */
  pushBundle(parts: readonly Delivery[]): boolean | null;
}

/** A delivery, or the parts of a bundle, at least two. */
export type Entry = Delivery | readonly Delivery[];

/** The deliveries of one user that wait for its handle. */
export class DeliveryQueue {
  readonly #context: QueueContext;
  #entries: Entry[] = [];
  /** When the first one came to an empty queue, or one last moved. */
  #sinceMs = 0;

  constructor(context: QueueContext) {
    this.#context = context;
  }

  /** Whether nothing waits. */
  get isEmpty(): boolean {
    return this.#entries.length === 0;
  }

  /** Bytes of what has waited longest; 0: nothing waits. */
  get firstBytes(): number {
    const [first] = this.#entries;
    if (first === undefined) return 0;
    return isBundle(first) ? costOfAll(first) : first.batch.length;
  }

  /** For how long nothing has moved. */
  get stillMs(): number {
    return this.#context.clock.monotonicMs() - this.#sinceMs;
  }

  /** Puts a delivery behind the others. */
  add(entry: Entry): void {
    if (this.isEmpty) this.#sinceMs = this.#context.clock.monotonicMs();
    this.#entries.push(entry);
  }

  /** Hands over what there is room for. */
  pump(): void {
    const { clock, flow } = this.#context;
    while (this.#entries.length > 0) {
      const entry = this.#entries[0];
      if (isBundle(entry)) {
        if (!this.#pumpBundle(entry)) return;
        continue;
      }
      const delivery = entry;
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
      if (rest === null) this.#entries.shift();
      else this.#entries[0] = rest;
    }
  }

  /** Hands over the bundle in front, or takes it apart; whether to go on. */
  #pumpBundle(parts: readonly Delivery[]): boolean {
    const { clock, flow } = this.#context;
    const isPushed = this.#context.pushBundle(parts);
    if (isPushed === null) this.#unbundle(parts);
    if (isPushed !== true) return isPushed === null;
    flow.release(costOfAll(parts));
    this.#sinceMs = clock.monotonicMs();
    this.#entries.shift();
    return true;
  }

  /** Puts the runs of the bundle in front in its place. */
  #unbundle(parts: readonly Delivery[]): void {
    this.#entries.splice(0, 1, ...runsOfBundle(parts));
  }

  /** Gives the first one away. */
  shift(): Entry | undefined {
    return this.#entries.shift();
  }

  /** Gives up what waits. */
  clear(): void {
    this.#entries = [];
  }
}

/** Whether it is the parts of a bundle. */
export function isBundle(entry: Entry): entry is readonly Delivery[] {
  return Array.isArray(entry);
}
