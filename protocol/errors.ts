/**
 * The one table of error codes: the same in the API, on the wire, in logs and
 * in metrics. A code is never reused for another meaning.
 *
 * @module
 */

/**
 * Every code, with what it means and whether trying again later can help.
 *
 * @example
 * ```ts
 * import { ERRORS } from "./errors.ts";
 *
 * const { retriable, meaning } = ERRORS.broker_unavailable;
 * if (!retriable) throw new Error(meaning);
 * ```
 */
export const ERRORS = {
  topic_invalid: {
    retriable: false,
    meaning: "A topic breaks the rules for topics",
  },
  filter_invalid: {
    retriable: false,
    meaning: "A filter breaks the rules for filters",
  },
  name_invalid: {
    retriable: false,
    meaning: "A user's or machine's name breaks the rules for names",
  },
  option_invalid: {
    retriable: false,
    meaning: "An option, setting or flag has a value that it cannot have",
  },
  value_unsupported: {
    retriable: false,
    meaning: "A value or header is of a kind that a message cannot carry",
  },
  message_too_large: {
    retriable: false,
    meaning: "A message is larger than the limit",
  },
  already_subscribed: {
    retriable: false,
    meaning: "The user has a subscription to that filter",
  },
  not_subscribed: {
    retriable: false,
    meaning: "The user has no subscription to that filter",
  },
  name_in_use: {
    retriable: false,
    meaning: "Another live handle uses that name",
  },
  machine_in_use: {
    retriable: false,
    meaning: "Another live daemon uses that machine name",
  },
  user_expired: {
    retriable: false,
    meaning:
      "The user ended, or another handle took its name, while its handle was away",
  },
  unauthorized: { retriable: false, meaning: "The token is missing or wrong" },
  protocol_version: {
    retriable: false,
    meaning: "The two ends share no protocol version",
  },
  bad_frame: {
    retriable: false,
    meaning: "Bytes that are no frame; the connection ends",
  },
  bad_message: {
    retriable: false,
    meaning: "A frame whose content fits no message",
  },
  unsupported: {
    retriable: false,
    meaning: "A message or attribute of a feature that was not agreed",
  },
  out_of_sequence: {
    retriable: false,
    meaning: "A batch does not follow the last one of its producer",
  },
  outbox_full: {
    retriable: true,
    meaning: "The daemon's outbox has reached its limit",
  },
  storage_full: {
    retriable: true,
    meaning: "The disk is full, or close to it",
  },
  store_unavailable: {
    retriable: true,
    meaning: "The store failed and is being opened again",
  },
  broker_unavailable: {
    retriable: true,
    meaning: "The daemon has no link to the broker",
  },
  daemon_unavailable: {
    retriable: true,
    meaning: "There is no connection to the daemon",
  },
  outcome_unknown: {
    retriable: false,
    meaning:
      "The wait ended before the answer: it may have happened or may yet happen",
  },
  store_replaced: {
    retriable: false,
    meaning: "The broker's store is another one than the message was for",
  },
  data_in_use: {
    retriable: false,
    meaning: "Another process uses the data folder",
  },
  data_version: {
    retriable: false,
    meaning: "The data was written in a format that this version does not know",
  },
  data_damaged: { retriable: false, meaning: "Stored data is damaged" },
  closed: {
    retriable: false,
    meaning: "The handle, broker or daemon is closed",
  },
  exists: {
    retriable: false,
    meaning: "There is a semaphore or value of that name already",
  },
  unknown_name: {
    retriable: false,
    meaning: "There is no semaphore or value of that name",
  },
  destroyed: {
    retriable: false,
    meaning: "The semaphore was destroyed",
  },
  lease_lost: {
    retriable: false,
    meaning:
      "The client was not heard of for its lease: what it held was given back",
  },
  timed_out: {
    retriable: false,
    meaning: "The time is up: nothing was taken and nothing done",
  },
  internal: { retriable: false, meaning: "A defect in mom itself" },
} as const;

/** A code of the table. */
export type ErrorCode = keyof typeof ERRORS;

/** Whether `text` is a code of the table. */
export function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(ERRORS, text);
}

/**
 * Every expected failure. Decide on `code`, never on the message.
 *
 * @example
 * ```ts
 * import { MomError } from "./errors.ts";
 *
 * const error = new MomError("topic_invalid", 'Cannot publish to "a b": space at byte 1');
 * if (error.code !== "topic_invalid" || error.retriable) throw error;
 * ```
 */
export class MomError extends Error {
  /** Always `MomError`. */
  override readonly name = "MomError";
  /** What went wrong. */
  readonly code: ErrorCode;
  /** Whether the same call may succeed later. */
  readonly retriable: boolean;

  /**
   * Makes an error.
   *
   * @param code A code of the table.
   * @param message What was being done, then a colon, then the values.
   * @param options `cause`: the failure behind this one.
   */
  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.retriable = ERRORS[code].retriable;
  }
}
