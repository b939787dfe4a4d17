import assert from "node:assert/strict";
import { fc } from "../../deps/fast_check.ts";
import { type PendingBatch, ProducerStream } from "../../daemon/stream.ts";
import { MomError } from "../../protocol/errors.ts";

function batch(firstSequence: number, count: number, tag = `${firstSequence}`) {
  const bytes = new Uint8Array(count);
  return { firstSequence, count, attributes: null, bytes, tag };
}

function streamOf(...sizes: number[]): ProducerStream<string> {
  const stream = new ProducerStream<string>();
  for (const size of sizes) stream.push(batch(stream.nextSequence, size));
  return stream;
}

const shown = (pending: PendingBatch<string> | null) =>
  pending && [pending.firstSequence, pending.count, pending.previous];

Deno.test("ProducerStream gives batches out in order, each with the one before as previous", () => {
  const stream = streamOf(3, 1, 2);
  assert.deepEqual(shown(stream.next(1)), [1, 3, 0]);
  assert.deepEqual(shown(stream.next(2)), [4, 1, 3]);
  assert.equal(stream.inFlightBytes, 4);
  assert.deepEqual(shown(stream.next(3)), [5, 2, 4]);
  assert.equal(stream.next(4), null);
  assert.equal(stream.answered(2)?.tag, "4");
  assert.equal(stream.answered(1)?.tag, "1");
  assert.equal(stream.answered(3)?.tag, "5");
  assert.deepEqual([stream.size, stream.bytes, stream.inFlightBytes], [
    0,
    0,
    0,
  ]);
  assert.equal(stream.accepted, 6);
});

Deno.test("ProducerStream continues from the sequence that it is told is stored", () => {
  const stream = new ProducerStream<string>(41);
  stream.push(batch(stream.nextSequence, 1));
  assert.deepEqual(shown(stream.next(1)), [42, 1, 41]);
});

Deno.test("ProducerStream refuses a batch that does not lie above all earlier ones", () => {
  const stream = streamOf(3);
  assert.throws(() => stream.push(batch(3, 1)), RangeError);
  assert.throws(() => stream.push(batch(4, 0)), RangeError);
  stream.push(batch(9, 1));
  stream.next(1);
  assert.deepEqual(shown(stream.next(2)), [9, 1, 3]);
});

Deno.test("refused() leaves a hole that what follows goes around, after one repetition", () => {
  const stream = streamOf(10, 10, 10);
  for (const request of [1, 2, 3]) stream.next(request);
  assert.equal(stream.refused(1)?.tag, "1");
  assert.deepEqual(stream.outOfSequence(2, 0), []);
  assert.deepEqual(shown(stream.next(4)), [11, 10, 0]);
  // The answer to the first sending of the third one belongs to the same disturbance.
  assert.deepEqual(stream.outOfSequence(3, 0), []);
  assert.equal(stream.refused(3), null);
  assert.equal(stream.answered(3), null);
  assert.deepEqual(shown(stream.next(5)), [21, 10, 20]);
  assert.equal(stream.next(6), null);
});

Deno.test("outOfSequence() counts batches that the other side has whole as answered", () => {
  const stream = streamOf(5, 5, 5);
  for (const request of [1, 2, 3]) stream.next(request);
  const answered = stream.outOfSequence(3, 7);
  assert.deepEqual(answered.map((each) => each.tag), ["1"]);
  assert.deepEqual(shown(stream.next(4)), [6, 5, 5]);
  assert.deepEqual(shown(stream.next(5)), [11, 5, 10]);
});

Deno.test("outOfSequence() goes on from there when the other side lost what it had", () => {
  const stream = streamOf(5, 5);
  stream.next(1);
  stream.answered(1);
  stream.next(2);
  stream.outOfSequence(2, 3);
  assert.equal(stream.accepted, 3);
  assert.deepEqual(shown(stream.next(3)), [6, 5, 3]);
});

Deno.test("outOfSequence() throws when the answer contradicts the request", () => {
  const stream = streamOf(5, 5);
  stream.next(1);
  stream.next(2);
  assert.throws(
    () => stream.outOfSequence(2, 5),
    (error) => error instanceof MomError && error.code === "bad_message",
  );
});

Deno.test("rewind() has everything go out again, and old answers count no more", () => {
  const stream = streamOf(2, 2);
  stream.next(1);
  stream.next(2);
  stream.rewind();
  assert.deepEqual([stream.waiting, stream.inFlightBytes], [2, 0]);
  assert.equal(stream.answered(1), null);
  assert.deepEqual(shown(stream.next(3)), [1, 2, 0]);
  assert.equal(stream.first()?.sendings, 2);
});

Deno.test("noted() keeps the batch until its final answer", () => {
  const stream = streamOf(2, 2);
  stream.next(1);
  stream.next(2);
  assert.equal(stream.noted(1)?.tag, "1");
  assert.equal(stream.answered(2)?.tag, "3");
  stream.push(batch(5, 1));
  stream.rewind();
  assert.deepEqual(shown(stream.next(3)), [1, 2, 0]);
  assert.deepEqual(shown(stream.next(4)), [5, 1, 4]);
  assert.equal(stream.answered(3)?.tag, "1");
});

