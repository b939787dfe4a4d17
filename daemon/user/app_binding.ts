/**
 * A user's handle on this daemon: its connection, how much may be pushed to it,
 * what was pushed and is undecided, and which of its ACKs wait for whom.
 *
 * @module
 */

import { withRemaining } from "../../protocol/attributes.ts";
import { cutBatch } from "../../protocol/batch.ts";
import { joined, orderOf } from "../../protocol/bundle.ts";
import { FEATURE } from "../../protocol/features.ts";
import { LIMITS } from "../../protocol/limits.ts";
import type { Port } from "../port.ts";
import { costOf, costOfAll, type Delivery, sliceDelivery } from "./delivery.ts";
import { OffsetsByLog } from "./offsets_by_log.ts";
import type { Producer } from "../outbox/producers.ts";

/** An ACK of the app that is not confirmed. */
interface OpenAck {
  number: number;
  /** Whether what concerned this daemon's custody is on its disk. */
  local: boolean;
  /** Number of the ACK to the broker that must be confirmed first; 0: none. */
  upstream: number;
}

/** One handle of one user. */
export class AppBinding {
  readonly port: Port;
  readonly ref: number;
  readonly handle: Uint8Array;
  /** What the handle publishes as. */
  readonly producer: Producer;
  /** Pushed and undecided. */
  readonly pushed = new OffsetsByLog();
  /** The last position that was pushed, of the broker's present epoch. */
  pushedPosition = 0;
  /** ATTACHED was sent: what is pushed before it would belong to no flow (PROTOCOL 5.5). */
  isOpen = false;
  #window: number;
  #granted: number;
  #sent = 0;
  #acks: OpenAck[] = [];

  constructor(port: Port, ref: number, producer: Producer, credit: number) {
    this.port = port;
    this.ref = ref;
    this.handle = producer.id;
    this.producer = producer;
    this.#window = credit;
    this.#granted = credit;
  }

  /** Whether the app has ever asked for messages. */
  get isReceiving(): boolean {
    return this.#granted > 0;
  }

  /** Whether there is room for at least a small message. */
  get hasRoom(): boolean {
    return this.isOpen && this.#granted > this.#sent && !this.port.isClogged;
  }

  /** The app's total has risen (PROTOCOL 6.6). */
  grant(total: number): void {
    if (total <= this.#granted) return;
    this.#granted = total;
    this.#window = Math.max(this.#window, total - this.#sent);
  }

  /**
   * Sends as much of a delivery as there is room for.
   *
   * @param flags Added to the delivery's own.
   * @returns How many records, from the front.
   */
  push(delivery: Delivery, flags: number, nowMs: number): number {
    const part = this.#cut(delivery);
    if (part === null) return 0;
    const { logId, topic, base, count, position, time, sender, batch } = part;
    const left = part.deadlineMs === null ? null : part.deadlineMs - nowMs;
    this.port.send({
      type: "DELIVER",
      targets: [this.ref, part.flags | flags],
      logId,
      topic,
      baseOffset: base,
      count,
      position,
      time,
      sender,
      attributes: left === null
        ? part.attributes
        : withRemaining(part.attributes, left),
      batch,
    });
    this.#sent += costOf(batch.length);
    this.pushed.add(logId, base, base + count);
    return count;
  }

  /**
   * Sends parts of a bundle, all or nothing.
   *
   * @param flags Added to the parts' own.
   * @returns Whether they were sent; `null`: they can be run by run only, as the app
   *   takes no bundles or its window is too small.
   */
  pushBundle(
    parts: readonly Delivery[],
    flags: number,
    nowMs: number,
  ): boolean | null {
    if (!this.hasRoom) return false;
    if (!this.port.features.has(FEATURE.bundles)) return null;
    if (parts.length > LIMITS.bundleParts) return null;
    const left = this.#granted - this.#sent;
    const cost = costOfAll(parts);
    if (cost > left) return left * 2 >= this.#window ? null : false;
    const [{ position, time, sender, attributes, deadlineMs }] = parts;
    this.port.send({
      type: "DELIVER_BUNDLE",
      refs: [this.ref],
      position,
      time,
      sender,
      attributes: deadlineMs === null
        ? attributes
        : withRemaining(attributes, deadlineMs - nowMs),
      topics: parts.map(({ topic }) => topic),
      parts: parts.flatMap((each) => [
        each.logId,
        each.base,
        each.count,
        each.flags | flags,
        each.batch.length,
      ]),
      order: orderOf(parts.map(({ ranks }) => ranks!)),
      batch: joined(parts.map(({ batch }) => batch)),
    });
    this.#sent += cost;
    for (const { logId, base, count } of parts) {
      this.pushed.add(logId, base, base + count);
    }
    return true;
  }

  #cut(delivery: Delivery): Delivery | null {
    const left = this.#granted - this.#sent;
    if (!this.isOpen || left <= 0 || this.port.isClogged) return null;
    if (costOf(delivery.batch.length) <= left) return delivery;
    const { bytes, count } = cutBatch(delivery.batch, left - costOf(0));
    // A record larger than what is left passes when half of the window is free:
    // who gives credit back lazily has taken everything all the same.
    if (costOf(bytes) > left && left * 2 < this.#window) return null;
    return sliceDelivery(delivery, delivery.base, delivery.base + count);
  }

  /** What of a range is with the app, undecided. */
  inHand(logId: number, from: number, to: number): [number, number][] {
    const set = this.pushed.get(logId);
    if (set === undefined) return [];
    const parts: [number, number][] = [];
    let at = from;
    for (const [start, end] of set.missing(from, to)) {
      if (at < start) parts.push([at, start]);
      at = end;
    }
    if (at < to) parts.push([at, to]);
    return parts;
  }

  /** Whether anything pushed is undecided. */
  get isHolding(): boolean {
    return !this.pushed.isEmpty;
  }

  /** An ACK came in. `local` and `upstream`: what its confirmation waits for. */
  openAck(number: number, upstream: number): OpenAck {
    const ack = { number, local: false, upstream };
    this.#acks.push(ack);
    return ack;
  }

  /** The broker has confirmed up to `upstream`; confirms to the app what that completes. */
  confirm(upstream: number): void {
    let last = 0;
    while (this.#acks.length > 0) {
      const [first] = this.#acks;
      if (!first.local || first.upstream > upstream) break;
      last = first.number;
      this.#acks.shift();
    }
    if (last > 0) {
      this.port.send({ type: "CONFIRM", ref: this.ref, number: last });
    }
  }

  /** Nothing waits for the broker any more: it is all in this daemon's custody. */
  detachAcks(): void {
    for (const ack of this.#acks) ack.upstream = 0;
  }
}
