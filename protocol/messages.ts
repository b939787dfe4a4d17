/**
 * Every message of the wire, declared once: its op, its fields in their order,
 * and what each may hold. Types, decoding, encoding and the op table of
 * PROTOCOL.md follow from these declarations.
 *
 * A frame's content is a CBOR array `[op, ...fields]` (PROTOCOL 2.3). Fields
 * that come after the declared ones are ignored, so that a later version can
 * add some (PROTOCOL 2.6).
 *
 * @module
 */

import * as v from "../deps/valibot.ts";
import { type CborBounds, FRAME_BOUNDS, LIST_BOUNDS } from "./cbor.ts";
import { MomError } from "./errors.ts";
import { LIMITS } from "./limits.ts";

/** The largest of the kinds in `outcomes`. */
const LAST_OUTCOME = 7;
/** How many numbers there are for each part of a bundle. */
export const BUNDLE_PART_NUMBERS = 5;

/** Whether a value fits for certain; `false`: the schema decides, and says why not. */
type Quick = (value: unknown) => boolean;

/**
 * The quick look at a value before its schema's: on the way of every message the
 * schema is then asked only about what it refuses. tests/protocol holds the two
 * against each other.
 */
const quickLooks = new WeakMap<v.GenericSchema, Quick>();

function quick<const S extends v.GenericSchema>(schema: S, fits: Quick): S {
  quickLooks.set(schema, fits);
  return schema;
}

const isUint: Quick = (value) =>
  Number.isSafeInteger(value) && value as number >= 0;
const isBytes: Quick = (value) => value instanceof Uint8Array;
const isCount: Quick = (value) =>
  Number.isSafeInteger(value) && value as number >= 1;

const uint = quick(v.pipe(v.number(), v.safeInteger(), v.minValue(0)), isUint);
const count = quick(v.pipe(uint, v.minValue(1)), isCount);
const nullableUint = quick(
  v.nullable(uint),
  (value) => value === null || isUint(value),
);
const text = quick(
  v.pipe(v.string(), v.maxLength(LIMITS.textLength)),
  (value) => typeof value === "string" && value.length <= LIMITS.textLength,
);
const bytes = quick(v.instance(Uint8Array<ArrayBufferLike>), isBytes);
const id = quick(
  v.pipe(bytes, v.check((value) => value.length === 16, "must be 16 bytes")),
  (value) => value instanceof Uint8Array && value.length === 16,
);
const level = quick(v.picklist([0, 1]), (value) => value === 0 || value === 1);
const flag = level;
const texts = v.pipe(v.array(text), v.maxLength(64));
const attributes = quick(
  v.nullable(v.map(v.number(), v.unknown())),
  (value) => value === null,
);
const details = v.nullable(
  v.map(v.union([v.string(), v.number()]), v.unknown()),
);
/** A list of whole numbers, checked as one: a schema for each would take long. */
const numbers = (of: number, groupsMax: number) =>
  v.pipe(
    v.custom<number[]>(isUintList, "must be a list of whole numbers from 0"),
    v.check(
      (list) => list.length % of === 0 && list.length <= of * groupsMax,
      `must have a length that is a multiple of ${of}, at most ${
        of * groupsMax
      }`,
    ),
  );
/** Flat list of `kind, logId, from, to`: what became of which offsets (PROTOCOL 7.2). */
const outcomes = (firstKind: number, rangesMax: number) =>
  quick(
    v.pipe(
      numbers(4, rangesMax),
      v.check(
        (list) => areOutcomes(list, firstKind),
        `must have kinds from ${firstKind} to ${LAST_OUTCOME}, and no range whose end lies before its beginning`,
      ),
    ),
    (value) => isGroups(value, 4, rangesMax) && areOutcomes(value, firstKind),
  );
/** Flat list of `ref, flags` (PROTOCOL 6.1). */
const targets = quick(
  numbers(2, LIMITS.usersPerMachine),
  (value) => isGroups(value, 2, LIMITS.usersPerMachine),
);
/** The topics of a bundle's parts. */
const bundleTopics = v.pipe(
  v.array(text),
  v.minLength(1),
  v.maxLength(LIMITS.bundleParts),
);
/** Flat list of the numbers of a bundle's parts. */
const bundleParts = numbers(BUNDLE_PART_NUMBERS, LIMITS.bundleParts);
const request = uint;
const ref = uint;

