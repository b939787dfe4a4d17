/**
 * `deno task bench coordinator`: what the coordinators cost, against what a message
 * costs at the same moment: a broker, three daemons and three coordinators as
 * programs of their own, the clients in this process.
 *
 * - `wait` and `signal` that nobody contends, until both are answered, in turn with
 *   rounds of one message: published to the broker's disk and received, by another
 *   process, as coordinators do it (half of a ping and its pong), and by this one.
 * - 16 clients on one semaphore, in turn with 16 clients on 16.
 *
 * @module
 */

import type { Coordinator, Semaphore } from "../../coordinator/mod.ts";
import type { Mom } from "../../mod.ts";
import { CoordinatorSet } from "../coordinator/_set.ts";
import { within } from "../helpers/eventually.ts";
import { testCommand } from "../process/commands.ts";
import { Program } from "../process/program.ts";
import { medianOf, percentileOf, type Spread, spreadOf } from "./statistics.ts";

/** What a run does. */
export interface CoordinatorBenchOptions {
  seconds: number;
  repeat: number;
}

/** What a run found. */
export interface CoordinatorBenchReport {
  /** p50 in milliseconds, between two processes. */
  roundMs: number;
  /** The same in one process. */
  innerRoundMs: number;
  /** p50 of `wait` and `signal` together, in milliseconds. */
  operationsMs: number;
  /** Operations over a round between processes, of each repetition. */
  latencyRatio: Spread;
  /** Operations over a round in one process. */
  innerLatencyRatio: Spread;
  /** Pairs of `wait` and `signal` a second. */
  rateOnOne: Spread;
  rateOnMany: Spread;
  /** The second over the first, of each repetition. */
  rateRatio: Spread;
}

const CLIENTS = 16;
const WARM_UP = 300;
/** As large as a request. */
const BODY = { text: "x".repeat(150) };

/** Runs all of it. */
export async function benchCoordinator(
  { seconds, repeat }: CoordinatorBenchOptions,
): Promise<CoordinatorBenchReport> {
  await using set = await CoordinatorSet.start({ leaseMs: 5_000 });
  const latency = await measureLatency(set, seconds, repeat);
  const rates = await measureRates(set, seconds, repeat);
  return { ...latency, ...rates };
}

/** The report as lines of text. */
export function coordinatorTable(report: CoordinatorBenchReport): string {
  const { roundMs, innerRoundMs, operationsMs } = report;
  const { latencyRatio, innerLatencyRatio } = report;
  const { rateOnOne, rateOnMany, rateRatio } = report;
  return [
    `publish to receive, durable     p50 ${roundMs.toFixed(2)} ms`,
    `  the same in one process       p50 ${innerRoundMs.toFixed(2)} ms`,
    `wait + signal, uncontended      p50 ${operationsMs.toFixed(2)} ms`,
    `  wait + signal / round         ${shown(latencyRatio)} (at most 5)`,
    `  the same in one process       ${shown(innerLatencyRatio)}`,
    `${CLIENTS} clients on 1 semaphore       ${shown(rateOnOne, 0)} pairs/s`,
    `${CLIENTS} clients on ${CLIENTS} semaphores     ${
      shown(rateOnMany, 0)
    } pairs/s`,
    `  on ${CLIENTS} / on 1                  ${shown(rateRatio)} (at least 3)`,
  ].join("\n");
}

function shown({ min, median, max }: Spread, digits = 2): string {
  const [low, middle, high] = [min, median, max].map((n) => n.toFixed(digits));
  return `${middle} (${low} to ${high})`;
}

