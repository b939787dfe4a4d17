/**
 * What the broker's answers to publishes mean: what it has, what goes out again,
 * what goes back to its app, and what becomes a dead letter.
 *
 * @module
 */

import { MomError } from "../../protocol/errors.ts";
import { asMomError } from "../../protocol/handshake.ts";
import type { ErrorMessage, Receipt } from "../../protocol/messages.ts";
import type { Base } from "../base.ts";
import type { Commits } from "../commits.ts";
import type { OutboxLog } from "./outbox_log.ts";
import type { Producer } from "./producers.ts";
import { itemOf, type TaggedBatch } from "./publish_batch.ts";
import type { PublishStream } from "./publish_stream.ts";
import { refuse } from "./publish_waiter.ts";

/** What became a dead letter. */
export interface RejectedItem {
  readonly topic: string;
  readonly count: number;
  readonly error: MomError;
}

/** Whom answers are told. */
export interface AnswersOwner {
  /** The broker refused for good what had a receipt of level `daemon`. */
  onRejected(producer: Producer, item: RejectedItem): void;
  /** The broker does not have any more what it had. */
  onLost(producer: Producer, topic: string, count: number): void;
  /** The broker's answers make no sense: the link is of no use. */
  onConfused(error: MomError): void;
}

/** What answers stand on. */
export interface AnswersContext extends AnswersOwner {
  readonly commits: Commits;
  readonly log: OutboxLog;
  /** Where the broker's epoch is kept. */
  readonly base: Base;
  /** The broker could not store something: it is to be sent again after a while. */
  onRetry(): void;
  /** A dead letter is on its way no more. */
  onBuried(): void;
}

/** The broker's answers. */
export class OutboxAnswers {
  readonly #context: AnswersContext;

  constructor(context: AnswersContext) {
    this.#context = context;
  }

  /** RECEIPT. @returns Whether the batch is one of the stream's. */
  onReceipt(stream: PublishStream, { request, offset }: Receipt): boolean {
    const batch = stream.sender.answered(request);
    if (batch === null) return false;
    const last = batch.firstSequence + batch.count - 1;
    stream.noteHad(last, this.#context.base.brokerEpoch);
    this.#done(stream, batch, offset);
    return true;
  }

  /** ERROR. */
  onError(stream: PublishStream, request: number, message: ErrorMessage): void {
    if (message.code === "out_of_sequence") {
      this.#repeat(stream, request, message);
    } else this.refused(stream, request, asMomError(message));
  }

  /** A batch on its way was refused. */
  refused(stream: PublishStream, request: number, error: MomError): void {
    if (error.retriable && mustStay(stream)) {
      // Answered already, at least in part: it is kept and tried again.
      stream.sender.rewind();
      return this.#context.onRetry();
    }
    const batch = stream.giveUp(request);
    if (batch === null) return;
    if (batch.tag.isStored) return this.bury(stream, batch, error);
    for (const waiter of batch.tag.waiters) refuse(waiter, error);
  }

  /** Refused for good after a receipt: a dead letter, told, and the drain goes on. */
  bury(
    stream: PublishStream,
    batch: TaggedBatch,
    error: MomError,
  ): void {
    const { topic, producer } = stream;
    const { commits, log, onBuried, onRejected } = this.#context;
    // At once: what comes behind it may be done before it is buried.
    stream.noteRefused(batch, error);
    log.bury(itemOf(stream, batch), error, () => {
      this.#done(stream, batch, null, error);
      onBuried();
      commits.changed(stream);
      const rejected = { topic, count: batch.count, error };
      commits.whenDone(() => onRejected(producer, rejected));
    });
  }

  /**
   * The broker misses something before the batch. What has no receipt yet is the
   * app's to send again: only the app knows which of its numbers were refused for
   * good. What has one is repeated from here.
   */
  #repeat(stream: PublishStream, request: number, message: ErrorMessage): void {
    const { sender, producer } = stream;
    // A broker with an older store misses what it had, as this daemon knows: it is
    // counted, and the producer's other batches wait until this one is sent again.
    const isGone = this.#countLost(stream, message) > 0 &&
      producer.gate?.stream === stream;
    if (!isGone && sender.first()?.tag.isStored === false) {
      // All of it: were a later one stored meanwhile, those before it would count
      // as stored, too, when they come again.
      const last = lastOf(message) ?? 0;
      for (const waiter of stream.giveBack(request, last)) {
        waiter.port.send({ ...message, request: waiter.request });
      }
      return;
    }
    const last = lastOf(message);
    try {
      const known = sender.outOfSequence(
        request,
        last ?? 0,
        () => true,
        ({ tag }) => tag.bundle !== 0,
      );
      for (const batch of known) this.#done(stream, batch, null);
    } catch (error) {
      if (!(error instanceof MomError)) throw error;
      this.#context.onConfused(error);
    }
  }

  /** Tells, and gives, how much the broker has no more after its store was replaced by an older one. */
  #countLost(stream: PublishStream, message: ErrorMessage): number {
    const last = lastOf(message);
    const { base, onLost } = this.#context;
    if (last === null) return 0;
    // What has no receipt of this daemon's yet goes back to its app, which counts.
    const first = stream.sender.first()?.tag;
    const claimed = first?.isStored === true ? first.previous : 0;
    const count = stream.missing(last, base.brokerEpoch, claimed);
    if (count > 0) onLost(stream.producer, stream.topic, count);
    return count;
  }

  /** The broker has a batch, or it is a dead letter. */
  #done(
    stream: PublishStream,
    batch: TaggedBatch,
    offset: number | null,
    error?: MomError,
  ): void {
    const { tag } = batch;
    stream.finish(batch, offset, error);
    for (const [from, to] of tag.stored) this.#context.log.settle(from, to);
  }
}

/** The last sequence that the broker has, as it says; `null`: it says nothing of use. */
function lastOf({ details }: ErrorMessage): number | null {
  const last = details?.get("last");
  return Number.isSafeInteger(last) && (last as number) >= 0
    ? last as number
    : null;
}

/** Whether (some of) the oldest batch of a stream has a receipt, or lay in the outbox. */
function mustStay({ sender }: PublishStream): boolean {
  const first = sender.first();
  if (first === null) return false;
  const { isStored, waiters } = first.tag;
  return isStored || waiters.some((each) => each.first < first.firstSequence);
}
