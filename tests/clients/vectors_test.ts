/**
 * The Python client reads and writes what the wire has: the golden vectors, and
 * records, also damaged ones, which both clients must take for the same.
 */
import assert from "node:assert/strict";
import { type ErrorCode, ERRORS, MomError } from "../../protocol/errors.ts";
import { decodeRecord, encodeRecord } from "../../protocol/record.ts";
import vectors from "../vectors/messages.json" with { type: "json" };
import { within } from "../helpers/eventually.ts";
import { range } from "../helpers/expect.ts";
import { Random } from "../helpers/random.ts";
import { ROOT } from "../process/commands.ts";
import { VALUES } from "./behaviours.ts";
import { findPython, type Python, withoutPython } from "./python.ts";
import { fromValue, toValue } from "./told_values.ts";

/** How often each record is damaged. */
const DAMAGES = 60;
/** Values at the edge of what is one, in hex; some are none. */
const EDGES = [
  "a2616101616102",
  "81".repeat(64) + "01",
  "81".repeat(65) + "01",
  "a16161".repeat(64) + "01",
  "a16161".repeat(65) + "01",
  "f3",
  "e0",
  "f8ff",
  "ff",
  "fc",
  "9f01ff",
  "5f4101ff",
  "7f6161ff",
  "bf616101ff",
  "c11a5f5e1000",
  "c11b000000005f5e1000",
  "c120",
  "c1f93c00",
  "c1f97e00",
  "c1f97c00",
  "c1fb42a0000000000000",
  "c1fb3f50624dd2f1a9fc",
  "c1fbc0ac200000000000",
  "c1c101",
  "c1f4",
  "c1f6",
  "c16161",
  "d80100",
  "c000",
  "d81c80",
  "1800",
  "190001",
  "1a00000001",
  "1b0000000000000001",
  "1c",
  "3b0000000000000000",
  "3bffffffffffffffff",
  "3affffffff",
  "fb41efffffffe00000",
  "fb41f0000000000000",
  "fbc1f0000000000000",
  "fb433fffffffffffff",
  "fb4340000000000000",
  "fa4f800000",
  "f97bff",
  "f90001",
  "f98000",
  "61ff",
  "63eda080",
  "7affffffff",
  "7b00000000000000016161",
  "9b0000000100000000",
  "a10101",
  "a141610101",
  "0100",
  "",
];
/** Records with headers that are some or none, in hex. */
const EDGE_HEADERS = [
  "82a001",
  "820101",
  "82a16161f601",
  "82a16161f701",
  "82a161618001",
  "82a16161a001",
  "82a16161c10001",
  "82a1010101",
  "82a261610161610201",
  "82a161611b001fffffffffffff01",
  "82a161611b002000000000000001",
  "82a161613b001ffffffffffffe01",
  "82a161613b001fffffffffffff01",
  "82a16161fb41f000000000000001",
  "82a16161f97e0001",
  "83f60101",
  "81f6",
  "980282f601",
  "9802f601",
  "f6",
  "82f6",
];
/** Larger records are not damaged: their message is their content. */
const DAMAGED_MAX = 200;

interface Verdict {
  readonly failures: readonly string[];
  /** For each record headers and value, or `null` where it is none. */
  readonly records: readonly unknown[];
}

const python = await findPython();

Deno.test({
  name:
    "[O-18] the Python client knows the golden vectors and the error codes" +
    withoutPython(python),
  ignore: python === null,
  async fn() {
    const { failures } = await judge(python!, []);
    assert.deepEqual(failures, []);
  },
});

Deno.test({
  name: "[O-18] the Python client takes and refuses the same records" +
    withoutPython(python),
  ignore: python === null,
  async fn() {
    const seed = crypto.getRandomValues(new Uint32Array(1))[0];
    const records = makeRecords(new Random(seed));
    const { records: read } = await judge(python!, records);
    for (const [index, record] of records.entries()) {
      assert.deepEqual(
        sorted(read[index]),
        sorted(await readRecord(record)),
        `seed ${seed}: ${record.toHex()}`,
      );
    }
    assert.ok(read.includes(null), "some are refused");
    assert.ok(read.some((one) => one !== null), "some are not");
  },
});

/** What JSON makes of it is compared: -0 and the like have names there. */
async function readRecord(content: Uint8Array): Promise<unknown> {
  try {
    const { headers, value } = decodeRecord(content);
    const told = Object.entries(headers ?? {})
      .map(async ([key, one]) => [key, await fromValue(one)]);
    return [await Promise.all(told), await fromValue(value)];
  } catch (error) {
    if (error instanceof MomError) return null;
    throw error;
  }
}

/** JavaScript puts keys that look like numbers first. */
function sorted(told: unknown): unknown {
  if (Array.isArray(told)) return told.map(sorted);
  if (told === null || typeof told !== "object") return told;
  const { object } = told as { object?: [string, unknown][] };
  if (object === undefined) return told;
  const entries = object.map(([key, value]) => [key, sorted(value)] as const);
  return { object: entries.sort(([a], [b]) => a < b ? -1 : 1) };
}

function makeRecords(random: Random): Uint8Array[] {
  const headers = { text: "ä", number: 2 ** 40, no: false, bytes: bytes("00") };
  const whole = VALUES.map(toValue).flatMap((value) => [
    contentOf(encodeRecord(value)),
    contentOf(encodeRecord(value, headers)),
  ]);
  const small = whole.filter(({ length }) => length <= DAMAGED_MAX);
  return [
    ...whole,
    ...EDGES.map((hex) => bytes(`82f6${hex}`)),
    ...EDGE_HEADERS.map(bytes),
    ...small.flatMap((record) =>
      range(DAMAGES).map(() => damage(record, random))
    ),
  ];
}

/** Without its head, of one or two bytes here. */
function contentOf(record: Uint8Array): Uint8Array {
  return record.subarray(record[0] === 0x58 ? 2 : record[0] === 0x59 ? 3 : 1);
}

function damage(record: Uint8Array, random: Random): Uint8Array {
  const copy = [...record];
  const at = random.integer(0, copy.length - 1);
  const byte = random.integer(0, 255);
  switch (random.integer(0, 3)) {
    case 0:
      copy[at] = byte;
      break;
    case 1:
      copy.splice(at, 1);
      break;
    case 2:
      copy.splice(at, 0, byte);
      break;
    default:
      copy[at] ^= 1 << random.integer(0, 7);
  }
  return Uint8Array.from(copy);
}

function bytes(hex: string): Uint8Array {
  return Uint8Array.fromHex(hex);
}

async function judge(
  { path }: Python,
  records: readonly Uint8Array[],
): Promise<Verdict> {
  const child = new Deno.Command(path, {
    args: ["-B", `${ROOT}tests/clients/vectors.py`],
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  try {
    const codes = Object.keys(ERRORS) as ErrorCode[];
    const told = {
      vectors,
      codes,
      retriable: codes.filter((code) => ERRORS[code].retriable),
      records: records.map((record) => record.toHex()),
    };
    const input = new Blob([JSON.stringify(told)]).stream();
    const [{ stdout, code }] = await within(
      "the verdict of Python",
      60_000,
      Promise.all([child.output(), input.pipeTo(child.stdin)]),
    );
    assert.equal(code, 0);
    return JSON.parse(new TextDecoder().decode(stdout));
  } catch (error) {
    child.kill("SIGKILL");
    throw error;
  }
}
