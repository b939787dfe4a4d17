import assert from "node:assert/strict";
import {
  bundlePartBytes,
  deliveriesOf,
  joined,
  orderOf,
  publishesOf,
  type Ranks,
  ranksOf,
  runsOf,
} from "../../protocol/bundle.ts";
import { CborWriter } from "../../protocol/cbor.ts";
import { MomError } from "../../protocol/errors.ts";
import { agreed, FEATURES, notAgreed } from "../../protocol/features.ts";
import { encodeFrame } from "../../protocol/frames.ts";
import { LIMITS } from "../../protocol/limits.ts";
import type { Bundle, DeliverBundle } from "../../protocol/messages.ts";
import { Random } from "../helpers/random.ts";

const seed = Date.now() % 1_000_000;

/** A record that is so many bytes long with its head. */
function recordOf(bytes: number, fill: number): Uint8Array {
  const writer = new CborWriter();
  const head = bytes <= 24 ? 1 : bytes <= 257 ? 2 : 3;
  writer.bytes(new Uint8Array(bytes - head).fill(fill));
  const record = writer.take();
  assert.equal(record.length, bytes);
  return record;
}

/** What was published: the part and the bytes of each record, in order. */
interface Published {
  readonly part: number;
  readonly record: Uint8Array;
}

function publish(random: Random, parts: number): Published[] {
  // Each part is begun before the next one, as those who publish do.
  const all: Published[] = [];
  const add = (part: number) => {
    const record = recordOf(random.integer(1, 24), all.length & 0xff);
    all.push({ part, record });
  };
  for (let begun = 1; begun <= parts; begun++) {
    add(begun - 1);
    for (let more = random.integer(0, 6); more > 0; more--) {
      add(random.integer(0, begun - 1));
    }
  }
  return all;
}

const recordsOf = (published: readonly Published[], part: number) =>
  published.filter((each) => each.part === part).map(({ record }) => record);

const orderedParts = (published: readonly Published[]) =>
  Uint8Array.from(published, ({ part }) => part);

const countsOf = (published: readonly Published[], parts: number) =>
  Array.from({ length: parts }, (_, part) => recordsOf(published, part).length);

/** Runs `check` with many things that may have been published. */
function manyTimes(
  check: (published: Published[], parts: number, random: Random) => void,
): void {
  const random = new Random(seed);
  for (let round = 0; round < 300; round++) {
    const parts = random.integer(1, random.pick([1, 2, 5, 64]));
    const published = publish(random, parts);
    try {
      check(published, parts, random);
    } catch (cause) {
      throw new Error(`It failed with seed ${seed}, round ${round}`, { cause });
    }
  }
}

Deno.test("ranksOf() gives each record's place among all, orderOf() the order back", () => {
  manyTimes((published, parts) => {
    const order = orderedParts(published);
    const ranks = ranksOf(order, countsOf(published, parts));
    for (let part = 0; part < parts; part++) {
      const places = published.flatMap((each, rank) =>
        each.part === part ? [rank] : []
      );
      assert.deepEqual([...ranks[part]], places);
    }
    assert.deepEqual(orderOf(ranks), order);
  });
});

/** A piece of each of some parts: what is known of it is left off, at either end. */
function piecesOf(ranks: readonly Ranks[], random: Random) {
  return ranks.flatMap((each, part) => {
    if (random.chance(0.2)) return [];
    const from = random.integer(0, each.length);
    const to = random.integer(from, each.length);
    return from === to ? [] : [{ part, from, to }];
  });
}

Deno.test("orderOf() of pieces of parts keeps the order of what is left", () => {
  manyTimes((published, parts, random) => {
    const ranks = ranksOf(
      orderedParts(published),
      countsOf(published, parts),
    );
    const pieces = piecesOf(ranks, random);
    const order = orderOf(
      pieces.map(({ part, from, to }) => ranks[part].subarray(from, to)),
    );
    const seen = new Array(parts).fill(0);
    const left = published.flatMap(({ part }) => {
      const index = seen[part]++;
      const piece = pieces.findIndex((each) => each.part === part);
      if (piece === -1) return [];
      const { from, to } = pieces[piece];
      return from <= index && index < to ? [piece] : [];
    });
    assert.deepEqual([...order], left);
  });
});

