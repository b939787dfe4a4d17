/**
 * Publishes on their way to the broker, on two roads.
 *
 * - **Fast**: the link is up and moves. A batch goes straight on; the broker's
 *   RECEIPT answers it.
 * - **Safe**: no link, or no receipt over it for a while. The batch, and before it
 *   every unanswered one of its stream, is committed to the outbox and answered
 *   with level `daemon`. While anything of a producer lies there, what comes
 *   later of it queues behind, so that its messages stay in order.
 *
 * Both roads carry the same sequences; the broker skips what it has.
 *
 * When this machine's disk has no room, new publishes that need it are refused.
 * What was on its way then stays in memory, without an answer: whether the broker
 * has it is not known.
 *
 * Here it is decided what the link's coming and going means for all of them. Which
 * road a publish takes is decided in `taking.ts` and `bundles.ts`. `sending.ts` is the
 * way to the link, `answers.ts` the way back, `storing.ts` that to the disk, and
 * `drain.ts` that from the disk to the link.
 *
 * @module
 */

import type { Ranks } from "../../protocol/bundle.ts";
import type { Clock } from "../../protocol/clock.ts";
import { MomError } from "../../protocol/errors.ts";
import type {
  ErrorMessage,
  Publish,
  Receipt,
} from "../../protocol/messages.ts";
import type { Port } from "../port.ts";
import type { Base } from "../base.ts";
import type { Commits } from "../commits.ts";
import { EndedProducers } from "./ended_producers.ts";
import { LoosePublishes } from "./loose_publishes.ts";
import { OutboxBundles } from "./bundles.ts";
import { type AnswersOwner, OutboxAnswers } from "./answers.ts";
import { OutboxDrain } from "./drain.ts";
import { OutboxLink } from "./outbox_link.ts";
import { OutboxLog } from "./outbox_log.ts";
import { OutboxLosses } from "./losses.ts";
import { OutboxRoom } from "./room.ts";
import { OutboxSending } from "./sending.ts";
import { OutboxStoring } from "./storing.ts";
import { OutboxTaking } from "./taking.ts";
import { Pace } from "./pace.ts";
import type { PublishStream } from "./publish_stream.ts";
import { type Producer, Producers } from "./producers.ts";

export type { RejectedItem } from "./answers.ts";

/** What an outbox stands on. */
export interface OutboxContext extends AnswersOwner {
  readonly commits: Commits;
  readonly clock: Clock;
  readonly outboxBytesMax: number;
  /** The store's log of outbox items, and that of what the broker refused for good. */
  readonly outboxLog: number;
  readonly deadLog: number;
  /** Where the broker's epoch is kept. */
  readonly base: Base;
  /** A number for a request to the broker; it grows. */
  nextRequest(): number;
  /** What had a receipt of level `daemon` was damaged on this disk; topic `null`: nobody knows whose. */
  onDamaged(
    producer: Producer | null,
    topic: string | null,
    count: number,
  ): void;
}

/** The publishes of this machine that the broker has not confirmed. */
export class Outbox {
  readonly #context: OutboxContext;
  readonly #log: OutboxLog;
  readonly #pace: Pace;
  readonly #producers = new Producers();
  readonly #link: OutboxLink;
  readonly #storing: OutboxStoring;
  readonly #answers: OutboxAnswers;
  readonly #sending: OutboxSending;
  readonly #drain: OutboxDrain;
  readonly #ended: EndedProducers;
  readonly #loose: LoosePublishes;
  readonly #room: OutboxRoom;
  readonly #taking: OutboxTaking;
  readonly #bundles: OutboxBundles;

