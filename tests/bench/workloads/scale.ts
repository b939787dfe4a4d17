/**
 * What grows: publishers, topics in turn, subscriptions that do not match and
 * those that do, messages stored. Each is a stage of its own, and is measured to
 * the last acknowledgement and to the last receive.
 *
 * @module
 */

import type { BenchApp } from "../bench_app.ts";
import type { FloodCommand } from "../app/protocol.ts";
import type { Stage } from "../contestant.ts";
import type { Outcome } from "../row.ts";
import {
  type Case,
  countFor,
  deliveryOutcome,
  pass,
  reserve,
  TOPIC,
  warmUpSeconds,
  type Workload,
} from "../workload.ts";

/** What grows, the sizes it always has, and those for `--full`. */
const GROWING = {
  publishers: [[1, 4, 16], []],
  topics: [[1, 16, 1_000], [100_000]],
  "other subscriptions": [[10, 1_000], [10_000]],
  "matching subscriptions": [[1, 10, 100], [1_000]],
  "million stored": [[0, 1], [20]],
} as const;

type What = keyof typeof GROWING;

const OTHER_HANDLES = 10;
/** Deliveries in five seconds, however many subscriptions share them. */
const DELIVERIES = 1_000_000;
/** Messages in five seconds over many topics; each topic has its turn. */
const IN_TURN = 200_000;
/** So many topics have their turn within any time. */
const FEW_TOPICS = 100;

/** Messages or deliveries a second. */
export const scale: Workload = {
  takes: ({ peer }) => peer === "mom",
  isOfEverySize: false,
  variants: (isFull) =>
    Object.entries(GROWING).flatMap(([what, [always, large]]) =>
      [...always, ...isFull ? large : []].map((size) => `${size} ${what}`)
    ),
  async run(run) {
    const [size, ...words] = run.variant.split(" ");
    return await measure(run, words.join(" ") as What, Number(size));
  },
};

async function measure(
  run: Case,
  what: What,
  size: number,
): Promise<Outcome[]> {
  const { contestant, bytes, variant, seconds } = run;
  await using stage = await contestant.start();
  await using extra = await stage.startApp("extra");
  if (what === "other subscriptions") await crowd(extra, size);
  if (what === "million stored") await store(stage, extra, bytes, size);
  await using reader = await stage.startApp("reader");
  await using writer = await stage.startApp("writer");
  const topics = what === "topics" ? size : 1;
  const readers = what === "matching subscriptions" ? size : 1;
  const topic = topics > 1 ? `${TOPIC}/#` : TOPIC;
  await reader.call({ do: "take", topic, readers });
  const flood: FloodCommand = {
    do: "flood",
    topic: TOPIC,
    bytes,
    topics,
    writers: what === "publishers" ? size : 1,
  };
  const limit = (part: number) => {
    if (topics > FEW_TOPICS) {
      return { count: Math.max(topics, countFor(run, IN_TURN)) };
    }
    if (readers === 1) return { seconds: seconds * part };
    return { count: Math.max(10, countFor(run, DELIVERIES * part / readers)) };
  };
  const warm = warmUpSeconds(seconds) / seconds;
  await pass(stage, writer, reader, { ...flood, ...limit(warm) }, readers);
  const command = { ...flood, ...limit(1) };
  const passed = await pass(stage, writer, reader, command, readers);
  const unit = readers === 1 ? "messages/s" : "deliveries/s";
  const { count, startMs, endMs } = passed.flood;
  return [
    deliveryOutcome(`${variant}, deliver`, unit, passed, readers),
    {
      variant: `${variant}, publish`,
      value: count * 1_000 / (endMs - startMs),
      unit: "messages/s",
      messages: count,
      lost: 0,
      reordered: 0,
    },
  ];
}

/** Subscriptions that never match, of users who stay. */
async function crowd(app: BenchApp, subscriptions: number): Promise<void> {
  const filters = subscriptions / OTHER_HANDLES;
  await app.call({ do: "crowd", handles: OTHER_HANDLES, filters });
}

/** Messages that lie there, for a subscriber who is away. */
async function store(
  stage: Stage,
  app: BenchApp,
  bytes: number,
  millions: number,
): Promise<void> {
  if (millions === 0) return;
  const topic = "stored";
  await reserve(stage, topic, "absent");
  await app.call({ do: "flood", topic, bytes, count: millions * 1_000_000 });
}
