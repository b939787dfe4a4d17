/**
 * Publishing: checks, sequences, and the way into the logs (PROTOCOL 8).
 *
 * ```text
 * PUBLISH ─ check ─ compare sequences ─┬─ items of up to 56 KiB ──────────┐
 *                                      └─ large record: staged, then a    ├─ commit ─ RECEIPT, deliveries
 *                                         pointer; what follows it of its ┘
 *                                         producer waits in line
 * ```
 *
 * @module
 */

import { kept, remainingMs, wantedEpoch } from "../../protocol/attributes.ts";
import { cutBatch, recordEnd, splitOffset } from "../../protocol/batch.ts";
import { type ErrorCode, MomError } from "../../protocol/errors.ts";
import { LIMITS } from "../../protocol/limits.ts";
import { LEVEL, type Publish } from "../../protocol/messages.ts";
import { checkBatch, checkPublishTopic } from "../../protocol/publish_check.ts";
import { ITEM_BYTES_MAX } from "../../storage/store.ts";
import { RESULTS } from "./counts.ts";
import type { Deliveries } from "./deliveries.ts";
import { encodeMeta, type ItemMeta } from "./item_meta.ts";
import type { Producer } from "./producers.ts";
import type { Session } from "./session.ts";
import type { State } from "./state.ts";
import type { Topic } from "./topics.ts";
import type { User } from "./users.ts";

/** A publisher is made to wait when this much is not yet on disk. */
const PRESSURE_BYTES = 8 * 1024 * 1024;
/**
 * A producer is made to wait when so much of it is, or waits behind, large records
 * that are being written: more than a daemon has under way of one app (PROTOCOL
 * 11.10), so that one app of a machine does not hold up the others on its link.
 */
const LINE_BYTES_MAX = 12 * 1024 * 1024;
/** The same of all producers: beyond that whoever has any is made to wait. */
const LINE_BYTES_OF_ALL = 64 * 1024 * 1024;
/** What a PUBLISH takes in memory beside its batch. */
const JOB_BYTES = 1024;

/** A PUBLISH on its way. */
interface Job {
  readonly session: Session;
  readonly message: Publish;
  readonly producer: Producer;
}

/** What waits behind a large record of the same producer. */
interface Line {
  readonly jobs: Job[];
  /** With what is being written. */
  bytes: number;
}

/** What is left of a PUBLISH to accept. */
interface Rest {
  readonly job: Job;
  readonly meta: ItemMeta;
  readonly metaBytes: Uint8Array;
  body: Uint8Array;
  count: number;
  /** Sequence of the first record of what is left. */
  sequence: number;
  /**
   * Offset of the first record, if that is accepted here and now and the others
   * follow it without a gap: behind a large record others may have come between.
   */
  offset: number | null;
  /** Offset behind the last record that was accepted here and now. */
  end: number;
}

/** Takes publishes. */
export class Publishing {
  readonly #state: State;
  readonly #deliveries: Deliveries;
  readonly #maxMessageBytes: number;
  /**
   * What waits behind a large record of the same producer, to whatever topic: a
   * producer's messages keep their order over its topics.
   */
  readonly #lines = new Map<Producer, Line>();
  readonly #staging = new Set<Promise<void>>();
  #lineBytes = 0;
  #waiters: { producer: Producer; resolve(): void }[] = [];

  constructor(state: State, deliveries: Deliveries, maxMessageBytes: number) {
    this.#state = state;
    this.#deliveries = deliveries;
    this.#maxMessageBytes = maxMessageBytes;
  }

  /**
   * Takes a PUBLISH; its RECEIPT comes when it is on disk.
   *
   * @returns A promise when the publisher has to wait before its next message.
   * @throws {MomError} `topic_invalid`, `message_too_large`, `bad_message`,
   *   `unsupported`: refused for good. `storage_full`: refused now.
   */
  publish(session: Session, message: Publish): void | Promise<void> {
    const producer = this.#producerOf(session, message);
    const job = { session, message, producer };
    if (this.#lines.size > 0) {
      const line = this.#lines.get(producer);
      if (line !== undefined) {
        line.jobs.push(job);
        this.#count(line, costOf(message));
        return this.#pressure(producer);
      }
    }
    const rest = this.#take(job);
    if (rest !== null) this.#openLine(rest);
    this.#state.commits.finish();
    return this.#pressure(producer);
  }

