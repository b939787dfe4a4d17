/**
 * What stands in a shard's log: everything that reads or changes its state. Each
 * record is a map that any CBOR library can make; PROTOCOL.md has the table.
 *
 * A record must be there for all replicas or for none. mom's `expiresMs` would
 * break that: a replica that was stopped is not handed what another one has
 * executed. So each request has a `deadline` of its own, in the log's time, and
 * `step` judges it by the time of the record itself, the same everywhere; what
 * mom does itself expires only as late as it would be trimmed anyway.
 *
 * @module
 */

import * as v from "../deps/valibot.ts";
import { COORDINATOR_LIMITS } from "./limits.ts";

/** The version of records, replies and snapshots. */
export const FORMAT = 1;

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const positive = v.pipe(v.number(), v.safeInteger(), v.minValue(1));
const clientId = v.pipe(v.string(), v.regex(/^[0-9a-f]{32}$/));
const incarnation = v.pipe(v.string(), v.minLength(1), v.maxLength(64));
const lease = v.pipe(
  v.number(),
  v.safeInteger(),
  v.minValue(COORDINATOR_LIMITS.leaseMsMin),
  v.maxValue(COORDINATOR_LIMITS.leaseMsMax),
);
const numbers = v.pipe(
  v.array(positive),
  v.maxLength(COORDINATOR_LIMITS.openRequests),
);
const name = v.pipe(
  v.string(),
  v.nonEmpty(),
  v.check((text) => text.isWellFormed(), "must be well-formed"),
  v.check(
    (text) => utf8Bytes(text.toUpperCase()) <= COORDINATOR_LIMITS.nameBytes,
    `must have at most ${COORDINATOR_LIMITS.nameBytes} bytes`,
  ),
);

const version = v.literal(FORMAT);
/** Who speaks, and what it still waits for. */
const client = {
  v: version,
  client: clientId,
  session: positive,
  upTo: v.optional(count, 0),
  open: v.optional(numbers, []),
};
const request = {
  ...client,
  kind: v.literal("request"),
  request: positive,
  deadline: v.optional(v.number(), Infinity),
};

const requestSchema = v.variant("op", [
  v.object({ ...request, op: v.literal("hello"), leaseMs: lease }),
  v.object({ ...request, op: v.literal("leave") }),
  v.object({
    ...request,
    op: v.literal("semaphore_init"),
    name,
    // What it must be is told by `option_invalid`, not by `bad_message`.
    value: v.unknown(),
  }),
  v.object({
    ...request,
    op: v.literal("semaphore_wait"),
    name,
    consume: v.optional(v.boolean(), false),
  }),
  v.object({ ...request, op: v.literal("semaphore_signal"), name }),
  v.object({
    ...request,
    op: v.literal("semaphore_release"),
    name,
    token: positive,
  }),
  v.object({ ...request, op: v.literal("semaphore_cancel"), target: positive }),
  v.object({ ...request, op: v.literal("semaphore_destroy"), name }),
  v.object({
    ...request,
    op: v.literal("value_init"),
    name,
    value: v.unknown(),
  }),
  v.object({ ...request, op: v.literal("value_read"), name }),
  v.object({
    ...request,
    op: v.literal("value_write"),
    name,
    value: v.unknown(),
  }),
  v.object({
    ...request,
    op: v.literal("value_compare_and_set"),
    name,
    expected: v.unknown(),
    value: v.unknown(),
  }),
  v.object({ ...request, op: v.literal("value_destroy"), name }),
]);

const schemas = {
  request: requestSchema,
  renew: v.object({ ...client, kind: v.literal("renew") }),
  lease: v.object({
    v: version,
    kind: v.literal("lease"),
    coordinator: positive,
    incarnation,
    answered: v.pipe(v.number(), v.safeInteger(), v.minValue(-1)),
  }),
  takeover: v.object({
    // A later version's take-over is how replicas hear that the format is newer.
    v: positive,
    kind: v.literal("takeover"),
    coordinator: positive,
    incarnation,
    renewal: v.nullable(count),
  }),
  expire: v.object({
    v: version,
    kind: v.literal("expire"),
    client: clientId,
    session: positive,
    seen: count,
  }),
  join: v.object({
    v: version,
    kind: v.literal("join"),
    coordinator: positive,
    incarnation,
  }),
  want: v.object({
    v: version,
    kind: v.literal("want"),
    coordinator: positive,
  }),
} as const;

/** A client's request. */
export type Request = v.InferOutput<typeof requestSchema>;

/** One record of a shard's log. */
export type LogRecord = {
  [Kind in keyof typeof schemas]: v.InferOutput<(typeof schemas)[Kind]>;
}[keyof typeof schemas];

/** What no schema fits. */
export interface Malformed {
  readonly kind: "malformed";
  /** What is wrong, in words. */
  readonly problem: string;
  /** Who can be told, if that much can be read. */
  readonly sender: { client: string; session: number; request: number } | null;
}

const senderSchema = v.object({
  client: clientId,
  session: positive,
  request: positive,
});

/** A record as it came, checked; never throws. */
export function readRecord(value: unknown): LogRecord | Malformed {
  const kind = isMap(value) ? value.kind : undefined;
  if (typeof kind !== "string" || !Object.hasOwn(schemas, kind)) {
    return malformed(value, `kind: there is no kind ${shown(kind)}`);
  }
  const schema: v.GenericSchema<unknown, LogRecord> =
    schemas[kind as keyof typeof schemas];
  const result = v.safeParse(schema, value, { abortEarly: true });
  if (result.success) return result.output;
  const [issue] = result.issues;
  const place = v.getDotPath(issue) ?? "record";
  return malformed(value, `${place}: ${issue.message}`);
}

/** How many bytes a text has as UTF-8. */
export function utf8Bytes(text: string): number {
  let bytes = text.length;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code > 0x7f) bytes++;
    // Of a pair each half counts as two more than one.
    if (code > 0x7ff && (code < 0xd800 || code > 0xdfff)) bytes++;
  }
  return bytes;
}

function malformed(value: unknown, problem: string): Malformed {
  const sender = v.safeParse(senderSchema, value);
  return {
    kind: "malformed",
    problem: problem.slice(0, COORDINATOR_LIMITS.messageChars).toWellFormed(),
    sender: sender.success ? sender.output : null,
  };
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function shown(value: unknown): string {
  return typeof value === "string" ? JSON.stringify(value) : typeof value;
}
