import assert from "node:assert/strict";
import { decodeFrameFields } from "../../protocol/cbor.ts";
import { MomError } from "../../protocol/errors.ts";
import { encodeFrame, FrameReader } from "../../protocol/frames.ts";
import { LIMITS } from "../../protocol/limits.ts";
import {
  type Message,
  messageKinds,
  parseMessage,
} from "../../protocol/messages.ts";
import vectors from "../vectors/messages.json" with { type: "json" };

type Meaning = Record<string, unknown>;

/** The inverse of what `tests/vectors/make.ts` writes. */
function fromMeaning(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(fromMeaning);
  if (value === null || typeof value !== "object") return value;
  const object = value as Meaning;
  if (typeof object.hex === "string") return Uint8Array.fromHex(object.hex);
  if (Array.isArray(object.map)) {
    return new Map(object.map.map(([key, item]) => [key, fromMeaning(item)]));
  }
  return Object.fromEntries(
    Object.entries(object).map(([k, v]) => [k, fromMeaning(v)]),
  );
}

function decode(frame: Uint8Array<ArrayBuffer>, cut = frame.length): Message {
  const reader = new FrameReader(LIMITS.messageBytes);
  reader.push(frame.slice(0, cut));
  let content = reader.next();
  if (content === null) {
    reader.push(frame.slice(cut));
    content = reader.next();
  }
  assert(content !== null, "one frame");
  return parseMessage(decodeFrameFields(content));
}

/** Without fields that were left off. */
function stripped(message: Message): Meaning {
  return Object.fromEntries(
    Object.entries(message).filter(([, v]) => v !== undefined),
  );
}

for (const { name, hex, meaning } of vectors) {
  Deno.test(`vector "${name}" decodes to its meaning and encodes to its bytes`, () => {
    const frame = Uint8Array.fromHex(hex);
    const expected = fromMeaning(meaning) as Meaning;
    assert.deepEqual(stripped(decode(frame)), expected);
    assert.equal(encodeFrame(expected as unknown as Message).toHex(), hex);
  });
}

Deno.test("[P-2.1] every vector decodes the same however its bytes are cut in two", () => {
  for (const { hex, meaning } of vectors) {
    const frame = Uint8Array.fromHex(hex);
    for (let cut = 1; cut < frame.length; cut++) {
      assert.deepEqual(stripped(decode(frame, cut)), fromMeaning(meaning));
    }
  }
});

Deno.test("[P-2.6] trailing fields are ignored, missing ones are named", () => {
  for (const { hex } of vectors) {
    const content = decodeFrameFields(Uint8Array.fromHex(hex).subarray(5));
    const kind = messageKinds().find(({ op }) => op === content[0])!;
    const left = kind.fields.length + 1 - content.length;
    // What may be left off is a level, but for that of DESTROY.
    const filler = kind.name === "DESTROY" ? new Uint8Array(16) : 0;
    parseMessage([...content, ...Array(left).fill(filler), "later", 9]);
    for (let length = 1; length <= kind.required; length++) {
      assert.throws(
        () => parseMessage(content.slice(0, length)),
        (error) =>
          error instanceof MomError && error.code === "bad_message" &&
          error.message.includes(`"${kind.fields[length - 1][0]}"`),
      );
    }
  }
});

Deno.test("every kind of message has a vector", () => {
  const seen = new Set(vectors.map(({ meaning }) => meaning.type));
  assert.deepEqual(
    messageKinds().map(({ name }) => name).filter((name) => !seen.has(name)),
    [],
  );
});

Deno.test("the op table of PROTOCOL.md is that of the code", async () => {
  const document = await Deno.readTextFile(
    new URL("../../protocol/PROTOCOL.md", import.meta.url),
  );
  const rows = [
    ...document.matchAll(/^\| (\d+) +\| ([A-Z_]+) +\| [a-z]+ +\| (.*?) +\|$/gm),
  ]
    .map(([, op, name, fields]) => `${op} ${name} ${fields}`);
  const expected = messageKinds().map(({ op, name, fields }) =>
    `${op} ${name} ${fields.map(([field]) => field).join(", ")}`
  );
  assert.deepEqual(rows, expected);
});
