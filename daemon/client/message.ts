/**
 * What `receive` hands over.
 *
 * @module
 */

import { epochOf } from "../../protocol/log_id.ts";

/** What may stand in a header. */
export type HeaderValue = string | number | boolean | Uint8Array;

/** Headers of a message: at most 16 KiB as encoded. */
export type Headers = Readonly<Record<string, HeaderValue>>;

/** A message that was received. */
export interface Message<T = unknown> {
  /** The topic it was published to. */
  readonly topic: string;
  /** Who published it: `name@machine`. */
  readonly sender: string;
  /** Its number in the topic, from 0. */
  readonly offset: number;
  /** When the broker accepted it: milliseconds since 1970; never falls within a topic. */
  readonly time: number;
  /** Its headers; an empty object when there are none. */
  readonly headers: Headers;
  /** What was published. */
  readonly value: T;
  /**
   * The number of the broker's store: after a restore, or the loss of its disk, it is
   * another one, and what `offset` names may be another message.
   */
  readonly epoch: number;
  /** Whether a handle before this one may have received it already. */
  readonly redelivered: boolean;
  /**
   * Acknowledges it, under a subscription with `ack: "manual"`; else it already
   * is. Resolves when who answers for the message (broker or daemon) has
   * committed that. Twice does nothing more than once.
   *
   * @throws {MomError} `outcome_unknown` if that cannot be known any more;
   *   `daemon_unavailable` if the daemon has been away for too long: it is told
   *   all the same when it is back; `closed` if the handle was closed before.
   */
  ack(): Promise<void>;
}

/** Where a message stands and to whom its acknowledgement goes. */
export interface Acknowledging {
  /** Acknowledges what is held. @returns The number under which it is confirmed. */
  release(logId: number, offset: number): number;
  /** Resolves when everything up to the number is confirmed. */
  confirmed(serial: number): Promise<void>;
}

const NO_HEADERS: Headers = Object.freeze({});

/** A message of a batch. */
export class ReceivedMessage implements Message {
  readonly topic: string;
  readonly sender: string;
  readonly offset: number;
  readonly time: number;
  readonly headers: Headers;
  readonly value: unknown;
  readonly redelivered: boolean;
  readonly #owner: Acknowledging;
  readonly #logId: number;
  /** Under which it is confirmed; 0 as long as it is held. */
  #serial: number;

  /**
   * @param from The batch that it came with.
   * @param serial 0 when the app acknowledges by itself.
   */
  constructor(
    from: {
      readonly topic: string;
      readonly sender: string;
      readonly time: number;
      readonly logId: number;
      readonly isRedelivered: boolean;
    },
    offset: number,
    headers: Headers | null,
    value: unknown,
    owner: Acknowledging,
    serial: number,
  ) {
    this.topic = from.topic;
    this.sender = from.sender;
    this.offset = offset;
    this.time = from.time;
    this.headers = headers ?? NO_HEADERS;
    this.value = value;
    this.redelivered = from.isRedelivered;
    this.#owner = owner;
    this.#logId = from.logId;
    this.#serial = serial;
  }

  get epoch(): number {
    return epochOf(this.#logId);
  }

  ack(): Promise<void> {
    if (this.#serial === 0) {
      this.#serial = this.#owner.release(this.#logId, this.offset);
    }
    return this.#owner.confirmed(this.#serial);
  }
}