/** Whether a field may be left off at the end: its schema takes `undefined`. */
const trailing = <const S extends v.GenericSchema>(schema: S) =>
  quick(v.optional(schema), (value) => value === undefined);

type Fields = Record<string, v.GenericSchema>;

/** A declaration: one kind of message. */
export interface MessageKind {
  readonly op: number;
  readonly name: string;
  readonly fields:
    readonly (readonly [name: string, schema: v.GenericSchema])[];
  /** How many fields must be there. */
  readonly required: number;
  /** What is looked at first, field by field. */
  readonly quick: readonly (Quick | undefined)[];
}

const byOp = new Map<number, MessageKind>();
const byName = new Map<string, MessageKind>();

function declare<const Name extends string, const F extends Fields>(
  op: number,
  name: Name,
  fields: F,
): { readonly op: number; readonly name: Name; readonly schema: F } {
  const list = Object.entries(fields);
  const required = list.filter(([, s]) => s.type !== "optional").length;
  const quick = list.map(([, schema]) => quickLooks.get(schema));
  const kind: MessageKind = { op, name, fields: list, required, quick };
  byOp.set(op, kind);
  byName.set(name, kind);
  return { op, name, schema: fields };
}

// Opening a conversation (PROTOCOL 3)
const hello = declare(1, "HELLO", {
  versionMin: uint,
  versionMax: uint,
  software: text,
  role: v.picklist(["app", "daemon"]),
  machine: v.nullable(text),
  machineKey: v.nullable(id),
  nonce: id,
  features: texts,
  credit: uint,
});
const challenge = declare(2, "CHALLENGE", { nonce: id });
const auth = declare(3, "AUTH", { proof: bytes });
const welcome = declare(4, "WELCOME", {
  version: uint,
  software: text,
  role: v.picklist(["broker", "daemon"]),
  machine: text,
  features: texts,
  maxMessageBytes: uint,
  heartbeatMs: uint,
  storeId: id,
  epoch: uint,
});

// Errors, life signs, moving away (PROTOCOL 4)
const error = declare(5, "ERROR", {
  request: nullableUint,
  code: text,
  message: text,
  details,
});
const ping = declare(6, "PING", { token: uint });
const pong = declare(7, "PONG", { token: uint });
const goaway = declare(8, "GOAWAY", { reason: text, ms: uint });
const redirect = declare(9, "REDIRECT", { addresses: texts });

// Users (PROTOCOL 5)
const attach = declare(10, "ATTACH", {
  request,
  ref,
  name: text,
  named: v.boolean(),
  incarnation: id,
  create: v.boolean(),
  handle: id,
  credit: uint,
  known: outcomes(0, LIMITS.knownRanges),
});
const attached = declare(11, "ATTACHED", {
  request,
  ref,
  user: text,
  incarnation: id,
  suspect: uint,
  epoch: uint,
});
const detach = declare(12, "DETACH", { request, ref });
const destroy = declare(13, "DESTROY", {
  request,
  name: text,
  incarnation: v.nullable(id),
  unless: trailing(id),
});
const subscribe = declare(14, "SUBSCRIBE", {
  request,
  ref,
  filter: text,
  from: v.picklist(["now", "earliest", "last", "offset", "time", "epoch"]),
  fromValue: uint,
  manual: v.boolean(),
  echo: v.boolean(),
});
const unsubscribe = declare(15, "UNSUBSCRIBE", { request, ref, filter: text });
const ok = declare(16, "OK", { request });

// Publishing (PROTOCOL 8)
const publish = declare(17, "PUBLISH", {
  request,
  topic: text,
  producer: id,
  previous: uint,
  firstSequence: count,
  count,
  attributes,
  batch: bytes,
  wanted: trailing(level),
});
const receipt = declare(18, "RECEIPT", {
  request,
  level,
  offset: nullableUint,
});

// Delivering (PROTOCOL 6 and 7)
const deliver = declare(19, "DELIVER", {
  targets,
  logId: uint,
  topic: text,
  baseOffset: uint,
  count,
  position: uint,
  time: uint,
  sender: text,
  attributes,
  batch: bytes,
});
const gap = declare(20, "GAP", {
  targets,
  logId: uint,
  from: uint,
  to: uint,
  reason: text,
});
const ack = declare(21, "ACK", {
  ref,
  number: uint,
  outcomes: outcomes(1, LIMITS.ackRanges),
  awaited: trailing(flag),
});
const confirm = declare(22, "CONFIRM", { ref, number: uint });
const credit = declare(23, "CREDIT", { ref: nullableUint, total: uint });

