import assert from "node:assert/strict";
import { orderOfPart } from "../../daemon/client/publishing/gathering.ts";
import {
  DEFAULT_OPTIONS,
  readTerms,
} from "../../daemon/client/publishing/publish_terms.ts";
import { SendLine } from "../../daemon/client/publishing/send_line.ts";
import {
  BufferPool,
  type Outgoing,
  type OutgoingBatch,
  TopicQueue,
} from "../../daemon/client/publishing/topic_queue.ts";
import { Random } from "../helpers/random.ts";

const SEED = Date.now() % 1_000_000;
const TERMS = readTerms(DEFAULT_OPTIONS);

/** Queues of one handle whose other side takes bundles. */
class Queues {
  readonly line = new SendLine();
  readonly #pool = new BufferPool(1_000);
  readonly #queues = new Map<string, TopicQueue>();

  constructor() {
    this.line.takesBundles = true;
  }

  of(topic: string): TopicQueue {
    const known = this.#queues.get(topic);
    if (known !== undefined) return known;
    const queue = new TopicQueue(topic, this.#pool, this.line);
    this.#queues.set(topic, queue);
    return queue;
  }

  /** One record for each letter, to the topic of that name. */
  publish(topics: string): void {
    for (const topic of topics) this.of(topic).append(topic, {}, TERMS, 0);
  }

  /** What waits next and goes together, as the line has it. */
  next(): Outgoing[] {
    const first = this.line.shift();
    if (first === null) return [];
    const tags = [first];
    while (true) {
      const other = this.line.shiftBundled(first);
      if (other === null) return tags;
      tags.push(other);
    }
  }
}

let requests = 0;

/** Gives a batch out. */
const sent = (tag: Outgoing): OutgoingBatch => tag.queue.next(tag, ++requests)!;

/** The topics of records in an order of some batches. */
const topicsIn = (order: Uint8Array, batches: readonly OutgoingBatch[]) =>
  Array.from(order, (part) => batches[part].tag.queue.topic).join("");

Deno.test("orderOfPart() of all batches of a bundle is its order", () => {
  const queues = new Queues();
  queues.publish("abacba");
  queues.line.seal();
  const batches = queues.next().map(sent);
  const { bundled } = batches[0].tag;
  assert.equal(batches.length, 3);
  assert.equal(topicsIn(orderOfPart(bundled!, batches), batches), "abacba");
});

Deno.test("orderOfPart() of what is left of a bundle is the order of that", () => {
  const random = new Random(SEED);
  for (let round = 0; round < 200; round++) {
    const queues = new Queues();
    const topics = [..."abcdefgh"].slice(0, random.integer(2, 8));
    const what = Array.from(
      { length: random.integer(2, 700) },
      () => random.pick(topics),
    ).join("");
    queues.publish(what);
    queues.line.seal();
    const tags = queues.next();
    if (tags.length < 2) continue;
    // Some are taken back before they were ever sent.
    const left = tags.filter(() => random.chance(0.6));
    const batches = left.map(sent);
    const names = left.map(({ queue }) => queue.topic);
    const order = orderOfPart(tags[0].bundled!, batches);
    assert.equal(
      topicsIn(order, batches),
      [...what].filter((each) => names.includes(each)).join(""),
      `seed ${SEED}, round ${round}`,
    );
  }
});

Deno.test("what was taken back is no part of its bundle, and the rest goes on together", () => {
  const queues = new Queues();
  queues.publish("abcab");
  queues.line.seal();
  const b = queues.of("b").stream.first()!;
  assert(queues.of("b").stream.withdraw(b));
  const tags = queues.next();
  assert.deepEqual(tags.map(({ queue }) => queue.topic), ["a", "b", "c"]);
  const batches = tags.map((tag) => tag.queue.next(tag, ++requests))
    .filter((each) => each !== null);
  const order = orderOfPart(tags[0].bundled!, batches);
  assert.equal(topicsIn(order, batches), "aca");
});

Deno.test("what gathers of one topic alone is no bundle, also when another topic came to nothing", () => {
  const queues = new Queues();
  queues.publish("a");
  assert.throws(() => queues.of("b").append(() => {}, {}, TERMS, 0));
  queues.publish("a");
  queues.line.seal();
  const [tag, ...others] = queues.next();
  assert.deepEqual(others, []);
  assert.equal(tag.bundled, null);
  assert.equal(sent(tag).count, 2);
  assert(queues.line.isEmpty);
});