Deno.test("withdraw() takes back only what was never given out", () => {
  const stream = streamOf(2, 2, 2);
  const [first, second] = [...stream];
  stream.next(1);
  assert.equal(stream.withdraw(first!), false);
  assert.equal(stream.withdraw(second!), true);
  assert.equal(stream.withdraw(second!), false);
  assert.deepEqual(shown(stream.next(2)), [5, 2, 2]);
  stream.rewind();
  assert.equal(stream.withdraw(first!), false);
});

Deno.test("ProducerStream keeps its list short over many batches", () => {
  const stream = new ProducerStream<string>();
  for (let i = 1; i <= 5_000; i++) {
    stream.push(batch(stream.nextSequence, 1));
    stream.next(i);
    if (i > 3) assert.equal(stream.answered(i - 3)?.tag, `${i - 3}`);
  }
  assert.deepEqual([stream.size, stream.inFlight, stream.waiting], [3, 3, 0]);
});

type Sent = { request: number; previous: number; first: number; count: number };
type Answer = Sent & { kind: "ok" | "refused" | "out"; last: number };

/** The other side as PROTOCOL 8.3 has it, with lines that lose and repeat. */
class ModelServer {
  last = 0;
  stored: number[] = [];
  inbound: Sent[] = [];
  outbound: Answer[] = [];

  take(refuses: boolean, breaksAfter: number): void {
    const sent = this.inbound.shift();
    if (sent === undefined) return;
    const end = sent.first + sent.count - 1;
    const reply = (kind: Answer["kind"]) =>
      this.outbound.push({ ...sent, kind, last: this.last });
    if (end <= this.last) return void reply("ok");
    if (this.last < sent.previous) return void reply("out");
    if (refuses) return void reply("refused");
    const begin = Math.max(sent.first, this.last + 1);
    // A batch larger than a commit is stored in pieces; a crash can come between.
    const until = Math.min(end, begin + breaksAfter);
    for (let n = begin; n <= until; n++) this.stored.push(n);
    this.last = until;
    if (until < end) return this.disconnect();
    reply("ok");
  }

  disconnect(): void {
    this.inbound = [];
    this.outbound = [];
  }
}

const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("push" as const),
      count: fc.integer({ min: 1, max: 5 }),
    }),
  },
  { weight: 5, arbitrary: fc.record({ do: fc.constant("send" as const) }) },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant("serve" as const),
      refuses: fc.nat(4).map((n) => n === 0),
      breaksAfter: fc.nat(12),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant("answer" as const),
      twice: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("cut" as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("withdraw" as const) }) },
);

Deno.test("ProducerStream has everything that is not refused stored once and in order", () => {
  const property = fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
    const stream = new ProducerStream<string>();
    const server = new ModelServer();
    const settled = new Map<number, "ok" | "hole">();
    let requests = 0;

    const settle = (
      pending: PendingBatch<string> | null,
      how: "ok" | "hole",
    ) => {
      if (pending === null) return;
      for (let i = 0; i < pending.count; i++) {
        assert.ok(!settled.has(pending.firstSequence + i), "answered once");
        settled.set(pending.firstSequence + i, how);
      }
    };
    const send = () => {
      const pending = stream.next(requests + 1);
      if (pending === null) return;
      const { previous, firstSequence: first, count } = pending;
      assert.ok(previous < first);
      server.inbound.push({ request: ++requests, previous, first, count });
    };
    const cut = () => {
      server.disconnect();
      stream.rewind();
    };
    const answer = (twice: boolean) => {
      const got = server.outbound.shift();
      if (got === undefined) return;
      for (let i = 0; i < (twice ? 2 : 1); i++) {
        if (got.kind === "ok") settle(stream.answered(got.request), "ok");
        else if (got.kind === "refused") {
          settle(stream.refused(got.request), "hole");
        } else {for (
            const each of stream.outOfSequence(got.request, got.last)
          ) settle(each, "ok");}
      }
    };

    for (const each of steps) {
      if (each.do === "push") {
        stream.push(batch(stream.nextSequence, each.count));
      } else if (each.do === "send") send();
      else if (each.do === "serve") {
        server.take(each.refuses, each.breaksAfter);
        if (server.inbound.length + server.outbound.length === 0) {
          stream.rewind();
        }
      } else if (each.do === "answer") answer(each.twice);
      else if (each.do === "cut") cut();
      else {
        const next = stream.peek();
        if (next !== null && stream.withdraw(next)) settle(next, "hole");
      }
    }
    // A quiet end: one reconnect, then no more faults. One disturbance, one repetition.
    cut();
    let rounds = 0;
    while (stream.size > 0) {
      assert.ok(++rounds < 2_000, "comes to an end");
      send();
      server.take(false, 1_000);
      answer(false);
    }
    const end = stream.nextSequence - 1;
    assert.deepEqual(
      server.stored,
      [...server.stored].sort((a, b) => a - b),
      "in order",
    );
    assert.equal(new Set(server.stored).size, server.stored.length, "once");
    const stored = new Set(server.stored);
    for (let n = 1; n <= end; n++) {
      assert.ok(settled.has(n), `${n} has an answer`);
      if (settled.get(n) === "ok") assert.ok(stored.has(n), `${n} is stored`);
    }
    assert.deepEqual([stream.bytes, stream.inFlightBytes, stream.inFlight], [
      0,
      0,
      0,
    ]);
  });
  fc.assert(property, { numRuns: 500 });
});