  /** Less waits for the disk than before: lets publishers go on. */
  relieve(): void {
    if (this.#waiters.length === 0) return;
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) {
      if (this.#isPressed(waiter.producer)) this.#waiters.push(waiter);
      else waiter.resolve();
    }
  }

  /** Resolves when no large record is being written. */
  async idle(): Promise<void> {
    while (this.#staging.size > 0) await Promise.all(this.#staging);
  }

  /** Lets everybody go. */
  stop(): void {
    for (const { resolve } of this.#waiters.splice(0)) resolve();
  }

  /** A promise while too much waits for the disk. */
  #pressure(producer: Producer): void | Promise<void> {
    if (!this.#isPressed(producer)) return;
    return new Promise((resolve) => this.#waiters.push({ producer, resolve }));
  }

  #isPressed(producer: Producer): boolean {
    if (this.#state.store.dirtyBytes > PRESSURE_BYTES) return true;
    if (this.#lines.size === 0) return false;
    const { bytes } = this.#lines.get(producer) ?? { bytes: 0 };
    return this.#lineBytes > LINE_BYTES_OF_ALL
      ? bytes > 0
      : bytes > LINE_BYTES_MAX;
  }

  #count(line: Line, bytes: number): void {
    line.bytes += bytes;
    this.#lineBytes += bytes;
  }

  #producerOf(session: Session, message: Publish): Producer {
    const producer = session.producer(message.producer);
    if (producer !== undefined) return producer;
    throw new MomError(
      "bad_message",
      session.role === "daemon"
        ? "Cannot publish: the producer was not introduced"
        : "Cannot publish: the producer is not the attached handle",
    );
  }

  /** Accepts and answers a job, or throws its refusal. Gives what has to be staged. */
  #take(job: Job): Rest | null {
    const { message, producer, session } = job;
    checkPresent(producer);
    const topic = this.#state.topics.get(message.topic);
    if (topic === undefined) checkPublishTopic(message.topic);
    checkBatch(message, this.#maxMessageBytes);
    const sequence = topic && producer.sequences.get(topic.log);
    if (sequence === undefined) this.#checkTopics(producer, topic);
    const last = sequence?.last ?? 0;
    const known = last - message.firstSequence + 1;
    if (known >= message.count) {
      this.#receipt(session, message.request, null);
      return null;
    }
    if (last < message.previous) {
      this.#refuseSequence(session, message, last);
      return null;
    }
    // A batch that has begun is finished: a refusal would cover what is stored.
    const hasBegun = known > 0;
    const { length } = message.batch;
    if (!hasBegun) this.#checkEpoch(message);
    if (!hasBegun) this.#state.checkReaders(message.topic);
    if (!hasBegun && !this.#state.store.canAppend(length)) {
      this.#state.noteRefused(length);
      throw new MomError(
        "storage_full",
        `Cannot publish to "${message.topic}": the broker's disk is full`,
      );
    }
    const rest = this.#restOf(job, Math.max(0, known));
    return this.#accept(rest) ? null : rest;
  }

  /** What is meant for one history does not get into another (PROTOCOL 8.5). */
  #checkEpoch({ topic, attributes }: Publish): void {
    const wanted = wantedEpoch(attributes);
    const { epoch } = this.#state.store;
    if (wanted === null || wanted === epoch) return;
    throw new MomError(
      "store_replaced",
      `Cannot publish to "${topic}": the store has epoch ${epoch}, not ${wanted}`,
    );
  }

  /** What a topic or a sequence takes stays for long, so there is a limit to them. */
  #checkTopics(producer: Producer, topic: Topic | undefined): void {
    const { topics } = this.#state;
    if (topic === undefined && topics.size >= LIMITS.topics) {
      throw new MomError(
        "storage_full",
        `Cannot publish to a new topic: this broker has ${topics.size}, which is the most`,
      );
    }
    const { size } = producer.sequences;
    const { sequenceCount } = this.#state.producers;
    if (
      size < LIMITS.topicsPerProducer && sequenceCount < LIMITS.sequences
    ) return;
    throw new MomError(
      "storage_full",
      `Cannot publish to another topic: this producer has published to ${size} of ${LIMITS.topicsPerProducer}, all together to ${sequenceCount} of ${LIMITS.sequences}`,
    );
  }

  #restOf(job: Job, known: number): Rest {
    const { message } = job;
    const { meta, bytes } = this.#metaOf(job);
    return {
      job,
      meta,
      metaBytes: bytes,
      body: known === 0
        ? message.batch
        : message.batch.subarray(splitOffset(message.batch, known)),
      count: message.count - known,
      sequence: message.firstSequence + known,
      offset: null,
      end: 0,
    };
  }

