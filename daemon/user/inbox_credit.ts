/**
 * Credit for what has gone to a user's inbox, as long as the broker does not get it
 * back: with one of the next ticks what nobody waits for, or when there is room in
 * an inbox that is full.
 *
 * @module
 */

import type { UserFlow } from "./flow.ts";

/** Credit of one user that is given back later. */
export class InboxCredit {
  readonly #flow: UserFlow;
  readonly #unhurriedOnes: Set<InboxCredit>;
  /** Cost of what came for nobody, to be given back with one of the next ticks. */
  #unhurried = 0;
  /** Cost of what came when the inbox was full. */
  #withheld = 0;

  /** @param unhurriedOnes Where it stands while more may come with a tick. */
  constructor(flow: UserFlow, unhurriedOnes: Set<InboxCredit>) {
    this.#flow = flow;
    this.#unhurriedOnes = unhurriedOnes;
  }

  /** To be given back with one of the next ticks. */
  delay(cost: number): void {
    this.#unhurried += cost;
    this.#unhurriedOnes.add(this);
  }

  /** To be given back when the inbox has room. */
  withhold(cost: number): void {
    this.#withheld += cost;
  }

  /**
   * More may come of what nobody waits for. It is safe at the broker: a window for
   * each tick, so that it does not take disk and processor from those who publish.
   *
   * @returns How much more.
   */
  admitUnhurried(): number {
    const cost = this.#unhurried;
    this.#unhurriedOnes.delete(this);
    this.#unhurried = 0;
    if (cost > 0) this.#flow.release(cost);
    return cost;
  }

  /** Whether some waits for room in the inbox. */
  get isWithheld(): boolean {
    return this.#withheld > 0;
  }

  /** The inbox has room again. */
  admitWithheld(): void {
    this.#flow.release(this.#withheld);
    this.#withheld = 0;
  }

  /** There is nobody to give it back to: the flow ends. */
  clear(): void {
    this.#withheld = this.#unhurried = 0;
    this.#unhurriedOnes.delete(this);
  }
}
