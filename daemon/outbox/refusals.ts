/**
 * What of a stream was refused for good after it had a receipt, or as a part of a
 * publish: told to whoever asks again, also after a restart.
 *
 * @module
 */

import {
  type ErrorCode,
  isErrorCode,
  MomError,
} from "../../protocol/errors.ts";
import type { Sequences } from "./publish_batch.ts";

/** Sequences that were refused for good. */
export interface Refused {
  readonly first: number;
  readonly last: number;
  readonly error: MomError;
  /** Whether it had a receipt by then. */
  readonly isStored: boolean;
}

/** As they are stored: first, last and code of each. */
export type RefusedFields = (number | string)[];

/** More than an app can have under way: older ones have been told. */
const REFUSED_MAX = 4_096;
/** So many of them are kept on the disk. */
const REFUSED_KEPT = 64;

/** Those of one stream, in the order in which they were refused. */
export class Refusals {
  readonly #topic: string;
  #refused: Refused[] = [];

  constructor(topic: string) {
    this.#topic = topic;
  }

  /** Takes those that were stored. */
  load(fields: Readonly<RefusedFields>): void {
    for (let i = 0; i < fields.length; i += 3) {
      const [first, last, code] = fields.slice(i, i + 3);
      const error = new MomError(
        isErrorCode(`${code}`) ? `${code}` as ErrorCode : "internal",
        `Cannot publish to "${this.#topic}": the broker refused it for good`,
      );
      const span = { first: Number(first), last: Number(last) };
      this.#refused.push({ ...span, error, isStored: true });
    }
  }

  /** What is to be stored. */
  toFields(): RefusedFields {
    return this.#refused.filter(({ isStored }) => isStored)
      .slice(-REFUSED_KEPT)
      .flatMap(({ first, last, error }) => [first, last, error.code]);
  }

  /** Adds some. */
  add(
    { firstSequence: first, count }: Sequences,
    error: MomError,
    isStored: boolean,
  ): void {
    this.#refused.push({ first, last: first + count - 1, error, isStored });
    if (this.#refused.length > REFUSED_MAX) this.#refused.shift();
  }

  /** All of which something lies within `first` to `last`. */
  in(first: number, last: number): Refused[] {
    if (this.#refused.length === 0) return [];
    return this.#refused.filter((one) =>
      one.first <= last && first <= one.last
    );
  }

  /** Why something of `first` to `last` was refused; `null` if nothing was. */
  of(first: number, last: number): MomError | null {
    const refused = this.#refused.find((one) =>
      one.first <= last && first <= one.last
    );
    if (refused === undefined) return null;
    const { error } = refused;
    if (refused.first <= first && last <= refused.last) return error;
    // What went together is answered together.
    return new MomError(
      "outcome_unknown",
      `Part of a publish to "${this.#topic}" was refused: ${error.code}`,
      { cause: error },
    );
  }
}
