/**
 * What a handle publishes until it is sent: an open batch for each topic, and the
 * order of publishing over all of them. What has more than one topic is sent as a
 * bundle, so that publishing to topics in turn does not cost a batch for each
 * record (PROTOCOL 8.12). No I/O.
 *
 * @module
 */

import { bundlePartBytes, orderOf, ranksOf } from "../../../protocol/bundle.ts";
import { LIMITS } from "../../../protocol/limits.ts";
import { areSame } from "./publish_terms.ts";
import type {
  BatchTerms,
  Outgoing,
  OutgoingBatch,
  TopicQueue,
} from "./topic_queue.ts";

/** Batches that go out together, in the order in which they were begun. */
export interface Bundled {
  readonly tags: readonly Outgoing[];
  /** The part of each record, in the order of publishing. */
  readonly order: Uint8Array;
  /** Those of its last sending. */
  requests: readonly number[];
}

/** What has no more topics is a bundle also where none of them comes twice. */
const FEW_TOPICS = 16;
/** Records of a bundle to begin with. */
const ORDER_CAPACITY = 256;

/** Open batches of one or more topics. */
export class Gathering {
  /** Bytes of all records. */
  bytes = 0;
  readonly terms: BatchTerms;
  /** When it was begun, on the monotonic clock. */
  readonly beganMs: number;
  readonly #queues: TopicQueue[] = [];
  readonly #tags: Outgoing[] = [];
  /** Not kept as long as there is one topic. */
  #order: Uint8Array | null = null;
  #records = 0;
  /** Records with none of another topic between. */
  #runs = 0;
  #lastPart = -1;
  /** It has a record that is too large for a bundle. */
  #hasLarge = false;

  constructor(terms: BatchTerms, beganMs: number) {
    this.terms = terms;
    this.beganMs = beganMs;
  }

  /** How many topics there are. */
  get topics(): number {
    return this.#queues.length;
  }

  /** Whether records on these terms, to one more topic, may be added. */
  takes(terms: BatchTerms): boolean {
    return this.topics < LIMITS.bundleParts && !this.#hasLarge &&
      areSame(this.terms, terms);
  }

  /** Whether a record of this length may be added, which is too large for a bundle. */
  fits(bytes: number): boolean {
    return this.topics === 1 || bytes <= LIMITS.bundledRecordBytes;
  }

  /** A topic's batch begins. @returns Its number. */
  join(queue: TopicQueue, tag: Outgoing): number {
    this.#queues.push(queue);
    // What names a part takes of the frame, too.
    if (this.topics > 1) this.bytes += bundlePartBytes(queue.topic);
    if (this.#tags.push(tag) === 2) {
      // All until now were the first one's.
      const capacity = Math.max(ORDER_CAPACITY, 2 * this.#records);
      this.#order = new Uint8Array(capacity);
    }
    return this.#tags.length - 1;
  }

  /** The batch that began last comes to nothing. */
  leave(): void {
    const isPart = this.topics > 1;
    const queue = this.#queues.pop();
    if (isPart) this.bytes -= bundlePartBytes(queue!.topic);
    this.#tags.pop();
    if (this.topics === 1) this.#order = null;
  }

  /** A record was laid into the batch with a number. */
  add(part: number, bytes: number): void {
    this.bytes += bytes;
    if (bytes > LIMITS.bundledRecordBytes) this.#hasLarge = true;
    if (part !== this.#lastPart) {
      this.#lastPart = part;
      this.#runs++;
    }
    const at = this.#records++;
    if (this.#order === null) return;
    this.bytes++;
    if (at === this.#order.length) {
      const longer = new Uint8Array(2 * at);
      longer.set(this.#order);
      this.#order = longer;
    }
    this.#order[at] = part;
  }

  /** Closes all batches: they wait to be sent. */
  close(): void {
    // Where no topic comes twice the batches are in order one behind the other, and
    // many of them cost less than as many parts.
    const isInOrder = this.#runs === this.topics && this.topics > FEW_TOPICS;
    if (this.#order === null || isInOrder) {
      for (const queue of this.#queues) queue.close(null);
      return;
    }
    // In one memory: the frame is not put together again.
    const lengths = this.#queues.map((queue) => queue.openBytes);
    const bytes = new Uint8Array(lengths.reduce((sum, each) => sum + each, 0));
    let at = 0;
    for (const [i, queue] of this.#queues.entries()) {
      queue.close(bytes.subarray(at, at += lengths[i]!));
    }
    const order = this.#order.slice(0, this.#records);
    const bundled: Bundled = { tags: this.#tags, order, requests: [] };
    for (const tag of this.#tags) tag.bundled = bundled;
  }
}

/** The order of the records of those batches of a bundle that are sent. */
export function orderOfPart(
  { tags, order }: Bundled,
  batches: readonly OutgoingBatch[],
): Uint8Array {
  if (batches.length === tags.length) return order;
  const parts = batches.map(({ tag }) => tags.indexOf(tag));
  // Of the others nobody needs to know how many records they have.
  const counts = tags.map(() => order.length);
  for (const [i, part] of parts.entries()) counts[part] = batches[i]!.count;
  const ranks = ranksOf(order, counts);
  return orderOf(parts.map((part) => ranks[part]!));
}
