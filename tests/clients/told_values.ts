/**
 * Values as the two drivers are told of them, in JSON: what JSON has not stands
 * as an object with one key, its kind; large text and bytes come back as a digest.
 *
 * @module
 */

/** From this many bytes on a value is told by its digest. */
const LARGE = 65_536;
/** What long texts are made of: characters of one to four bytes, and a zero. */
const UNIT = "ä\0€z🜂\n";

/** A value as it is told. */
export function toValue(told: unknown): unknown {
  if (Array.isArray(told)) return told.map(toValue);
  if (told === null || typeof told !== "object") return told;
  const [kind, what] = Object.entries(told)[0];
  switch (kind) {
    case "object":
      return fromEntries(what);
    case "undefined":
      return undefined;
    case "bigint":
      return BigInt(what);
    case "number":
      return Number(what);
    case "bytes":
      return Uint8Array.fromHex(what);
    case "date":
      return new Date(what);
    case "many":
      return Array.from({ length: what }, (_, index) => index);
    case "fill":
      return fill(what);
  }
  throw new Error(`Unknown kind ${kind}`);
}

/** How a value is told. */
export async function fromValue(value: unknown): Promise<unknown> {
  switch (typeof value) {
    case "undefined":
      return { undefined: 0 };
    case "bigint":
      return { bigint: String(value) };
    case "number":
      return Number.isFinite(value) && !Object.is(value, -0)
        ? value
        : { number: Object.is(value, -0) ? "-0" : String(value) };
    case "string":
      return value.length >= LARGE
        ? await digest("text", new TextEncoder().encode(value))
        : value;
    case "object":
      return value === null ? null : await fromObject(value);
  }
  return value;
}

async function fromObject(value: object): Promise<unknown> {
  if (value instanceof Uint8Array) {
    return value.length >= LARGE
      ? await digest("bytes", value)
      : { bytes: value.toHex() };
  }
  if (value instanceof Date) return { date: value.getTime() };
  if (Array.isArray(value)) return await Promise.all(value.map(fromValue));
  const entries = Object.entries(value)
    .map(async ([key, one]) => [key, await fromValue(one)]);
  return { object: await Promise.all(entries) };
}

/** How what `{ fill: [kind, size] }` makes is told. */
export async function filled(
  kind: "bytes" | "text",
  size: number,
): Promise<unknown> {
  return await fromValue(fill([kind, size]));
}

function fill([kind, size]: ["bytes" | "text", number]): unknown {
  if (kind === "bytes") {
    const bytes = new Uint8Array(size);
    const block = Uint8Array.from(
      { length: 256 },
      (_, index) => index * 31 + 7,
    );
    for (let at = 0; at < size; at += 256) {
      bytes.set(block.subarray(0, size - at), at);
    }
    return bytes;
  }
  const unit = new TextEncoder().encode(UNIT).length;
  return UNIT.repeat(Math.floor(size / unit)) + "x".repeat(size % unit);
}

function fromEntries(entries: [string, unknown][]): unknown {
  const object = {};
  for (const [key, told] of entries) {
    // Also one called `__proto__`.
    Object.defineProperty(object, key, {
      value: toValue(told),
      configurable: true,
      enumerable: true,
      writable: true,
    });
  }
  return object;
}

async function digest(kind: string, bytes: Uint8Array): Promise<unknown> {
  const copy = Uint8Array.from(bytes);
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", copy));
  return { digest: [kind, bytes.length, hash.toHex()] };
}
