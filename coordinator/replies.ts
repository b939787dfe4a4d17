/**
 * What a client is answered, on its reply topic.
 *
 * @module
 */

import * as v from "../deps/valibot.ts";
import { FORMAT } from "./records.ts";

/** Codes with which requests fail; all stand in mom's table. */
export const REFUSAL_CODES = [
  "exists",
  "unknown_name",
  "destroyed",
  "lease_lost",
  "option_invalid",
  "value_unsupported",
  "message_too_large",
  "storage_full",
  "bad_message",
] as const;

/** Why a request failed. */
export type RefusalCode = typeof REFUSAL_CODES[number];

/**
 * What became of a request. `late`: it came behind its deadline, `ended`: of a
 * session that is none any more; neither was executed.
 */
export type Outcome =
  | { readonly outcome: "done"; readonly result: unknown }
  | {
    readonly outcome: "failed";
    readonly code: RefusalCode;
    readonly message: string;
  }
  | { readonly outcome: "late" }
  | { readonly outcome: "ended" };

/** A reply and whom it is for. */
export interface Reply {
  /** The client. */
  readonly client: string;
  /** Which of its sessions. */
  readonly session: number;
  /** Which of its requests; 0 for what is no answer to one. */
  readonly request: number;
  /** Where in the log it was executed. */
  readonly offset: number;
  /** The log's time there. */
  readonly time: number;
  /** What became of it. */
  readonly outcome: Outcome;
}

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const common = {
  v: v.literal(FORMAT),
  shard: v.pipe(count, v.minValue(1)),
  session: count,
  request: count,
  offset: count,
  time: v.pipe(v.number(), v.finite()),
};

/** A reply on the wire. */
export const replySchema = v.variant("outcome", [
  v.object({ ...common, outcome: v.literal("done"), result: v.unknown() }),
  v.object({
    ...common,
    outcome: v.literal("failed"),
    code: v.string(),
    message: v.string(),
  }),
  v.object({ ...common, outcome: v.literal("late") }),
  v.object({ ...common, outcome: v.literal("ended") }),
]);

/** A reply as it comes in. */
export type WireReply = v.InferOutput<typeof replySchema>;

/** A reply as it goes out. */
export function toWireReply(shard: number, reply: Reply): WireReply {
  const { session, request, offset, time, outcome } = reply;
  return { v: FORMAT, shard, session, request, offset, time, ...outcome };
}

/** A reply as it came in; `null` if it is none. */
export function readReply(value: unknown): WireReply | null {
  const result = v.safeParse(replySchema, value);
  return result.success ? result.output : null;
}