  constructor(context: OutboxContext) {
    const { commits, outboxLog, deadLog, clock, base } = context;
    const nextRequest = () => context.nextRequest();
    const producers = this.#producers;
    const wakeDrain = () => this.#drain.wake();
    this.#context = context;
    const log = this.#log = new OutboxLog(commits, outboxLog, deadLog);
    const pace = this.#pace = new Pace(clock, () => this.#stall());
    const link = this.#link = new OutboxLink(() =>
      commits.store.timeline.nowMs()
    );
    const storing = this.#storing = new OutboxStoring({
      commits,
      outboxBytesMax: context.outboxBytesMax,
      log,
      pace,
      link,
      onStored: wakeDrain,
    });
    this.#answers = new OutboxAnswers({
      commits,
      log,
      base,
      onRetry: () => this.#sending.retryLater(),
      onBuried: wakeDrain,
      onRejected: (producer, item) => context.onRejected(producer, item),
      onLost: (producer, topic, count) =>
        context.onLost(producer, topic, count),
      onConfused: (error) => context.onConfused(error),
    });
    const sending = this.#sending = new OutboxSending({
      clock,
      base,
      link,
      pace,
      answers: this.#answers,
      nextRequest,
      onRested: () => this.#sendAgain(),
    });
    this.#drain = new OutboxDrain({
      log,
      pace,
      link,
      producers,
      isResting: () => sending.isResting,
      base,
      onQueued: (stream) => sending.send(stream),
      onBundleQueued: (producer, streams) =>
        sending.sendBundle(producer, streams),
      onDamaged: ({ producer, topic }, count) =>
        context.onDamaged(producer, topic, count),
      onFailed: (error) => commits.fail(error),
    });
    this.#ended = new EndedProducers({
      commits,
      producers,
      log,
      link,
      nextRequest,
    });
    const loose = this.#loose = new LoosePublishes({
      link,
      nextRequest,
      onFewer: () => this.#room.wake(),
    });
    this.#room = new OutboxRoom({ commits, log, pace, loose });
    const taking = this.#taking = new OutboxTaking({
      commits,
      producers,
      link,
      pace,
      storing,
      sending,
      loose,
    });
    this.#bundles = new OutboxBundles({
      base,
      link,
      storing,
      sending,
      loose,
      taking,
    });
  }

  /** Takes the streams that were stored and counts what lies in the outbox. */
  async load(entries: Map<number, Uint8Array>): Promise<void> {
    this.#producers.load(entries);
    let damaged = 0;
    const losses = new OutboxLosses();
    await this.#log.visit((item, end) => {
      const { producer, topic, count, firstSequence } = item;
      const stream = this.#producers.stream(this.producer(producer, ""), topic);
      stream.producer.outboxEnd = end;
      stream.countStored(count);
      stream.drainedLast = Math.min(stream.drainedLast, firstSequence - 1);
      losses.seen(stream, item);
    }, (from, to) => damaged += to - from);
    const { brokerEpoch } = this.#context.base;
    for (const stream of this.#producers.streams()) {
      stream.noteHad(stream.drainedLast, brokerEpoch);
    }
    if (damaged > 0) losses.tell(damaged, this.#context.onDamaged);
  }

  /** Records in the outbox. */
  get messages(): number {
    return this.#log.messages;
  }

  /** Bytes in the outbox. */
  get bytes(): number {
    return this.#log.bytes;
  }

  /** The producer of a handle. */
  producer(id: Uint8Array, user: string): Producer {
    return this.#producers.get(id, user);
  }

  /** Resolves when the app of a producer may be read on; `null` when it may at once. */
  room(producer: Producer): Promise<void> | null {
    return this.#room.of(producer);
  }

  /** Takes a PUBLISH of an app; see {@link OutboxTaking.publish}. */
  publish(port: Port, producer: Producer, message: Publish): void {
    this.#taking.publish(port, producer, message);
  }

  /** Takes the parts of an app's BUNDLE; see {@link OutboxBundles.publish}. */
  publishBundle(
    port: Port,
    producer: Producer,
    parts: readonly Publish[],
    ranks: readonly Ranks[],
  ): void {
    this.#bundles.publish(port, producer, parts, ranks);
  }

  // The link

  /**
   * Nothing moves, or too slowly. Whoever has something on its way has it stored,
   * with all that this producer sent since: order holds over its topics.
   */
  #stall(): void {
    const streams: PublishStream[] = [];
    for (const producer of this.#pace.producers) {
      streams.push(...producer.unstored);
    }
    this.#storing.shiftIfRoom(streams);
    this.#room.wake();
  }

  /** To be called a few times a second: there may be room again for what stayed in memory. */
  tick(): void {
    this.#drain.wake();
    if (this.#link.isUp && !this.#pace.isStalled) return;
    this.#storing.shiftIfRoom(this.#producers.unstored());
  }

  /** There is a link: the outbox is drained over it. */
  linkUp(port: Port, maxMessageBytes: number): void {
    this.#link.up(port, maxMessageBytes);
    this.#sendAll();
    this.#ended.tell();
  }

  /** The link is gone: what has no receipt goes to the outbox at once, if there is room. */
  linkDown(): void {
    this.#link.down();
    this.#pace.reset();
    this.#sending.cancelRetry();
    const streams = this.#letGo();
    this.#storing.shiftIfRoom(streams);
    const lost = new MomError("outcome_unknown", "The link ended too early");
    this.#loose.refuseAll(lost);
    this.#room.wake();
  }

  /** A RECEIPT of the broker. */
  onReceipt(message: Receipt): void {
    if (this.#loose.onReceipt(message)) return;
    const stream = this.#pace.answered(message.request);
    if (stream === null) return;
    if (this.#answers.onReceipt(stream, message)) this.#goOn(stream);
  }

  /** An ERROR of the broker; gives whether it was about a publish. */
  onError(message: ErrorMessage): boolean {
    const { request } = message;
    if (request === null) return false;
    if (this.#loose.onError(request, message)) return true;
    const stream = this.#pace.answered(request);
    if (stream === null) return false;
    this.#answers.onError(stream, request, message);
    this.#goOn(stream);
    return true;
  }

  #goOn(stream: PublishStream): void {
    this.#sending.openGate(stream);
    this.#sending.send(stream);
    this.#drain.wake();
    this.#ended.tell();
    this.#room.wake();
  }

  /** Nothing counts as on its way any more. */
  #letGo(): PublishStream[] {
    const streams = [...this.#producers.streams()];
    for (const { producer } of streams) producer.gate = null;
    this.#storing.letGo(streams);
    return streams;
  }

  /** Sends all there is, in the order in which it came. */
  #sendAll(): void {
    this.#drain.restart();
    this.#sendKept();
    this.#drain.wake();
  }

  /**
   * The broker may have room again. As over a new link: stream by stream it would
   * not be in the order of its producer.
   */
  #sendAgain(): void {
    this.#letGo();
    this.#sendAll();
  }

  /** What stayed in memory without a link goes out again, as it came. */
  #sendKept(): void {
    const kept = this.#storing.unstored(this.#producers.unstored());
    const byProducer = Map.groupBy(kept, ([{ producer }]) => producer);
    for (const [producer, list] of byProducer) {
      this.#sending.sendInOrder(producer, list.map(([stream]) => stream));
    }
  }

  // Ending

  /** A handle is gone for good: once nothing of it is left, the broker may forget it. */
  endProducer(id: Uint8Array): void {
    const producer = this.#producers.find(id);
    if (producer !== undefined) this.#ended.end(producer);
  }

  /** As `endProducer`, for all but those that `isLiving`. */
  endAllBut(isLiving: (id: Uint8Array) => boolean): void {
    for (const producer of this.#producers.all()) {
      if (!isLiving(producer.id)) this.#ended.end(producer);
    }
  }

  /** Waits for reads and writes under way; nothing new begins. */
  async close(): Promise<void> {
    this.#link.down();
    this.#pace.reset();
    this.#sending.cancelRetry();
    await this.#log.close();
    await this.#drain.close();
  }
}
