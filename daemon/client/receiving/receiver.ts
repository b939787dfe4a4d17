/**
 * The receiving half of a handle. What the other side pushes waits as bytes;
 * `receive` takes one record at a time. Taking settles a message (or holds it,
 * under a manual subscription); what was pushed but not taken is nobody's yet
 * and is dropped when the connection is lost, since it comes again.
 *
 * ```text
 *   DELIVER ─ InboundQueue: bytes ─ take, decode, check ─ Waiters: who called
 *   ACK, CREDIT ─────── Telling ──────────┘
 * ```
 *
 * @module
 */

import { deliveriesOf } from "../../../protocol/bundle.ts";
import type { Clock } from "../../../protocol/clock.ts";
import { checkOffsets } from "../../../protocol/deliver_check.ts";
import { MomError } from "../../../protocol/errors.ts";
import { frameBytesMax, LIMITS } from "../../../protocol/limits.ts";
import {
  type Deliver,
  type DeliverBundle,
  OUTCOME,
  type Outcome,
} from "../../../protocol/messages.ts";
import { decodeRecord } from "../../../protocol/record.ts";
import type { Deadlines } from "../deadlines.ts";
import { type Headers, type Message, ReceivedMessage } from "../message.ts";
import type { ReceiveManyOptions, ReceiveOptions } from "../options.ts";
import {
  judge,
  type SchemaResult,
  type StandardSchema,
} from "../typed_topic.ts";
import type { Acknowledger } from "./acknowledger.ts";
import { FlowWindow } from "./flow_window.ts";
import { InboundBatch, InboundBundle, InboundQueue } from "./inbound.ts";
import { type Send, Telling } from "./telling.ts";
import {
  collect,
  type Waiter,
  WaiterForMany,
  WaiterForOne,
  Waiters,
} from "./waiters.ts";

/** What a receiver stands on. */
export interface ReceiverOptions {
  clock: Clock;
  deadlines: Deadlines;
  /** The number of the user on its connections. */
  ref: number;
}

const RECEIVED_AT_ONCE = 100;
const NOTHING: ReceiveOptions = Object.freeze({});

/** A record whose schema has said yes. */
interface Checked {
  readonly batch: InboundBatch;
  readonly offset: number;
  readonly headers: Headers | null;
  readonly value: unknown;
}

/** The receiving half of one handle. */
export class Receiver {
  readonly #clock: Clock;
  readonly #ref: number;
  readonly #telling: Telling;
  readonly #queue = new InboundQueue();
  readonly #waiters: Waiters;
  readonly #window: FlowWindow;
  readonly #outcomes: Acknowledger;
  readonly #schemas = new Map<string, StandardSchema>();
  readonly #more = (): Message | null =>
    this.#isAtLimit() ? null : this.#next();
  #suspect = { position: 0, epoch: 0 };
  /** Grows with each flow; tells whether what was begun is still of use. */
  #flow = 0;
  #isStopped = false;
  #isChecking = false;
  #checked: Checked | null = null;
  #isServeQueued = false;
  #onSettled: (() => void) | null = null;

  constructor(options: ReceiverOptions) {
    this.#clock = options.clock;
    this.#ref = options.ref;
    this.#waiters = new Waiters(options.deadlines);
    this.#telling = new Telling(options.clock, options.ref);
    this.#window = this.#telling.window;
    this.#outcomes = this.#telling.outcomes;
  }

  /** From now on values of that topic are checked. */
  setSchema(topic: string, schema: StandardSchema): void {
    this.#schemas.set(topic, schema);
  }

  /** The next message, or `null` when the time is up. */
  receive(options: ReceiveOptions = NOTHING): Promise<Message | null> {
    const message = this.#takeNow(options.signal);
    if (message !== null) return Promise.resolve(message);
    if (options.timeoutMs === 0) return Promise.resolve(null);
    const waiter = new WaiterForOne(
      this.#waiters,
      this.#clock.monotonicMs(),
      options.signal,
    );
    return new Promise((resolve, reject) => {
      waiter.resolve = resolve;
      waiter.reject = reject;
      this.#waiters.add(waiter, options.timeoutMs);
    });
  }