Deno.test("orderOf() of nothing is nothing", () => {
  assert.deepEqual(orderOf([]), new Uint8Array(0));
  assert.deepEqual(orderOf([new Uint16Array(0)]), new Uint8Array(0));
});

Deno.test("runsOf() gives records of a part that follow each other, in the order of publishing", () => {
  manyTimes((published, parts) => {
    const ranks = ranksOf(
      orderedParts(published),
      countsOf(published, parts),
    );
    const runs = runsOf(ranks.map((each, part) => ({
      bytes: joined(recordsOf(published, part)),
      ranks: each,
    })));
    const taken = new Array(parts).fill(0);
    let at = 0;
    for (const [i, run] of runs.entries()) {
      const { part, index, count, bytes, isLast } = run;
      // As long as it can be.
      assert.notEqual(runs[i - 1]?.part, part);
      assert.equal(index, taken[part]);
      const records = published.slice(at, at += count);
      assert(records.every((each) => each.part === part));
      assert.deepEqual(bytes, joined(records.map(({ record }) => record)));
      taken[part] += count;
      assert.equal(isLast, taken[part] === ranks[part].length);
    }
    assert.equal(at, published.length);
  });
});

Deno.test("runsOf() of pieces of parts runs over what lies between them no more", () => {
  // a1 b1 a2 b2 a3, of which a1 and b2 are known already.
  const ranks = ranksOf(Uint8Array.of(0, 1, 0, 1, 0), [3, 2]);
  const [a2, a3, b1] = [recordOf(5, 2), recordOf(6, 3), recordOf(7, 4)];
  const runs = runsOf([
    { bytes: joined([a2, a3]), ranks: ranks[0].subarray(1) },
    { bytes: b1, ranks: ranks[1].subarray(0, 1) },
  ]);
  assert.deepEqual(runs, [
    { part: 1, index: 0, count: 1, bytes: b1, isLast: true },
    { part: 0, index: 0, count: 2, bytes: joined([a2, a3]), isLast: true },
  ]);
});

Deno.test("bundlePartBytes() is no less than what a part takes of its frame", () => {
  const largest = Number.MAX_SAFE_INTEGER;
  const numbers = [largest, largest - 2, largest - 1, 1, 1];
  for (const name of ["t", "x".repeat(255), "ä".repeat(127), "漢".repeat(85)]) {
    const frame = (topics: string[]) =>
      encodeFrame({
        ...bundle(),
        topics,
        parts: topics.flatMap(() => numbers),
      }).length;
    // From two on the heads of both lists are the same.
    const bytes = frame([name, name, name]) - frame([name, name]);
    assert(bytes <= bundlePartBytes(name), `${name}: ${bytes}`);
  }
});

const A = [recordOf(4, 1), recordOf(30, 2)];
const B = [recordOf(9, 3)];

/** a1 b1 a2. */
function bundle(fields: Partial<Bundle> = {}): Bundle {
  return {
    type: "BUNDLE",
    producer: new Uint8Array(16).fill(7),
    attributes: null,
    wanted: 1,
    topics: ["a", "b"],
    parts: [20, 4, 6, 2, 34, 21, 0, 1, 1, 9],
    order: Uint8Array.of(0, 1, 0),
    batch: joined([...A, ...B]),
    ...fields,
  };
}

function deliverBundle(fields: Partial<DeliverBundle> = {}): DeliverBundle {
  return {
    type: "DELIVER_BUNDLE",
    refs: [1],
    position: 77,
    time: 1_700_000_000_000,
    sender: "ana@north",
    attributes: new Map([[1, 5_000]]),
    topics: ["a", "b"],
    parts: [901, 40, 2, 0, 34, 902, 0, 1, 3, 9],
    order: Uint8Array.of(0, 1, 0),
    batch: joined([...A, ...B]),
    ...fields,
  };
}

