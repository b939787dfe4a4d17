/**
 * The broker's tables in the store, and how an entry is written: one CBOR array
 * of its fields.
 *
 * ```text
 * totals        0            [next user key, published, counts, epoch, epoch before, may come twice]
 * topics        log          [name, created ms, last publish ms, inherited end]
 * users         user         [name, machine, incarnation, named, handle | null, sent position, suspect, last seen ms, unlisted]
 * subscriptions subscription [user, filter, manual, echo, begin position, end position | null]
 * readers       reader       [user, log, settled, custody, [[subscription, begin, end | null, skipped, counts] …]]
 * producers     producer     [id, sender, last seen day]
 * sequences     sequence     [producer, log, last sequence]
 * machines      machine      [name, key, last seen ms]
 * deadLetters   number       [user, topic, log, from, to, reason, ms]
 *
 * counts        [delivered, dead-lettered, expired, dropped, own, [reason, number …]]
 * ```
 *
 * @module
 */

import type { Attributes } from "../../protocol/attributes.ts";
import { CborWriter, decodeFrameFields } from "../../protocol/cbor.ts";
import { MomError } from "../../protocol/errors.ts";

/** The numbers of the tables. */
export const TABLES = {
  totals: 1,
  topics: 2,
  users: 3,
  subscriptions: 4,
  readers: 5,
  producers: 6,
  sequences: 7,
  machines: 8,
  deadLetters: 9,
} as const;

/** What a field can be. */
export type Field =
  | null
  | boolean
  | number
  | string
  | Uint8Array
  | readonly Field[]
  | ReadonlyMap<number, unknown>;

/** Something that is kept as one entry of a table. */
export interface Entity {
  /** One of {@linkcode TABLES}. */
  readonly table: number;
  /** Its key in the table. */
  readonly key: number;
  /** Changed since it was written last. Belongs to `Commits`. */
  isDirty: boolean;
  /** Deleted. Belongs to `Commits`. */
  isGone: boolean;
  /** Its fields. */
  toFields(): readonly Field[];
}

const writer = new CborWriter(4096);

/** Fields as bytes. */
export function encodeEntry(fields: readonly Field[]): Uint8Array {
  writer.item(fields);
  return writer.take();
}

/**
 * Reads the fields of an entry one after another.
 *
 * Every method throws `MomError` `data_damaged` for a field of another kind: the
 * store's checksums make that a defect, not chance.
 */
export class EntryReader {
  readonly #what: string;
  readonly #fields: readonly unknown[];
  #at = 0;

  /** @param what Names the entry in errors. */
  constructor(what: string, entry: Uint8Array | readonly unknown[]) {
    this.#what = what;
    this.#fields = entry instanceof Uint8Array
      ? decodeFrameFields(entry)
      : entry;
  }

  /** Whether fields are left. */
  get hasMore(): boolean {
    return this.#at < this.#fields.length;
  }

  /** A whole number. */
  number(): number {
    const field = this.#next();
    return Number.isSafeInteger(field) ? field as number : this.#fail(field);
  }

  /** A whole number or nothing. */
  numberOrNull(): number | null {
    const field = this.#next();
    if (field === null) return null;
    return Number.isSafeInteger(field) ? field as number : this.#fail(field);
  }

  /** A text. */
  text(): string {
    const field = this.#next();
    return typeof field === "string" ? field : this.#fail(field);
  }

  /** true or false. */
  flag(): boolean {
    const field = this.#next();
    return typeof field === "boolean" ? field : this.#fail(field);
  }

  /** Bytes of its own, so that the page they came in can go. */
  bytes(): Uint8Array {
    const field = this.#next();
    return field instanceof Uint8Array ? field.slice() : this.#fail(field);
  }

  /** Bytes or nothing. */
  bytesOrNull(): Uint8Array | null {
    const field = this.#next();
    if (field === null) return null;
    return field instanceof Uint8Array ? field.slice() : this.#fail(field);
  }

  /** A batch's attributes or nothing. */
  attributes(): Attributes {
    const field = this.#next();
    if (field === null) return null;
    return field instanceof Map ? field : this.#fail(field);
  }

  /** A list of whole numbers. */
  numbers(): number[] {
    const field = this.#next();
    const isList = Array.isArray(field) && field.every(Number.isSafeInteger);
    return isList ? field as number[] : this.#fail(field);
  }

  /** A list, to be read in the same way. */
  list(): EntryReader {
    const field = this.#next();
    if (!Array.isArray(field)) return this.#fail(field);
    return new EntryReader(this.#what, field);
  }

  #next(): unknown {
    return this.#fields[this.#at++];
  }

  #fail(field: unknown): never {
    throw new MomError(
      "data_damaged",
      `Cannot read entry of ${this.#what}: field ${
        this.#at - 1
      } is an unexpected ${field === null ? "null" : typeof field}`,
    );
  }
}
