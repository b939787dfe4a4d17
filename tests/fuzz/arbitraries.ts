/**
 * Valid messages of every op, drawn by fast-check from the declarations in
 * protocol/messages.ts: whatever is declared there is drawn here, without a list of
 * its own. Names, ids and topics are few, so that messages meet each other.
 *
 * @module
 */

import { fc } from "../../deps/fast_check.ts";
import { countRecords, recordEnd } from "../../protocol/batch.ts";
import type { CborItem } from "../../protocol/cbor.ts";
import { toLogId } from "../../protocol/log_id.ts";
import { type MessageKind, messageKinds } from "../../protocol/messages.ts";
import { encodeRecord } from "../../protocol/record.ts";

/** The content of a frame: an op and its fields. */
export type Fields = CborItem[];

type Draw = fc.Arbitrary<CborItem>;
/** As much of a valibot schema as is looked at. */
interface Schema {
  readonly type: string;
  readonly pipe?: readonly unknown[];
  readonly options?: readonly CborItem[];
  readonly wrapped?: Schema;
}

const NAMES = ["ana", "ben", "cy"];
const TOPICS = ["t", "t/1", "t/1/2", "u"];
const FILTERS = [...TOPICS, "#", "+", "t/#", "t/+", "+/1/#"];
const LARGEST = Number.MAX_SAFE_INTEGER;
const OFTEN = [
  "PUBLISH",
  "ACK",
  "ATTACH",
  "SUBSCRIBE",
  "BUNDLE",
  "DELIVER_BUNDLE",
];

/** The ids that are drawn: of users, handles, producers and machines alike. */
export const IDS: readonly Uint8Array[] = [1, 2, 3, 4].map((each) =>
  new Uint8Array(16).fill(each)
);

const small = fc.nat(6);
const edge = fc.constantFrom(0, 1, LARGEST, LARGEST - 1, 2 ** 32, 2 ** 31 - 1);
const uint = fc.oneof({ weight: 9, arbitrary: small }, edge);
const text = fc.oneof(fc.string({ maxLength: 12 }), fc.constantFrom(...NAMES));

/** What fits the fields of that name better than anything of their kind. */
function namedFields(epoch: number): Record<string, Draw> {
  const logId = fc.oneof(
    { weight: 6, arbitrary: small.map((n) => toLogId(epoch, n)) },
    edge,
  );
  const range = fc.tuple(fc.nat(7), logId, uint, uint).map((
    [kind, log, a, b],
  ) => [kind, log, Math.min(a, b), Math.max(a, b)]);
  const outcomes = fc.array(range, { maxLength: 5 }).map((each) => each.flat());
  const record = fc.oneof(
    fc.jsonValue({ maxDepth: 2 }).map((value) => encodeRecord(value)),
    fc.uint8Array({ maxLength: 20 }).map(asRecord),
  );
  return {
    name: fc.constantFrom(...NAMES),
    user: fc.constantFrom(...NAMES),
    topic: fc.constantFrom(...TOPICS),
    filter: fc.constantFrom(...FILTERS),
    ref: fc.nat(2),
    credit: fc.oneof(fc.constantFrom(0, 100, 1 << 20, LARGEST), small),
    total: fc.oneof(fc.constantFrom(0, 100, 1 << 20, LARGEST), small),
    logId,
    known: outcomes,
    outcomes: outcomes.map((list) =>
      list.map((each, i) => i % 4 === 0 ? Math.max(1, each as number) : each)
    ),
    targets: fc.array(fc.nat(3), { maxLength: 3 })
      .map((list) => list.flatMap((ref) => [ref, ref & 3])),
    batch: fc.array(record, { minLength: 1, maxLength: 4 }).map(joined),
    refs: fc.array(fc.nat(3), { maxLength: 3 }),
    topics: fc.uniqueArray(fc.constantFrom(...TOPICS), {
      minLength: 1,
      maxLength: 4,
    }),
    // What of the numbers of each part can be drawn; `coherent` does the rest.
    parts: fc.array(fc.tuple(logId, uint, fc.nat(3)), {
      minLength: 4,
      maxLength: 4,
    }).map((each) => each.flat()),
    order: fc.uint8Array({ minLength: 1, maxLength: 9, max: 3 }),
    attributes: fc.option(attributes, { freq: 2 }),
  };
}

const attributes: Draw = fc.array(
  fc.tuple(
    fc.constantFrom(1, 1, 3, 5, 10, 11, 2),
    fc.oneof(uint, text, fc.constant(null), fc.uint8Array({ maxLength: 9 })),
  ),
  { maxLength: 3 },
).map((entries) => new Map(entries));