Deno.test("publishesOf() gives each part as a publish of its own", () => {
  const attributes = new Map([[1, 5_000]]);
  const common = {
    type: "PUBLISH",
    producer: new Uint8Array(16).fill(7),
    attributes,
    wanted: 1,
  } as const;
  assert.deepEqual(publishesOf(bundle({ attributes })), [
    {
      ...common,
      request: 20,
      topic: "a",
      previous: 4,
      firstSequence: 6,
      count: 2,
      batch: joined(A),
    },
    {
      ...common,
      request: 21,
      topic: "b",
      previous: 0,
      firstSequence: 1,
      count: 1,
      batch: joined(B),
    },
  ]);
});

Deno.test("deliveriesOf() gives each part as a delivery of its own", () => {
  const common = {
    type: "DELIVER",
    position: 77,
    time: 1_700_000_000_000,
    sender: "ana@north",
    attributes: new Map([[1, 5_000]]),
  } as const;
  assert.deepEqual(deliveriesOf(deliverBundle()), [
    {
      ...common,
      logId: 901,
      topic: "a",
      baseOffset: 40,
      count: 2,
      flags: 0,
      batch: joined(A),
    },
    {
      ...common,
      logId: 902,
      topic: "b",
      baseOffset: 0,
      count: 1,
      flags: 3,
      batch: joined(B),
    },
  ]);
});

type Shape = Partial<
  Pick<Bundle, "topics" | "parts" | "order" | "batch">
>;

/** The numbers of a part, of which only the count and the bytes matter. */
const part = (kind: "BUNDLE" | "DELIVER_BUNDLE") =>
(
  count: number,
  bytes: number,
) => kind === "BUNDLE" ? [1, 0, 1, count, bytes] : [1, 0, count, 0, bytes];

/** Contradictions of both kinds: what is wrong, and the field that is named. */
function contradictions(
  kind: "BUNDLE" | "DELIVER_BUNDLE",
): [what: string, shape: Shape, field: string][] {
  const of = part(kind);
  const two = [...of(2, 34), ...of(1, 9)];
  const over = LIMITS.bundleBytes + 1 - 34;
  const tooMuch = joined([...A, new Uint8Array(over)]);
  return [
    ["fewer parts than topics", { parts: of(2, 34) }, "parts"],
    ["more parts than topics", { parts: [...two, ...of(1, 1)] }, "parts"],
    ["half a part", { parts: two.slice(0, 8) }, "parts"],
    ["a count above the order's", {
      parts: [...of(3, 34), ...of(1, 9)],
    }, "order"],
    ["a count below the order's", {
      parts: [...of(1, 34), ...of(1, 9)],
    }, "order"],
    ["a part without records", {
      parts: [...of(3, 34), ...of(0, 9)],
      order: Uint8Array.of(0, 0, 0),
    }, "order"],
    ["turns of one part that are another's", {
      order: Uint8Array.of(0, 1, 1),
    }, "order"],
    ["an order that is too short", { order: Uint8Array.of(0, 1) }, "order"],
    ["a part that is not there", {
      order: Uint8Array.of(0, 1, 0, 2),
    }, "order"],
    ["the part that no part is", {
      order: Uint8Array.of(0, 1, 0, 255),
    }, "order"],
    ["fewer bytes than the batch's", {
      parts: [...of(2, 34), ...of(1, 8)],
    }, "batch"],
    ["more bytes than the batch's", {
      parts: [...of(2, 34), ...of(1, 10)],
    }, "batch"],
    ["a batch that is too large", {
      parts: [...of(2, 34), ...of(1, over)],
      batch: tooMuch,
    }, "batch"],
    ["more records than a batch of so many bytes can have", {
      parts: [...of(2, 34), ...of(10, 9)],
      order: Uint8Array.of(0, 0, ...new Array(10).fill(1)),
    }, "order"],
  ];
}

function assertRefused(kind: string, field: string, call: () => unknown): void {
  assert.throws(call, (error) => {
    assert(error instanceof MomError, Deno.inspect(error));
    assert.equal(error.code, "bad_message");
    assert.match(error.message, new RegExp(`^Cannot take ${kind}: `));
    assert.match(error.message, new RegExp(`field "${field}" `));
    return true;
  });
}