  /** At least one message and what else is there, or none when the time is up. */
  receiveMany(options: ReceiveManyOptions): Promise<Message[]> {
    const max = options.max ?? RECEIVED_AT_ONCE;
    const message = this.#takeNow(options.signal);
    if (message !== null) {
      return Promise.resolve(collect(message, max, this.#more));
    }
    if (options.timeoutMs === 0) return Promise.resolve([]);
    const waiter = new WaiterForMany(
      this.#waiters,
      this.#clock.monotonicMs(),
      options.signal,
    );
    waiter.max = max;
    return new Promise((resolve, reject) => {
      waiter.resolve = resolve;
      waiter.reject = reject;
      this.#waiters.add(waiter, options.timeoutMs);
    });
  }

  /** What ATTACH says for this half. */
  attaching(): { credit: number; known: number[] } {
    return { credit: this.#window.restart(), known: this.#outcomes.known() };
  }

  /** ATTACHED: a new flow begins. */
  attached(
    send: Send,
    attached: { suspect: number; epoch: number; maxMessageBytes: number },
    role: "broker" | "daemon",
  ): void {
    this.#window.recordBytesMax = frameBytesMax(attached.maxMessageBytes);
    this.#telling.attached(send);
    const { suspect: position, epoch } = attached;
    this.#suspect = { position, epoch };
    this.#outcomes.attached(role === "broker" ? epoch : 0);
    if (this.#waiters.size > 0) this.#telling.rest();
    this.#tellIfSettled();
  }

  /** The connection is lost: what was pushed comes again. */
  detached(): void {
    this.#telling.detached();
    this.#flow++;
    this.#queue.clear();
    this.#checked = null;
    this.#isChecking = false;
  }

  /**
   * DELIVER.
   *
   * @throws {MomError} `bad_message`: offsets that are none, or more than was asked
   *   for.
   */
  onDeliver(message: Deliver): void {
    const flags = flagsFor(message.targets, this.#ref);
    if (flags === null || this.#isStopped || !this.#telling.isAttached) return;
    checkOffsets(message);
    this.#window.receive(FlowWindow.costOf(message.batch));
    const nowMs = this.#clock.monotonicMs();
    this.#queue.push(new InboundBatch(message, flags, this.#suspect, nowMs));
    if (this.#waiters.size > 0) this.#serveSoon();
  }

  /**
   * DELIVER_BUNDLE.
   *
   * @throws {MomError} `bad_message`: as of DELIVER, or it contradicts itself.
   */
  onDeliverBundle(message: DeliverBundle): void {
    const isFor = message.refs.includes(this.#ref);
    if (!isFor || this.#isStopped || !this.#telling.isAttached) return;
    const nowMs = this.#clock.monotonicMs();
    const parts = deliveriesOf(message).map((part) => {
      checkOffsets(part);
      this.#window.receive(FlowWindow.costOf(part.batch));
      return new InboundBatch(part, part.flags, this.#suspect, nowMs);
    });
    this.#queue.push(new InboundBundle(parts, message.order));
    if (this.#waiters.size > 0) this.#serveSoon();
  }

  /** CONFIRM. */
  onConfirm(number: number): void {
    this.#outcomes.confirm(number);
    this.#serve();
    this.#tellIfSettled();
  }

  /** Ends the calls that have waited since before a moment. */
  expire(error: MomError, beganBeforeMs: number): void {
    this.#waiters.reject(error, beganBeforeMs);
    this.#outcomes.expire(error, beganBeforeMs);
  }

  /** No more is taken: calls that wait end, what was taken is still confirmed. */
  stop(error: MomError): void {
    this.#isStopped = true;
    this.#waiters.reject(error);
    this.#queue.clear();
    this.#checked = null;
    this.#flow++;
    this.#telling.flush();
  }

  /** Resolves when everything taken is confirmed. */
  settled(): Promise<void> {
    if (this.#outcomes.isSettled) return Promise.resolve();
    return new Promise((resolve) => this.#onSettled = resolve);
  }

  /** Ends everything. */
  fail(error: MomError): void {
    this.stop(error);
    this.detached();
    this.#telling.fail(error);
  }

  /** Takes without waiting; `null` when the call has to wait. */
  #takeNow(signal: AbortSignal | undefined): Message | null {
    signal?.throwIfAborted();
    if (this.#waiters.size > 0) return null;
    const message = this.#more();
    if (message === null) this.#telling.rest();
    return message;
  }

  /** When all that arrived together is there. */
  #serveSoon(): void {
    if (this.#isServeQueued) return;
    this.#isServeQueued = true;
    queueMicrotask(() => {
      this.#isServeQueued = false;
      this.#serve();
    });
  }

  #serve(): void {
    while (this.#waiters.size > 0) {
      const message = this.#more();
      if (message === null) return this.#telling.rest();
      const waiter: Waiter = this.#waiters.shift()!;
      waiter.serve(message, this.#more);
    }
  }

  #isAtLimit(): boolean {
    return this.#outcomes.unconfirmed >= LIMITS.unconfirmedTakes;
  }

  /** The next message that is fit to be handed over. */
  #next(): Message | null {
    if (this.#checked !== null) {
      const { batch, offset, headers, value } = this.#checked;
      this.#checked = null;
      return this.#hand(batch, offset, headers, value);
    }
    if (this.#isChecking) return null;
    while (true) {
      const batch = this.#queue.first;
      if (batch === undefined) return null;
      const message = this.#take(batch);
      if (message !== null) return message;
      if (this.#isChecking) return null;
    }
  }

  #take(batch: InboundBatch): Message | null {
    if (
      batch.expiresAtMs !== Infinity &&
      batch.expiresAtMs <= this.#clock.monotonicMs()
    ) return this.#reject(batch, OUTCOME.expired);
    const { offset } = batch;
    let content: Uint8Array;
    try {
      content = batch.take();
    } catch (error) {
      requireMomError(error);
      return this.#reject(batch, OUTCOME.undecodable);
    }
    let record: { headers: Headers | null; value: unknown };
    try {
      record = decodeRecord(content);
    } catch (error) {
      requireMomError(error);
      return this.#settle(batch, offset, OUTCOME.undecodable);
    }
    const schema = this.#schemas.get(batch.topic);
    if (schema === undefined) {
      return this.#hand(batch, offset, record.headers, record.value);
    }
    return this.#check(schema, { batch, offset, ...record });
  }

  #check(
    schema: StandardSchema,
    record: Checked,
  ): Message | null {
    const result = judge(schema, record.value);
    if (!(result instanceof Promise)) return this.#decide(record, result);
    const flow = this.#flow;
    this.#isChecking = true;
    void result.then((settled) => {
      if (flow !== this.#flow) return;
      this.#isChecking = false;
      if (settled.issues === undefined) {
        this.#checked = { ...record, value: settled.value };
      } else this.#settle(record.batch, record.offset, OUTCOME.schema);
      this.#serve();
    });
    return null;
  }

  #decide(record: Checked, result: SchemaResult<unknown>): Message | null {
    const { batch, offset, headers } = record;
    if (result.issues !== undefined) {
      return this.#settle(batch, offset, OUTCOME.schema);
    }
    return this.#hand(batch, offset, headers, result.value);
  }

  #hand(
    batch: InboundBatch,
    offset: number,
    headers: Headers | null,
    value: unknown,
  ): Message {
    const outcomes = this.#outcomes;
    let serial = 0;
    if (batch.isManual) outcomes.hold(batch.logId, offset);
    else {
      serial = this.#telling.settle(
        OUTCOME.delivered,
        batch.logId,
        offset,
        offset + 1,
      );
    }
    this.#leave(batch);
    return new ReceivedMessage(
      batch,
      offset,
      headers,
      value,
      outcomes,
      serial,
    );
  }

  #settle(batch: InboundBatch, offset: number, kind: Outcome): null {
    this.#telling.settle(kind, batch.logId, offset, offset + 1);
    return this.#leave(batch);
  }

  /** Nothing more of the batch can be handed over. */
  #reject(batch: InboundBatch, kind: Outcome): null {
    this.#telling.settle(kind, batch.logId, batch.offset, batch.endOffset);
    batch.giveUp();
    return this.#leave(batch);
  }

  /** A record has had its outcome: with the last one its batch leaves memory. */
  #leave(batch: InboundBatch): null {
    if (batch.isSpent) this.#telling.free(batch.cost);
    return null;
  }

  #tellIfSettled(): void {
    if (this.#onSettled === null || !this.#outcomes.isSettled) return;
    this.#onSettled();
    this.#onSettled = null;
  }
}

function flagsFor(targets: number[], ref: number): number | null {
  for (let i = 0; i < targets.length; i += 2) {
    if (targets[i] === ref) return targets[i + 1]!;
  }
  return null;
}

function requireMomError(error: unknown): asserts error is MomError {
  if (!(error instanceof MomError)) throw error;
}
