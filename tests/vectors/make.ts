/**
 * Makes the golden vectors of protocol version 1: `deno run --allow-write
 * tests/vectors/make.ts`. Once released they are never made again: a difference is
 * a break of the wire, and `tests/protocol/vectors_test.ts` tells.
 */

import { encodeFrame } from "../../protocol/frames.ts";
import type { Message } from "../../protocol/messages.ts";
import { encodeRecord } from "../../protocol/record.ts";

const id = (start: number) =>
  Uint8Array.from({ length: 16 }, (_, i) => start + i);
const logId = 7 * 2 ** 21 + 4;
const batch = new Uint8Array([
  ...encodeRecord("open"),
  ...encodeRecord({ door: 3 }, { urgent: true }),
]);

const windows = encodeRecord("shut");

interface Sample {
  name: string;
  direction: "client" | "server" | "both";
  message: Message;
}

const client = (name: string, message: Message): Sample => ({
  name,
  direction: "client",
  message,
});
const server = (name: string, message: Message): Sample => ({
  name,
  direction: "server",
  message,
});
const both = (name: string, message: Message): Sample => ({
  name,
  direction: "both",
  message,
});

const samples: Sample[] = [
  client("hello of an app", {
    type: "HELLO",
    versionMin: 1,
    versionMax: 1,
    software: "mom/0.1.0",
    role: "app",
    machine: null,
    machineKey: null,
    nonce: id(0),
    features: [],
    credit: 1048576,
  }),
  client("hello of a daemon", {
    type: "HELLO",
    versionMin: 1,
    versionMax: 2,
    software: "mom/0.1.0",
    role: "daemon",
    machine: "north",
    machineKey: id(16),
    nonce: id(32),
    features: ["later"],
    credit: 0,
  }),
  server("challenge", { type: "CHALLENGE", nonce: id(48) }),
  client("auth", {
    type: "AUTH",
    proof: Uint8Array.from({ length: 32 }, (_, i) => 255 - i),
  }),
  server("welcome", {
    type: "WELCOME",
    version: 1,
    software: "mom/0.1.0",
    role: "broker",
    machine: "north",
    features: [],
    maxMessageBytes: 8388608,
    heartbeatMs: 10000,
    storeId: id(64),
    epoch: 7,
  }),
  both("error without request", {
    type: "ERROR",
    request: null,
    code: "bad_frame",
    message: "Cannot read frame",
    details: null,
  }),
  both("error out of sequence", {
    type: "ERROR",
    request: 300,
    code: "out_of_sequence",
    message: "Cannot publish",
    details: new Map([["last", 70000]]),
  }),
  both("ping", { type: "PING", token: 1 }),
  both("pong", { type: "PONG", token: 1 }),
  server("goaway", { type: "GOAWAY", reason: "the broker stops", ms: 5000 }),
  server("redirect", { type: "REDIRECT", addresses: ["127.0.0.1:6270"] }),
  client("attach of a new named user", {
    type: "ATTACH",
    request: 1,
    ref: 1,
    name: "ana",
    named: true,
    incarnation: id(80),
    create: true,
    handle: id(96),
    credit: 0,
    known: [],
  }),
  client("attach of a handle that comes back", {
    type: "ATTACH",
    request: 2,
    ref: 1,
    name: "ana",
    named: true,
    incarnation: id(80),
    create: false,
    handle: id(96),
    credit: 262144,
    known: [2, logId, 0, 10, 0, logId, 10, 12],
  }),
  server("attached", {
    type: "ATTACHED",
    request: 2,
    ref: 1,
    user: "ana@north",
    incarnation: id(80),
    suspect: 0,
    epoch: 7,
  }),
  client("detach", { type: "DETACH", request: 3, ref: 1 }),
  client("destroy", {
    type: "DESTROY",
    request: 4,
    name: "ana",
    incarnation: id(80),
  }),
  client("destroy whatever the incarnation", {
    type: "DESTROY",
    request: 5,
    name: "Jürgen",
    incarnation: null,
  }),
  client("destroy whoever had the name before", {
    type: "DESTROY",
    request: 5,
    name: "ana",
    incarnation: null,
    unless: id(80),
  }),
  client("subscribe from now", {
    type: "SUBSCRIBE",
    request: 6,
    ref: 1,
    filter: "museum/+/doors",
    from: "now",
    fromValue: 0,
    manual: false,
    echo: false,
  }),
  client("subscribe from a time, acknowledging by hand", {
    type: "SUBSCRIBE",
    request: 7,
    ref: 1,
    filter: "museum/#",
    from: "time",
    fromValue: 1700000000123,
    manual: true,
    echo: true,
  }),
  client("subscribe again, from where the epoch began", {
    type: "SUBSCRIBE",
    request: 7,
    ref: 1,
    filter: "museum/#",
    from: "epoch",
    fromValue: 0,
    manual: false,
    echo: false,
  }),
  client("unsubscribe", {
    type: "UNSUBSCRIBE",
    request: 8,
    ref: 1,
    filter: "museum/#",
  }),
  server("ok", { type: "OK", request: 8 }),
  client("publish of two records", {
    type: "PUBLISH",
    request: 9,
    topic: "museum/doors/1",
    producer: id(96),
    previous: 0,
    firstSequence: 1,
    count: 2,
    attributes: null,
    batch,
    wanted: undefined,
  }),
  client("publish that expires, level broker wanted", {
    type: "PUBLISH",
    request: 10,
    topic: "museum/doors/1",
    producer: id(96),
    previous: 2,
    firstSequence: 5,
    count: 2,
    attributes: new Map([[1, 60000]]),
    batch,
    wanted: 1,
  }),
  server("receipt of the daemon", {
    type: "RECEIPT",
    request: 9,
    level: 0,
    offset: null,
  }),
  server("receipt of the broker", {
    type: "RECEIPT",
    request: 10,
    level: 1,
    offset: 4294967296,
  }),
  server("deliver to two users", {
    type: "DELIVER",
    targets: [1, 0, 2, 3],
    logId,
    topic: "museum/doors/1",
    baseOffset: 12,
    count: 2,
    position: 9000,
    time: 1700000000123,
    sender: "ben@south",
    attributes: null,
    batch,
  }),
  server("gap", {
    type: "GAP",
    targets: [1, 0],
    logId,
    from: 14,
    to: 20,
    reason: "trimmed",
  }),
  client("ack", {
    type: "ACK",
    ref: 1,
    number: 1,
    outcomes: [2, logId, 12, 14, 5, logId, 20, 21],
  }),
  server("confirm", { type: "CONFIRM", ref: 1, number: 1 }),
  client("credit of a user", { type: "CREDIT", ref: 1, total: 300000 }),
  client("credit of the connection", {
    type: "CREDIT",
    ref: null,
    total: 5000000000,
  }),
  client("introduce", { type: "INTRODUCE", producer: id(96), user: "ana" }),
  client("ended", { type: "ENDED", request: 11, producer: id(96) }),
  server("notice", {
    type: "NOTICE",
    kind: "rejected",
    details: new Map<string, string | number>([["topic", "a b"], ["count", 1]]),
  }),
  server("the broker's store is another one", {
    type: "NOTICE",
    kind: "epoch",
    details: new Map([["from", 7], ["to", 9]]),
  }),
  client("hello of an app that takes bundles", {
    type: "HELLO",
    versionMin: 1,
    versionMax: 1,
    software: "mom/0.1.0",
    role: "app",
    machine: null,
    machineKey: null,
    nonce: id(0),
    features: ["bundles"],
    credit: 1048576,
  }),
  client("bundle of doors, windows, doors", {
    type: "BUNDLE",
    producer: id(96),
    attributes: null,
    wanted: 1,
    topics: ["museum/doors", "museum/windows"],
    parts: [12, 7, 8, 2, batch.length, 13, 0, 1, 1, windows.length],
    order: new Uint8Array([0, 1, 0]),
    batch: new Uint8Array([...batch, ...windows]),
  }),
  server("delivery of a bundle", {
    type: "DELIVER_BUNDLE",
    refs: [1],
    position: 1234567,
    time: 1700000000123,
    sender: "ana@north",
    attributes: new Map([[1, 4000]]),
    topics: ["museum/doors", "museum/windows"],
    parts: [logId, 21, 2, 0, batch.length, logId + 1, 4, 1, 1, windows.length],
    order: new Uint8Array([0, 1, 0]),
    batch: new Uint8Array([...batch, ...windows]),
  }),
];

/** A message as JSON: bytes as `{"hex": …}`, maps as `{"map": [[key, value] …]}`. */
function toMeaning(value: unknown): unknown {
  if (value instanceof Uint8Array) return { hex: value.toHex() };
  if (value instanceof Map) {
    return { map: [...value].map(([k, v]) => [k, toMeaning(v)]) };
  }
  if (Array.isArray(value)) return value.map(toMeaning);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(
    Object.entries(value).filter(([, v]) => v !== undefined).map((
      [k, v],
    ) => [k, toMeaning(v)]),
  );
}

const vectors = samples.map(({ name, direction, message }) => ({
  name,
  hex: encodeFrame(message).toHex(),
  meaning: toMeaning(message),
  direction,
}));

await Deno.writeTextFile(
  new URL("messages.json", import.meta.url),
  `${JSON.stringify(vectors, null, 2)}\n`,
);
