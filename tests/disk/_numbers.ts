/**
 * Numbered messages: which were acknowledged, which were refused, which came.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { Mom, MomError } from "../../mod.ts";
import { pause } from "../helpers/eventually.ts";

/** Publishes numbers and keeps the answers. */
export class NumberedPublisher {
  /** What has a receipt. */
  readonly acknowledged = new Set<number>();
  /** What was refused, by code. */
  readonly refused = new Map<number, string>();
  readonly #mom: Mom;
  readonly #topic: string;
  readonly #bytes: number;
  #next = 0;

  /** Messages of about `bytes`. */
  constructor(mom: Mom, topic: string, bytes: number) {
    this.#mom = mom;
    this.#topic = topic;
    this.#bytes = bytes;
  }

  /** Publishes one; gives the code of a refusal, `null` for none. */
  async publish(): Promise<string | null> {
    const number = this.#next++;
    const value = new Uint8Array(Math.max(4, this.#bytes));
    new DataView(value.buffer).setUint32(0, number);
    try {
      await this.#mom.publish(this.#topic, value, { timeoutMs: 20_000 });
      this.acknowledged.add(number);
      return null;
    } catch (error) {
      const { code } = error as MomError;
      this.refused.set(number, code);
      return code;
    }
  }

  /** Publishes so many at once; gives how many were refused. */
  async publishMany(count: number): Promise<number> {
    const all = Array.from({ length: count }, () => this.publish());
    return (await Promise.all(all)).filter((code) => code !== null).length;
  }

  /** Publishes `atOnce` at a time until some are refused. */
  async fill(atOnce: number, timeoutMs = 30_000): Promise<void> {
    const end = performance.now() + timeoutMs;
    while (await this.publishMany(atOnce) === 0) {
      if (performance.now() > end) throw new Error("Nothing was ever refused");
    }
  }

  /** Publishes one at a time until one is accepted again. */
  async publishAgain(timeoutMs = 15_000): Promise<void> {
    const end = performance.now() + timeoutMs;
    while (await this.publish() !== null) {
      if (performance.now() > end) throw new Error("Refused for too long");
      await pause(50);
    }
  }

  /** Asserts that every refusal, if there was any, was of that code. */
  assertRefusedWith(code: string): void {
    for (const given of this.refused.values()) assert.equal(given, code);
  }
}

/** Takes numbered messages until all that were acknowledged are there. */
export class NumberedReader {
  /** How often each came. */
  readonly taken = new Map<number, number>();
  readonly #mom: Mom;

  constructor(mom: Mom) {
    this.#mom = mom;
  }

  /** Takes until `wanted` came, or nothing more comes for 10 s. */
  async take(wanted: Iterable<number>): Promise<void> {
    const missing = new Set(wanted);
    for (const number of this.taken.keys()) missing.delete(number);
    while (missing.size > 0) {
      const more = await this.#mom.receiveMany({ max: 500, timeoutMs: 10_000 });
      assert.ok(more.length > 0, `${missing.size} messages did not come`);
      for (const { value } of more) {
        const { buffer, byteOffset } = value as Uint8Array;
        const number = new DataView(buffer, byteOffset).getUint32(0);
        this.taken.set(number, (this.taken.get(number) ?? 0) + 1);
        missing.delete(number);
      }
    }
  }

  /** Asserts that each acknowledged message came once, and nothing else. */
  async assertExactly({ acknowledged, refused }: NumberedPublisher) {
    await this.take(acknowledged);
    const rest = await this.#mom.receiveMany({ timeoutMs: 300 });
    assert.equal(rest.length, 0, "more came than was acknowledged");
    for (const [number, times] of this.taken) {
      assert.equal(times, 1, `${number} came ${times} times`);
      assert.ok(!refused.has(number), `${number} was refused though stored`);
    }
  }
}