  #metaOf(job: Job): { meta: ItemMeta; bytes: Uint8Array } {
    const { producer, message } = job;
    const senderKey = this.#senderOf(producer)?.key ?? 0;
    const left = remainingMs(message.attributes);
    const meta = {
      senderKey,
      sender: producer.sender,
      expiresAtMs: left === null ? null : this.#state.nowMs() + left,
      attributes: kept(message.attributes),
    };
    if (left !== null || meta.attributes !== null) {
      return { meta, bytes: encodeMeta(meta, this.#state.store.timeline) };
    }
    if (producer.plainMeta?.userKey !== senderKey) {
      producer.plainMeta = {
        userKey: senderKey,
        bytes: encodeMeta(meta, null),
      };
    }
    return { meta, bytes: producer.plainMeta.bytes };
  }

  #senderOf(producer: Producer): User | undefined {
    return this.#state.users.get(producer.sender);
  }

  /** Appends what is left, up to a record that has to be staged; whether that was all. */
  #accept(rest: Rest): boolean {
    const most = ITEM_BYTES_MAX - rest.metaBytes.length;
    const { session, message } = rest.job;
    while (rest.count > 0) {
      const piece = cutBatch(rest.body, most);
      if (piece.bytes > most) return false;
      this.#append(rest, piece.bytes, piece.count);
    }
    this.#receipt(session, message.request, rest.offset);
    return true;
  }

  #append(rest: Rest, bytes: number, count: number): void {
    const { commits } = this.#state;
    commits.makeRoom(bytes + rest.metaBytes.length);
    const topic = this.#topicFor(rest.job);
    const body = rest.body.subarray(0, bytes);
    const base = commits.append(topic.log, count, rest.metaBytes, body);
    this.#accepted(rest, topic, base, count, body);
  }

  /** In the group of the append: everything that goes with it. */
  #accepted(
    rest: Rest,
    topic: Topic,
    base: number,
    count: number,
    body: Uint8Array,
  ): void {
    const state = this.#state;
    const { producer, message } = rest.job;
    const batch = {
      topic,
      base,
      count,
      position: state.store.openPosition,
      timeMs: state.store.openTime,
      meta: rest.meta,
      body,
    };
    if (rest.sequence === message.firstSequence) rest.offset = base;
    else if (base !== rest.end) rest.offset = null;
    rest.end = base + count;
    state.appendedBytes += body.length;
    rest.sequence += count;
    rest.count -= count;
    rest.body = rest.body.subarray(body.length);
    state.producers.advance(producer, topic.log, rest.sequence - 1);
    this.#settleOwn(topic, rest.meta, base, base + count);
    state.commits.whenDone(() => this.#deliveries.release(batch));
  }

  /** Settles the sender's own messages with their append, where they would come next. */
  #settleOwn(topic: Topic, meta: ItemMeta, base: number, end: number): void {
    const reader = this.#state.users.get(meta.sender)?.readers.get(topic.log);
    if (reader === undefined || reader.user.key !== meta.senderKey) return;
    const isNext = reader.settled.floor === base ||
      reader.user.flow?.isLive === true;
    const isClaimed = base < reader.claimEnd;
    if (!isNext || !isClaimed || reader.wantsEcho(base)) return;
    this.#state.settle(reader, base, end, RESULTS.own);
  }

  /** The topic, with all rows that it is to have. */
  #topicFor(job: Job): Topic {
    const { topics, store } = this.#state;
    // The time of the whole group: no clock is read for each record.
    const stampMs = store.openTime;
    const name = job.message.topic;
    const topic = topics.get(name) ?? topics.create(name, stampMs);
    topics.touch(topic, stampMs);
    this.#state.matchTopic(topic);
    return topic;
  }

  /** Opens a line: what follows of the same producer waits in it. */
  #openLine(rest: Rest): void {
    const { producer } = rest.job;
    const line: Line = { jobs: [], bytes: 0 };
    this.#lines.set(producer, line);
    const work = this.#serveLine(line, rest)
      .catch((error) => this.#state.onDefect(error))
      .finally(() => {
        this.#lines.delete(producer);
        this.#staging.delete(work);
        this.relieve();
      });
    this.#staging.add(work);
  }

  async #serveLine(line: Line, first: Rest): Promise<void> {
    await this.#acceptAll(line, first);
    while (true) {
      const job = line.jobs.shift();
      if (job === undefined) return;
      this.#count(line, -costOf(job.message));
      try {
        const rest = this.#take(job);
        if (rest !== null) await this.#acceptAll(line, rest);
      } catch (error) {
        this.#refuse(job, error);
      }
      this.#state.commits.finish();
    }
  }

  /** Accepts what is left, staging what has to be. */
  async #acceptAll(line: Line, rest: Rest): Promise<void> {
    try {
      do await this.#stage(line, rest); while (!this.#accept(rest));
    } catch (error) {
      this.#refuse(rest.job, error);
    }
    this.#state.commits.finish();
  }

  /** Writes the large record in front beside the log, then appends a pointer to it. */
  async #stage(line: Line, rest: Rest): Promise<void> {
    const { store, commits } = this.#state;
    const body = rest.body.subarray(0, recordEnd(rest.body, 0));
    this.#count(line, body.length);
    const blob = await store.stage(body)
      .finally(() => this.#count(line, -body.length));
    try {
      checkPresent(rest.job.producer);
    } catch (error) {
      store.discardStaged(blob);
      throw error;
    }
    commits.makeRoom(rest.metaBytes.length);
    const topic = this.#topicFor(rest.job);
    const base = commits.appendStaged(topic.log, rest.metaBytes, blob);
    this.#accepted(rest, topic, base, 1, body);
  }

  #refuse(job: Job, error: unknown): void {
    if (!(error instanceof MomError)) throw error;
    const { session, message } = job;
    session.send(toError(message.request, error.code, error.message, null));
  }

  /** As a receipt it tells what is on disk, so it waits for the disk. */
  #refuseSequence(session: Session, message: Publish, last: number): void {
    const text = `Cannot publish to "${message.topic}": the last sequence is ` +
      `${last}, not ${message.previous}`;
    const details = new Map([["last", last]]);
    const answer = toError(message.request, "out_of_sequence", text, details);
    this.#state.commits.whenDone(() => session.send(answer));
  }

  #receipt(session: Session, request: number, offset: number | null): void {
    this.#state.commits.whenDone(() =>
      session.send({ type: "RECEIPT", request, level: LEVEL.broker, offset })
    );
  }
}

/**
 * A producer may end while something of it waits: its handle then says all of it
 * again as another producer, so a part that were stored would be doubled (PROTOCOL 8.3).
 */
function checkPresent({ isGone }: Producer): void {
  if (!isGone) return;
  throw new MomError("bad_message", "Cannot publish: the producer ended");
}

function costOf({ batch }: Publish): number {
  return batch.length + JOB_BYTES;
}

function toError(
  request: number,
  code: ErrorCode,
  message: string,
  details: Map<string, unknown> | null,
): {
  type: "ERROR";
  request: number;
  code: ErrorCode;
  message: string;
  details: Map<string, unknown> | null;
} {
  return { type: "ERROR", request, code, message, details };
}