// Producers behind a daemon (PROTOCOL 8.7)
const introduce = declare(24, "INTRODUCE", { producer: id, user: text });
const ended = declare(25, "ENDED", { request, producer: id });

// News that nobody asked for (PROTOCOL 9)
const notice = declare(26, "NOTICE", { kind: text, details });

// Batches of several topics that belong together (PROTOCOL 8.12 and 6.9)
const bundle = declare(27, "BUNDLE", {
  producer: id,
  attributes,
  wanted: level,
  topics: bundleTopics,
  parts: bundleParts,
  order: bytes,
  batch: bytes,
});
const deliverBundle = declare(28, "DELIVER_BUNDLE", {
  refs: numbers(1, LIMITS.usersPerMachine),
  position: uint,
  time: uint,
  sender: text,
  attributes,
  topics: bundleTopics,
  parts: bundleParts,
  order: bytes,
  batch: bytes,
});

/** CBOR head of a number that is the one byte behind it. */
const BYTE_FOLLOWS = 0x18;

type Declared = { readonly name: string; readonly schema: Fields };
type MessageOf<D extends Declared> = D extends Declared ?
    & { readonly type: D["name"] }
    & v.InferOutput<v.ObjectSchema<D["schema"], undefined>>
  : never;

/** First message of a client. */
export type Hello = MessageOf<typeof hello>;
/** The server asks for a proof. */
export type Challenge = MessageOf<typeof challenge>;
/** The proof. */
export type Auth = MessageOf<typeof auth>;
/** The conversation is open. */
export type Welcome = MessageOf<typeof welcome>;
/** A request was refused, or the connection ends. */
export type ErrorMessage = MessageOf<typeof error>;
/** Binds a user to the connection and (re)starts the flow of its deliveries. */
export type Attach = MessageOf<typeof attach>;
/** The user is bound; the new flow of deliveries begins behind this. */
export type Attached = MessageOf<typeof attached>;
/** A user's wish for a filter. */
export type Subscribe = MessageOf<typeof subscribe>;
/** A batch of records for one topic. */
export type Publish = MessageOf<typeof publish>;
/** Batches of one producer for several topics, in the order of publishing. */
export type Bundle = MessageOf<typeof bundle>;
/** How far a batch has come. */
export type Receipt = MessageOf<typeof receipt>;
/** A batch on its way to users. */
export type Deliver = MessageOf<typeof deliver>;
/** Batches of several topics on their way to users, in the order of publishing. */
export type DeliverBundle = MessageOf<typeof deliverBundle>;
/** Offsets that will not come. */
export type Gap = MessageOf<typeof gap>;
/** What became of delivered offsets. */
export type Ack = MessageOf<typeof ack>;

/** Any message; `type` tells which. */
export type Message = MessageOf<
  | typeof hello
  | typeof challenge
  | typeof auth
  | typeof welcome
  | typeof error
  | typeof ping
  | typeof pong
  | typeof goaway
  | typeof redirect
  | typeof attach
  | typeof attached
  | typeof detach
  | typeof destroy
  | typeof subscribe
  | typeof unsubscribe
  | typeof ok
  | typeof publish
  | typeof receipt
  | typeof deliver
  | typeof gap
  | typeof ack
  | typeof confirm
  | typeof credit
  | typeof introduce
  | typeof ended
  | typeof notice
  | typeof bundle
  | typeof deliverBundle
>;

/** The message of one type. */
export type MessageNamed<T extends Message["type"]> = Extract<
  Message,
  { type: T }
>;

/**
 * How much may come out of a frame's content, seen from its op: what has no list is
 * not to cost the time of one.
 */
export function boundsOf(content: Uint8Array): CborBounds {
  // An op is the byte behind the array's head; from 24 on that one announces it.
  const op = content[1] === BYTE_FOLLOWS ? content[2] : content[1];
  const hasList = op === attach.op || op === ack.op || op === deliver.op ||
    op === gap.op || op === deliverBundle.op;
  return hasList ? LIST_BOUNDS : FRAME_BOUNDS;
}