/** Any message of one kind. */
export function arbitraryOf(
  kind: MessageKind,
  epoch: number,
): fc.Arbitrary<Fields> {
  const named = namedFields(epoch);
  const fields = kind.fields.map(([name, schema]) =>
    named[name] ?? drawOf(schema as unknown as Schema)
  );
  return fc.tuple(...fields).map((drawn) => {
    const list = [...drawn];
    while (list.at(-1) === undefined) list.pop();
    return coherent(kind, [kind.op, ...list]);
  });
}

/** Many messages of all kinds; equal seeds draw equal ones. */
export function drawMessages(
  count: number,
  seed: number,
  epoch: number,
): Fields[] {
  const each = messageKinds().map((kind) => ({
    // The ops that do the most are drawn most often.
    weight: OFTEN.includes(kind.name) ? 4 : 1,
    arbitrary: arbitraryOf(kind, epoch),
  }));
  return fc.sample(fc.oneof(...each), { numRuns: count, seed });
}

function drawOf(schema: Schema): Draw {
  switch (schema.type) {
    case "number":
      return uint;
    case "string":
      return text;
    case "boolean":
      return fc.boolean();
    case "picklist":
      return fc.constantFrom(...schema.options!);
    case "nullable":
      return fc.oneof(fc.constant(null), drawOf(schema.wrapped!));
    case "optional":
      return fc.oneof(
        fc.constant(undefined as unknown as CborItem),
        drawOf(schema.wrapped!),
      );
    case "instance":
      // With a rule it is an id, without one bytes of any length.
      return schema.pipe === undefined
        ? fc.uint8Array({ maxLength: 40 })
        : fc.constantFrom(...IDS);
    case "map":
      return fc.array(fc.tuple(text, uint), { maxLength: 3 })
        .map((entries) => new Map(entries));
    case "array":
      return fc.array(text, { maxLength: 3 });
    default:
      throw new Error(`Nothing is known of schemas of type ${schema.type}`);
  }
}

/** Fields that have to fit each other do, mostly. */
function coherent(kind: MessageKind, fields: Fields): Fields {
  if (kind.name.endsWith("BUNDLE")) return coherentBundle(kind, fields);
  if (kind.name !== "PUBLISH" && kind.name !== "DELIVER") return fields;
  const at = (name: string) =>
    1 + kind.fields.findIndex(([each]) => each === name);
  fields[at("count")] = countRecords(fields[at("batch")] as Uint8Array);
  if (kind.name === "PUBLISH") {
    const first = fields[at("firstSequence")] as number;
    fields[at("firstSequence")] = Math.max(1, first);
    fields[at("previous")] = Math.max(0, first - 1);
  }
  return fields;
}

/** The same for bundles: each part has what `order` says, all that was drawn takes turns. */
function coherentBundle(kind: MessageKind, fields: Fields): Fields {
  const at = (name: string) =>
    1 + kind.fields.findIndex(([each]) => each === name);
  const topics = fields[at("topics")] as string[];
  const numbers = fields[at("parts")] as number[];
  const records = recordsIn(fields[at("batch")] as Uint8Array);
  const drawn = [...fields[at("order")] as Uint8Array].map((part) =>
    part % topics.length
  );
  // A part is there if it has a record.
  const used = [...new Set(drawn)];
  const order = drawn.map((part) => used.indexOf(part));
  const parts: number[] = [];
  const batches: Uint8Array[] = [];
  for (const [part, drawnPart] of used.entries()) {
    const own = order.flatMap((each, i) =>
      each === part ? [records[i % records.length]] : []
    );
    const batch = joined(own);
    batches.push(batch);
    const [first, second, third] = numbers.slice(3 * drawnPart);
    if (kind.name === "BUNDLE") {
      const sequence = Math.max(1, second);
      parts.push(first, sequence - 1, sequence, own.length, batch.length);
    } else parts.push(first, second, own.length, third, batch.length);
  }
  fields[at("topics")] = used.map((part) => topics[part]);
  fields[at("parts")] = parts;
  fields[at("order")] = Uint8Array.from(order);
  fields[at("batch")] = joined(batches);
  return fields;
}

function recordsIn(batch: Uint8Array): Uint8Array[] {
  const records: Uint8Array[] = [];
  for (let begin = 0; begin < batch.length;) {
    const end = recordEnd(batch, begin);
    records.push(batch.subarray(begin, end));
    begin = end;
  }
  return records;
}

function asRecord(content: Uint8Array): Uint8Array {
  return Uint8Array.of(0x40 + content.length, ...content);
}

function joined(records: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(records.flatMap((record) => [...record]));
}
