/**
 * What a message can carry, and what it cannot: looked at before anything is
 * encoded, so that nothing but the kinds of {@linkcode Value} ever gets on the
 * wire.
 *
 * @module
 */

import { MomError } from "./errors.ts";
import { LIMITS } from "./limits.ts";

/**
 * Whatever a message can carry: bigints within 64 bits (-2^63 to 2^64 - 1),
 * well-formed strings, valid dates, arrays without holes and plain objects with
 * string keys, at most 64 of them inside one another.
 */
export type Value =
  | null
  | undefined
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | Date
  | readonly Value[]
  | { readonly [key: string]: Value };

const BIGINT_MIN = -(2n ** 63n);
const BIGINT_MAX = 2n ** 64n - 1n;

/** What is wrong, and the way to it from the inside out. */
interface Problem {
  readonly what: string;
  readonly path: string[];
}

/**
 * Makes sure that `value` is of the kinds that a message carries: null,
 * undefined, booleans, numbers, bigints within 64 bits, well-formed strings,
 * `Uint8Array`s, valid `Date`s, and arrays without holes and plain objects with
 * string keys of these, at most 64 inside one another.
 *
 * @param value What is to be sent.
 * @param bytesMax A value that is certain to need more bytes is refused at once;
 *   this also ends the walk through a value that contains itself many times.
 * @returns Whether it contains a `-0`, which needs care.
 * @throws {MomError} `value_unsupported`, naming the place (`value.a[3]`) and
 *   kind; `message_too_large`.
 */
export function checkValue(value: unknown, bytesMax: number): boolean {
  const walk = new Walk(bytesMax);
  const problem = walk.visit(value, 0);
  if (problem === null) return walk.hasNegativeZero;
  throw new MomError(
    "value_unsupported",
    `Cannot encode message: value${
      problem.path.reverse().join("")
    } is ${problem.what}`,
  );
}

class Walk {
  hasNegativeZero = false;
  /** No encoding has fewer bytes than this. */
  #bytes = 0;
  readonly #bytesMax: number;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  visit(value: unknown, depth: number): Problem | null {
    this.#count(1);
    switch (typeof value) {
      case "string":
        this.#count(value.length);
        if (value.isWellFormed()) return null;
        return problem("a string with a lone surrogate");
      case "number":
        if (value === 0 && Object.is(value, -0)) this.hasNegativeZero = true;
        return null;
      case "boolean":
      case "undefined":
        return null;
      case "bigint":
        if (value >= BIGINT_MIN && value <= BIGINT_MAX) return null;
        return problem("a bigint of more than 64 bits");
      case "object":
        return value === null ? null : this.#visitObject(value, depth);
      default:
        return problem(`a ${typeof value}`);
    }
  }

  #visitObject(value: object, depth: number): Problem | null {
    if (value instanceof Uint8Array) {
      this.#count(value.length);
      return null;
    }
    if (value instanceof Date) {
      return Number.isNaN(value.getTime()) ? problem("an invalid Date") : null;
    }
    const prototype: unknown = Object.getPrototypeOf(value);
    const isArray = Array.isArray(value) && prototype === Array.prototype;
    if (!isArray && prototype !== Object.prototype && prototype !== null) {
      return problem(describeInstance(value));
    }
    if (depth === LIMITS.valueDepth) {
      return problem(`more than ${LIMITS.valueDepth} levels deep`);
    }
    return isArray
      ? this.#visitArray(value, depth + 1)
      : this.#visitPlain(value as Record<string, unknown>, depth + 1);
  }

  #visitArray(array: readonly unknown[], depth: number): Problem | null {
    for (let i = 0; i < array.length; i++) {
      const item = array[i];
      if (item === undefined && !(i in array)) {
        return problem("a hole in an array", `[${i}]`);
      }
      const found = this.visit(item, depth);
      if (found !== null) return withStep(found, `[${i}]`);
    }
    return null;
  }

  #visitPlain(
    object: Record<string, unknown>,
    depth: number,
  ): Problem | null {
    if (Object.getOwnPropertySymbols(object).length > 0) {
      return problem("an object with a symbol as key");
    }
    for (const key of Object.keys(object)) {
      this.#count(key.length + 1);
      if (!key.isWellFormed()) {
        return problem("an object with a lone surrogate in a key");
      }
      const found = this.visit(object[key], depth);
      if (found !== null) return withStep(found, stepOf(key));
    }
    return null;
  }

  #count(bytes: number): void {
    this.#bytes += bytes;
    // A byte of grace for the head, which does not count for text and bytes.
    if (this.#bytes > this.#bytesMax + 1) throw tooLarge(this.#bytesMax);
  }
}

/** The error for a value that is larger than a message may be. */
export function tooLarge(bytesMax: number, bytes?: number): MomError {
  const size = bytes === undefined ? `more than ${bytesMax}` : `${bytes}`;
  return new MomError(
    "message_too_large",
    `Cannot encode message: value has ${size} bytes, at most ${bytesMax}`,
  );
}

function problem(what: string, step?: string): Problem {
  return { what, path: step === undefined ? [] : [step] };
}

function withStep(found: Problem, step: string): Problem {
  found.path.push(step);
  return found;
}

function stepOf(key: string): string {
  if (/^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(key)) return `.${key}`;
  return `[${JSON.stringify(key)}]`;
}

function describeInstance(value: object): string {
  const name: unknown = value.constructor?.name;
  if (typeof name === "string" && name !== "") return `an instance of ${name}`;
  return "an instance of a class";
}