/** All declarations, in the order of their ops. */
export function messageKinds(): readonly MessageKind[] {
  return [...byOp.values()];
}

/** The declaration behind a message's type. */
export function messageKind(type: Message["type"]): MessageKind {
  const kind = byName.get(type);
  if (kind === undefined) throw new TypeError(`Unknown message type: ${type}`);
  return kind;
}

/**
 * Turns the content of a frame into a message.
 *
 * @param content The decoded CBOR item.
 * @throws {MomError} `bad_frame` when it has no op, `unsupported` for an unknown
 *   one, else `bad_message` that names message, field and rule.
 */
export function parseMessage(content: unknown): Message {
  if (!Array.isArray(content) || typeof content[0] !== "number") {
    throw new MomError(
      "bad_frame",
      "Cannot read frame: content is no array that begins with an op",
    );
  }
  const kind = byOp.get(content[0]);
  if (kind === undefined) {
    throw new MomError(
      "unsupported",
      `Cannot read frame: unknown op ${content[0]}`,
    );
  }
  if (content.length - 1 < kind.required) {
    const missing = kind.fields[content.length - 1][0];
    throw new MomError(
      "bad_message",
      `Cannot read ${kind.name}: field "${missing}" is missing`,
    );
  }
  const message: Record<string, unknown> = { type: kind.name };
  for (let i = 0; i < kind.fields.length; i++) {
    const [name, schema] = kind.fields[i];
    const value: unknown = content[i + 1];
    if (kind.quick[i]?.(value) === true) {
      message[name] = value;
      continue;
    }
    const result = v.safeParse(schema, value, { abortEarly: true });
    if (!result.success) {
      throw badField(kind.name, name, result.issues[0].message);
    }
    message[name] = result.output;
  }
  return message as unknown as Message;
}

function badField(message: string, field: string, rule: string): MomError {
  return new MomError(
    "bad_message",
    `Cannot read ${message}: field "${field}": ${rule}`,
  );
}

function isGroups(
  value: unknown,
  of: number,
  groupsMax: number,
): value is number[] {
  return isUintList(value) && value.length % of === 0 &&
    value.length <= of * groupsMax;
}

function isUintList(value: unknown): value is number[] {
  if (!Array.isArray(value)) return false;
  for (const each of value) {
    if (!Number.isSafeInteger(each) || each < 0) return false;
  }
  return true;
}

function areOutcomes(list: readonly number[], firstKind: number): boolean {
  for (let i = 0; i < list.length; i += 4) {
    if (list[i] < firstKind || list[i] > LAST_OUTCOME) return false;
    if (list[i + 2] > list[i + 3]) return false;
  }
  return true;
}

/** The request number of frame content that did not parse, if it has one; so that the ERROR can name it. */
export function requestOf(content: unknown): number | null {
  if (!Array.isArray(content)) return null;
  const kind = byOp.get(content[0]);
  if (kind === undefined || kind.fields[0]?.[0] !== "request") return null;
  const value: unknown = content[1];
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0
    ? value
    : null;
}

/** The names that clients and code use for the numbers in `outcomes`. */
export const OUTCOME = {
  /** The receiver still has it, undecided: do not send it again. Only in ATTACH. */
  held: 0,
  /** The daemon has it on its disk and answers for it. */
  custody: 1,
  /** An app took and acknowledged it. */
  delivered: 2,
  /** Its time was up before an app took it. */
  expired: 3,
  /** Dead letter: its bytes are no record. */
  undecodable: 4,
  /** Dead letter: its value does not fit the topic's schema. */
  schema: 5,
  /** Dropped: stored bytes were damaged. */
  damaged: 6,
  /** Dropped: trimmed by retention. */
  trimmed: 7,
} as const;

/** One of the numbers in `outcomes`. */
export type Outcome = (typeof OUTCOME)[keyof typeof OUTCOME];

/** What the flags of a delivery's target mean (bits). */
export const TARGET_FLAG = {
  /** The app acknowledges by itself. */
  manual: 1,
  /** May have been handed over before. */
  redelivered: 2,
} as const;

/** Levels of a receipt on the wire. */
export const LEVEL = { daemon: 0, broker: 1 } as const;

/** The version of the protocol that this code speaks. */
export const PROTOCOL_VERSION = 1;