async function measureLatency(
  set: CoordinatorSet,
  seconds: number,
  repeat: number,
) {
  const writer = await set.mom("north");
  const reader = await set.mom("south");
  await reader.subscribe("bench/round");
  await writer.subscribe("bench/pong");
  await using echo = await startEcho(set);
  const client = await set.client("north");
  const semaphore = client.semaphore("bench");
  await semaphore.init(1);
  for (let i = 0; i < WARM_UP; i++) {
    await playRound(writer, reader);
    await playPing(writer);
    await playPair(semaphore);
  }
  const rounds: number[] = [];
  const inner: number[] = [];
  const pairs: number[] = [];
  for (let repetition = 0; repetition < repeat; repetition++) {
    const own = {
      rounds: [] as number[],
      inner: [] as number[],
      pairs: [] as number[],
    };
    const endMs = performance.now() + seconds * 1000;
    while (performance.now() < endMs) {
      own.rounds.push(await timed(() => playPing(writer)) / 2);
      own.inner.push(await timed(() => playRound(writer, reader)));
      own.pairs.push(await timed(() => playPair(semaphore)));
    }
    rounds.push(percentileOf(own.rounds, 0.5));
    inner.push(percentileOf(own.inner, 0.5));
    pairs.push(percentileOf(own.pairs, 0.5));
  }
  await echo.kill();
  return {
    roundMs: medianOf(rounds),
    innerRoundMs: medianOf(inner),
    operationsMs: medianOf(pairs),
    latencyRatio: spreadOf(pairs.map((pair, i) => pair / rounds[i]!)),
    innerLatencyRatio: spreadOf(pairs.map((pair, i) => pair / inner[i]!)),
  };
}

async function startEcho(set: CoordinatorSet): Promise<Program> {
  const machine = "south";
  const echo = new Program({
    name: "echo",
    command: testCommand("tests/bench/coordinator_echo.ts"),
    args: [
      set.cluster.daemonAddress(machine),
      await set.cluster.token(machine),
    ],
    env: set.cluster.env,
  });
  await within("the echo", 20_000, echo.lines.next());
  return echo;
}

async function measureRates(
  set: CoordinatorSet,
  seconds: number,
  repeat: number,
) {
  const clients = await Promise.all(
    Array.from(
      { length: CLIENTS },
      (_, i) => set.client(set.machines[i % set.machines.length]),
    ),
  );
  const names = Array.from({ length: CLIENTS }, (_, i) => `many ${i}`);
  for (const name of ["one", ...names]) {
    await clients[0]!.semaphore(name).init(1);
  }
  const onOne = () => rateOf(clients, seconds, () => "one");
  const onMany = () => rateOf(clients, seconds, (i) => names[i]!);
  await rateOf(clients, seconds / 2, (i) => names[i]!);
  const ones: number[] = [];
  const manies: number[] = [];
  for (let repetition = 0; repetition < repeat; repetition++) {
    ones.push(await onOne());
    manies.push(await onMany());
  }
  return {
    rateOnOne: spreadOf(ones),
    rateOnMany: spreadOf(manies),
    rateRatio: spreadOf(manies.map((many, i) => many / ones[i]!)),
  };
}

async function rateOf(
  clients: readonly Coordinator[],
  seconds: number,
  nameOf: (index: number) => string,
): Promise<number> {
  const startMs = performance.now();
  const endMs = startMs + seconds * 1000;
  let pairs = 0;
  await Promise.all(clients.map(async (client, index) => {
    const semaphore = client.semaphore(nameOf(index));
    while (performance.now() < endMs) {
      await playPair(semaphore);
      pairs++;
    }
  }));
  return pairs * 1000 / (performance.now() - startMs);
}

async function playRound(writer: Mom, reader: Mom): Promise<void> {
  const received = reader.receive();
  writer.publish("bench/round", BODY, { level: "broker" });
  await received;
}

async function playPing(writer: Mom): Promise<void> {
  const received = writer.receive();
  writer.publish("bench/ping", BODY, { level: "broker" });
  await received;
}

async function playPair(semaphore: Semaphore): Promise<void> {
  await semaphore.wait();
  await semaphore.signal();
}

async function timed(what: () => Promise<void>): Promise<number> {
  const startMs = performance.now();
  await what();
  return performance.now() - startMs;
}
