/**
 * Whether a PUBLISH is taken: checks, and the comparison of its sequences with what
 * the producer has published to the topic (PROTOCOL 8.2, 8.3, 8.8). Changes nothing.
 *
 * @module
 */

import { wantedEpoch } from "../../protocol/attributes.ts";
import { MomError } from "../../protocol/errors.ts";
import { LIMITS } from "../../protocol/limits.ts";
import type { Publish } from "../../protocol/messages.ts";
import { checkBatch, checkPublishTopic } from "../../protocol/publish_check.ts";
import type { Producer } from "./producers.ts";
import type { Session } from "./session.ts";
import type { State } from "./state.ts";
import type { Topic } from "./topics.ts";

/** A PUBLISH on its way, or a part of a BUNDLE. */
export interface Job {
  readonly session: Session;
  readonly message: Publish;
  readonly producer: Producer;
}

/** What becomes of a job. */
export interface Verdict {
  /**
   * `known`: all of it is stored; `late`: something before it is missing; `fresh`: to
   * be accepted.
   */
  readonly kind: "known" | "late" | "fresh";
  /** The last sequence that is stored. */
  readonly last: number;
  /** How many of its records are stored. */
  readonly known: number;
}

/** What the parts of a bundle that were judged so far will add, each to a bound of its own. */
export interface Additions {
  topics: number;
  /** Pairs of producer and topic. */
  sequences: number;
  /** Pairs of user and topic. */
  readers: number;
  /** Whether there is room for the batches of all, as is known. */
  readonly hasRoom: boolean;
}

const NOTHING: Readonly<Additions> = {
  topics: 0,
  sequences: 0,
  readers: 0,
  hasRoom: false,
};

/** Judges publishes. */
export class Admission {
  readonly #state: State;
  readonly #maxMessageBytes: number;

  constructor(state: State, maxMessageBytes: number) {
    this.#state = state;
    this.#maxMessageBytes = maxMessageBytes;
  }

  /** Judges a job. @throws {MomError} Its refusal. */
  judge(job: Job): Verdict {
    return this.#judge(job, NOTHING);
  }

  /**
   * Judges a part of a bundle, which is not accepted before all are judged.
   *
   * @param additions Those of the parts before it; its own are added.
   * @throws {MomError} Its refusal.
   */
  judgePart(job: Job, additions: Additions): Verdict {
    const verdict = this.#judge(job, additions);
    if (verdict.kind === "fresh") this.#add(job, additions);
    return verdict;
  }

  #add({ message, producer }: Job, additions: Additions): void {
    const topic = this.#state.topics.get(message.topic);
    const isKnown = topic !== undefined && producer.sequences.has(topic.log);
    if (topic === undefined) additions.topics++;
    if (!isKnown) additions.sequences++;
    additions.readers += this.#state.newReaders(message.topic);
  }

  #judge(
    { message, producer }: Job,
    additions: Readonly<Additions>,
  ): Verdict {
    checkPresent(producer);
    const topic = this.#state.topics.get(message.topic);
    if (topic === undefined) checkPublishTopic(message.topic);
    checkBatch(message, this.#maxMessageBytes);
    const sequence = topic && producer.sequences.get(topic.log);
    if (sequence === undefined) this.#checkTopics(producer, topic, additions);
    const last = sequence?.last ?? 0;
    const known = Math.max(0, last - message.firstSequence + 1);
    if (known >= message.count) return { kind: "known", last, known };
    if (last < message.previous) return { kind: "late", last, known };
    // A batch that has begun is finished: a refusal would cover what is stored.
    if (known === 0) this.#checkFresh(message, additions);
    return { kind: "fresh", last, known };
  }

  #checkFresh(
    message: Publish,
    { readers, hasRoom }: Readonly<Additions>,
  ): void {
    const { length } = message.batch;
    this.#checkEpoch(message);
    this.#state.checkReaders(message.topic, readers);
    if (hasRoom || this.#state.store.canAppend(length)) return;
    this.#state.noteRefused(length);
    throw new MomError(
      "storage_full",
      `Cannot publish to "${message.topic}": the broker's disk is full`,
    );
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
  #checkTopics(
    producer: Producer,
    topic: Topic | undefined,
    additions: Readonly<Additions>,
  ): void {
    const topics = this.#state.topics.size + additions.topics;
    if (topic === undefined && topics >= LIMITS.topics) {
      throw new MomError(
        "storage_full",
        `Cannot publish to a new topic: this broker has ${topics}, which is the most`,
      );
    }
    const size = producer.sequences.size + additions.sequences;
    const all = this.#state.producers.sequenceCount + additions.sequences;
    if (size < LIMITS.topicsPerProducer && all < LIMITS.sequences) return;
    throw new MomError(
      "storage_full",
      `Cannot publish to another topic: this producer has published to ${size} of ${LIMITS.topicsPerProducer}, all together to ${all} of ${LIMITS.sequences}`,
    );
  }
}

/**
 * A producer may end while something of it waits: its handle then says all of it
 * again as another producer, so a part that were stored would be doubled (PROTOCOL 8.3).
 */
export function checkPresent({ isGone }: Producer): void {
  if (!isGone) return;
  throw new MomError("bad_message", "Cannot publish: the producer ended");
}