for (const [what, shape, field] of contradictions("BUNDLE")) {
  Deno.test(`publishesOf() refuses ${what}`, () => {
    const message = bundle(shape);
    assertRefused("BUNDLE", field, () => publishesOf(message));
  });
}

for (const [what, shape, field] of contradictions("DELIVER_BUNDLE")) {
  Deno.test(`deliveriesOf() refuses ${what}`, () => {
    const message = deliverBundle(shape);
    assertRefused("DELIVER_BUNDLE", field, () => deliveriesOf(message));
  });
}

Deno.test("publishesOf() refuses a topic that is named twice", () => {
  const message = bundle({ topics: ["a", "a"] });
  assertRefused("BUNDLE", "topics", () => publishesOf(message));
});

Deno.test("publishesOf() takes a record of 32 KiB with its head, and none above", () => {
  const withRecord = (bytes: number) => {
    // In the middle of its part.
    const records = [recordOf(4, 1), recordOf(bytes, 2), recordOf(4, 3)];
    return bundle({
      parts: [1, 0, 1, 3, bytes + 8, 2, 0, 1, 1, 9],
      order: Uint8Array.of(0, 1, 0, 0),
      batch: joined([...records, ...B]),
    });
  };
  const most = LIMITS.bundledRecordBytes;
  assert.equal(most, 32 * 1024);
  assert.equal(publishesOf(withRecord(most)).length, 2);
  const large = withRecord(most + 1);
  assertRefused("BUNDLE", "batch", () => publishesOf(large));
});

Deno.test("publishesOf() refuses a large part whose records end nowhere", () => {
  const bytes = LIMITS.bundledRecordBytes + 1;
  // An array of bytes is announced that is longer than the part.
  const batch = new Uint8Array(bytes + 9);
  batch.set([0x59, 0xff, 0xff]);
  batch.set(B[0], bytes);
  const message = bundle({
    parts: [1, 0, 1, 2, bytes, 2, 0, 1, 1, 9],
    batch,
  });
  assert.throws(
    () => publishesOf(message),
    (error) => error instanceof MomError && error.code === "bad_message",
  );
});

Deno.test("publishesOf() takes 56 KiB of records, and 64 parts", () => {
  const parts = LIMITS.bundleParts;
  const each = LIMITS.bundleBytes / parts;
  const records = Array.from({ length: parts }, (_, i) => recordOf(each, i));
  const publishes = publishesOf(bundle({
    topics: records.map((_, i) => `t/${i}`),
    parts: records.flatMap((_, i) => [i, 0, 1, 1, each]),
    order: Uint8Array.from(records, (_, i) => i),
    batch: joined(records),
  }));
  assert.deepEqual(publishes.map(({ batch }) => batch), records);
  assert.deepEqual(
    publishes.map(({ topic, request }) => [topic, request]),
    records.map((_, i) => [`t/${i}`, i]),
  );
});

Deno.test("publishesOf() takes attributes of 64 bytes, and no more", () => {
  // A map of one, key 11, and bytes with a head of two.
  const attributes = (bytes: number) =>
    new Map([[11, new Uint8Array(bytes - 4)]]);
  const most = LIMITS.bundleAttributesBytes;
  assert.equal(most, 64);
  const fits = bundle({ attributes: attributes(most) });
  assert.equal(publishesOf(fits).length, 2);
  const large = bundle({ attributes: attributes(most + 1) });
  assertRefused("BUNDLE", "attributes", () => publishesOf(large));
});

Deno.test("agreed() are the features that both sides know, in our order", () => {
  assert.deepEqual(agreed(["a", "b", "c"], ["c", "x", "a"]), ["a", "c"]);
  assert.deepEqual(agreed(FEATURES, []), []);
  assert.deepEqual(agreed([], FEATURES), []);
  assert.deepEqual(agreed(FEATURES, ["bundles", "later"]), ["bundles"]);
});

Deno.test("notAgreed() is unsupported and names the message", () => {
  const error = notAgreed("BUNDLE");
  assert.equal(error.code, "unsupported");
  assert.match(error.message, /BUNDLE/);
});
