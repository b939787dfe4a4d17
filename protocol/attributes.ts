/**
 * A batch's attributes: a map of small integers, the same for all its records
 * (PROTOCOL 8.5). The numbers are given out once and for all; version 1 knows a
 * meaning for `expires` and `epoch` alone. An unknown odd number may be carried
 * without being understood; an unknown even one may not.
 *
 * On the wire `expires` is the number of milliseconds *left at the moment of
 * sending*; each hop turns it into a moment on its own clock and back, so that
 * machines whose clocks differ agree.
 *
 * @module
 */

import { CborReader, CborWriter } from "./cbor.ts";
import { MomError } from "./errors.ts";
import { LIMITS } from "./limits.ts";

/** The numbers that have a name. */
export const ATTRIBUTE = {
  /** Milliseconds left until the messages must not be delivered any more. */
  expires: 1,
  /** Reserved: not to be delivered before. */
  notBefore: 2,
  /** Reserved: a key for compaction. */
  key: 3,
  /** Reserved: the app's own id of the message. */
  messageId: 4,
  /** Reserved: trace context. */
  traceContext: 5,
  /** Reserved: how the batch is compressed. */
  compression: 6,
  /** Reserved: the schema that values follow. */
  schema: 7,
  /** Reserved: priority. */
  priority: 8,
  /** Reserved: where a dead letter came from. */
  deadLetterOrigin: 9,
  /** The only epoch of the broker's store that the messages are for. */
  epoch: 10,
} as const;

/** Attributes as they stand in a frame; `null` when there are none. */
export type Attributes = Map<number, unknown> | null;

/**
 * Makes sure that a batch with these attributes can be accepted.
 *
 * @throws {MomError} `unsupported` for an even number without a meaning here;
 *   `bad_message` for a key, an `expires` or an `epoch` that is no whole number
 *   from 0, and when all are more than 4 KiB as encoded.
 */
export function checkAttributes(attributes: Attributes): void {
  if (attributes === null) return;
  for (const [key, value] of attributes) {
    if (!isUint(key)) throw bad(`key ${key} is no whole number from 0`);
    if (key === ATTRIBUTE.expires) {
      if (!isUint(value)) throw bad("expires (1) is no whole number from 0");
    } else if (key === ATTRIBUTE.epoch) {
      if (!isUint(value)) throw bad("epoch (10) is no whole number from 0");
    } else if (key % 2 === 0) {
      throw new MomError(
        "unsupported",
        `Cannot accept attributes: ${key} has no meaning in this version`,
      );
    }
  }
  if (attributes.size > 1 || !attributes.has(ATTRIBUTE.expires)) {
    const bytes = encodeAttributes(attributes)?.length ?? 0;
    if (bytes > LIMITS.attributesBytes) {
      throw bad(`${bytes} bytes, at most ${LIMITS.attributesBytes}`);
    }
  }
}

/**
 * How many milliseconds are left, a hundred years at most, or `null` when the
 * messages do not expire.
 */
export function remainingMs(attributes: Attributes): number | null {
  const value = attributes?.get(ATTRIBUTE.expires);
  return typeof value === "number" ? Math.min(value, LIMITS.expiresMs) : null;
}

/**
 * The same attributes with `expires` as told; the given map is left alone.
 *
 * @param remaining Milliseconds left (rounded down, so that no hop makes a message
 *   live longer, and not below 0), or `null` for messages that do not expire.
 */
export function withRemaining(
  attributes: Attributes,
  remaining: number | null,
): Attributes {
  const copy = new Map(attributes ?? []);
  if (remaining === null) copy.delete(ATTRIBUTE.expires);
  else copy.set(ATTRIBUTE.expires, Math.max(0, Math.floor(remaining)));
  return copy.size === 0 ? null : copy;
}

/** The only epoch that the messages are for, or `null` when they are for any. */
export function wantedEpoch(attributes: Attributes): number | null {
  const value = attributes?.get(ATTRIBUTE.epoch);
  return typeof value === "number" ? value : null;
}

/** What a broker keeps of them: not how long there was left, and for whom they were. */
export function kept(attributes: Attributes): Attributes {
  if (attributes === null) return null;
  const copy = new Map(attributes);
  copy.delete(ATTRIBUTE.expires);
  copy.delete(ATTRIBUTE.epoch);
  return copy.size === 0 ? null : copy;
}

/** Attributes as bytes, for a store; `null` for none. */
export function encodeAttributes(
  attributes: Attributes,
): Uint8Array<ArrayBuffer> | null {
  if (attributes === null || attributes.size === 0) return null;
  const writer = new CborWriter();
  writer.item(attributes);
  return writer.take();
}

/**
 * The inverse of {@linkcode encodeAttributes}. What comes out does not share
 * memory with `bytes`.
 *
 * @throws {MomError} `bad_message`.
 */
export function decodeAttributes(bytes: Uint8Array | null): Attributes {
  if (bytes === null) return null;
  const reader = new CborReader(bytes.slice());
  const item = reader.readItem();
  reader.expectEnd();
  if (!(item instanceof Map)) throw bad("they are no map");
  for (const key of item.keys()) {
    if (!isUint(key)) throw bad(`key ${key} is no whole number from 0`);
  }
  return item.size === 0 ? null : item;
}

/** Whether two batches can travel as one: their attributes are the same. */
export function sameAttributes(a: Attributes, b: Attributes): boolean {
  if (a === b) return true;
  const left = encodeAttributes(a);
  const right = encodeAttributes(b);
  if (left === null || right === null) return left === right;
  return left.length === right.length &&
    left.every((byte, index) => byte === right[index]);
}

function isUint(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function bad(problem: string): MomError {
  return new MomError("bad_message", `Cannot accept attributes: ${problem}`);
}
