/**
 * Somebody who reads: takes messages in the background and keeps count.
 *
 * @module
 */

import { type Mom, MomError } from "../../mod.ts";

/** What the demo's messages carry. */
export interface Numbered {
  /** Who wrote it. */
  from: string;
  /** Its number among that writer's messages on the topic, from 0. */
  number: number;
}

/** Counts what a user receives. */
export class Reader {
  /** How many messages came. */
  count = 0;
  /** What should not be: gaps, repetitions, wrong order. */
  readonly faults: string[] = [];
  readonly #mom: Mom;
  readonly #next = new Map<string, number>();
  readonly #reading: Promise<void>;

  /** Begins to read at once. */
  constructor(mom: Mom) {
    this.#mom = mom;
    this.#reading = this.#read();
  }

  /** Who reads, `name@machine`. */
  get user(): string {
    return this.#mom.user;
  }

  /** Resolves to whether `count` messages came within `timeoutMs`. */
  async has(count: number, timeoutMs: number): Promise<boolean> {
    const end = performance.now() + timeoutMs;
    while (this.count < count && performance.now() < end) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    return this.count === count;
  }

  /** Stops reading, which closes the handle. */
  async close(): Promise<void> {
    await this.#mom.close();
    await this.#reading;
  }

  async #read(): Promise<void> {
    try {
      while (true) {
        const messages = await this.#mom.receiveMany();
        for (const message of messages) {
          this.count++;
          this.#check(message.topic, message.value as Numbered);
        }
        // Needed where the subscription says "manual"; all at once, since each
        // waits until it is on a disk.
        await Promise.all(messages.map((message) => message.ack()));
      }
    } catch (error) {
      const isClosed = error instanceof MomError && error.code === "closed";
      if (!isClosed) this.faults.push(`${this.user}: ${error}`);
    }
  }

  #check(topic: string, { from, number }: Numbered): void {
    const stream = `${from} on ${topic}`;
    const expected = this.#next.get(stream) ?? 0;
    if (number !== expected) {
      this.faults.push(
        `${this.user} got number ${number} of ${stream}, expected ${expected}`,
      );
    }
    this.#next.set(stream, number + 1);
  }
}
