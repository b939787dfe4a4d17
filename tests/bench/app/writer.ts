/**
 * Publishes on one connection: in a flood with a fixed number in flight, or one
 * by one. Its messages are numbered over all that it ever publishes.
 *
 * @module
 */

import { BodyMaker } from "../body.ts";
import type { BenchConnection } from "../connection.ts";

/** When a flood ends; asked before each message. */
export type IsOver = (sent: number) => boolean;

/** What a flood of one writer publishes. */
export interface FloodPlan {
  topics: readonly string[];
  bytes: number;
  window: number;
  isOver: IsOver;
}

/** One writer. */
export class Writer {
  readonly connection: BenchConnection;
  readonly #id: number;
  #bodies: BodyMaker | null = null;
  #bodyBytes = 0;
  #sequence = 0;
  #waiting = 0;
  /** Wakes when no more than this many are unacknowledged. */
  #wakeAt = -1;
  #wake: () => void = () => {};
  #failure: unknown;

  constructor(connection: BenchConnection, id: number) {
    this.connection = connection;
    this.#id = id;
    connection.onAcknowledged = (count, error) => {
      this.#waiting -= count;
      if (error !== undefined) this.#failure ??= error;
      if (this.#waiting <= this.#wakeAt) {
        this.#wakeAt = -1;
        this.#wake();
      }
    };
  }

  /** Publishes until it is over and all are acknowledged; gives their number. */
  async flood(plan: FloodPlan): Promise<number> {
    const { topics, window, isOver } = plan;
    const bodies = this.#bodiesOf(plan.bytes);
    // Half the window is refilled at once: many small turns make small batches.
    const low = window >> 1;
    let sent = 0;
    while (!isOver(sent)) {
      while (this.#waiting < window && !isOver(sent)) {
        this.#publish(topics[sent % topics.length]!, bodies);
        sent++;
      }
      await this.#atMost(low);
    }
    await this.#atMost(0);
    return sent;
  }

  /** Publishes one and does not wait. */
  send(topic: string, bytes: number, timeMs = 0): void {
    const body = this.#bodiesOf(bytes).make(this.#sequence++, timeMs);
    this.#waiting++;
    this.connection.publish(topic, body);
  }

  /** Until all is acknowledged. */
  async settled(): Promise<void> {
    await this.#atMost(0);
  }

  /** The one before, where the size is the same: it has room in its block. */
  #bodiesOf(bytes: number): BodyMaker {
    if (this.#bodies === null || this.#bodyBytes !== bytes) {
      this.#bodies = new BodyMaker(this.connection.bodyBytes(bytes), this.#id);
      this.#bodyBytes = bytes;
    }
    return this.#bodies;
  }

  #publish(topic: string, bodies: BodyMaker): void {
    this.#waiting++;
    this.connection.publish(topic, bodies.make(this.#sequence++));
  }

  async #atMost(waiting: number): Promise<void> {
    if (this.#waiting > waiting) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        this.#wakeAt = waiting;
        this.connection.confirmAll?.();
      });
    }
    if (this.#failure !== undefined) throw this.#failure;
  }
}
