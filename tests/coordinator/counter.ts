/**
 * The counter: clients on several machines each add 1 to a value again and again,
 * under a semaphore of 1, while coordinators are killed, paused and started. What
 * they saw is checked.
 *
 * @module
 */

import { Coordinator } from "../../coordinator/mod.ts";
import { shardOf } from "../../coordinator/topics.ts";
import { Mom } from "../../mod.ts";
import type { Cluster } from "../process/cluster.ts";
import { taskCommand } from "../process/commands.ts";
import { Slot } from "../process/slot.ts";
import { disturb, type Disturbances } from "./disturber.ts";
import { findImpossible, type Hold } from "./history.ts";

/** Options of {@linkcode runCounter}. */
export interface CounterOptions {
  /** A broker with the machines `north`, `east`, `south`. */
  cluster: Cluster;
  seed: number;
  /** @default {16} */
  clients?: number;
  /** Of each client. @default {200} */
  increments?: number;
  /** Of the coordinators. @default {500} */
  leaseMs?: number;
  /**
   * Whether a client sends what it writes, its release and its next wait together,
   * and not one when the other is answered: a third of the messages. All are of one
   * shard, whose log has them in that order. @default {false}
   */
  isBrisk?: boolean;
  /** How often coordinators are struck, at most. @default {Infinity} */
  strikesMax?: number;
  /** After so long without any increment it counts as stuck. @default {60_000} */
  stuckMs?: number;
}

/** What came of a counter. */
export interface CounterReport extends Disturbances {
  seed: number;
  value: number;
  seconds: number;
}

const MACHINES = ["north", "east", "south"];
const OF = 3;
/** Two names of one shard. */
const LOCK = "lock";
const COUNTER = nameBeside(LOCK);
/** Clients are not killed here: their lease must outlast a busy machine. */
const CLIENT_LEASE_MS = 30_000;

/**
 * Runs one counter with coordinators of its own.
 *
 * @throws {Error} If the value or the history is wrong, or it does not end.
 */
export async function runCounter(
  options: CounterOptions,
): Promise<CounterReport> {
  const { cluster, seed, stuckMs = 60_000 } = options;
  const startMs = performance.now();
  const group = `counter-${seed}`;
  const leaseMs = options.leaseMs ?? 500;
  await using slots = new Slots(cluster, group, leaseMs);
  await slots.start();
  const ending = new AbortController();
  const disturbing = disturb({
    slots: slots.all,
    seed,
    leaseMs,
    strikesMax: options.strikesMax,
    signal: ending.signal,
  });
  try {
    using watch = new Watch(stuckMs);
    const counted = count(options, group, watch);
    const value = await Promise.race([
      watch.stuck,
      counted,
      // Fails with the disturber, but does not end with it.
      disturbing.then(() => counted),
    ]);
    ending.abort();
    const done = await disturbing;
    await slots.stop();
    const seconds = (performance.now() - startMs) / 1000;
    return { seed, value, seconds, ...done };
  } catch (error) {
    ending.abort();
    await disturbing.catch(() => {});
    const logs = slots.all.map(({ name, program }) =>
      `${name}:\n${program.stderr.slice(-1_500)}`
    );
    throw new Error(`Seed ${seed}: ${error}\n${logs.join("\n")}`, {
      cause: error,
    });
  }
}

function nameBeside(name: string): string {
  for (let i = 0;; i++) {
    const other = `counter ${i}`;
    if (shardOf(other, OF) === shardOf(name, OF)) return other;
  }
}

async function count(
  options: CounterOptions,
  group: string,
  watch: Watch,
): Promise<number> {
  const { cluster, clients = 16, increments = 200 } = options;
  await using stack = new AsyncDisposableStack();
  const all = await Promise.all(
    Array.from({ length: clients }, async (_, index) => {
      const machine = MACHINES[index % MACHINES.length]!;
      const mom = stack.use(
        await Mom.connect({
          daemon: cluster.daemonAddress(machine),
          token: await cluster.token(machine),
        }),
      );
      return stack.use(
        await Coordinator.connect(mom, {
          of: OF,
          group,
          leaseMs: CLIENT_LEASE_MS,
          timeoutMs: 10 * (options.stuckMs ?? 60_000),
        }),
      );
    }),
  );
  const [first] = all;
  await first!.semaphore(LOCK).init(1);
  await first!.value(COUNTER).init(0);
  const holds: Hold[] = [];
  const add = options.isBrisk ? increaseBriskly : increase;
  await Promise.all(
    all.map((client, index) =>
      add(client, `client ${index}`, increments, holds, watch)
    ),
  );
  const value = await first!.value<number>(COUNTER).read();
  await first!.semaphore(LOCK).destroy();
  await first!.value(COUNTER).destroy();
  const wrong = findImpossible(holds);
  if (wrong.length > 0) throw new Error(wrong.slice(0, 5).join("\n"));
  const expected = clients * increments;
  if (value !== expected || holds.length !== expected) {
    throw new Error(`The value is ${value}, not ${expected}`);
  }
  return value;
}

async function increase(
  coordinator: Coordinator,
  client: string,
  increments: number,
  holds: Hold[],
  watch: Watch,
): Promise<void> {
  const lock = coordinator.semaphore(LOCK);
  const counter = coordinator.value<number>(COUNTER);
  for (let i = 0; i < increments; i++) {
    const askedMs = performance.now();
    const permit = await lock.wait();
    const gotMs = performance.now();
    await counter.write(await counter.read() + 1);
    const leftMs = performance.now();
    await permit.release();
    const goneMs = performance.now();
    const { token } = permit;
    watch.touch(holds.length + 1);
    holds.push({ client, token, askedMs, gotMs, leftMs, goneMs });
  }
}

async function increaseBriskly(
  coordinator: Coordinator,
  client: string,
  increments: number,
  holds: Hold[],
  watch: Watch,
): Promise<void> {
  const lock = coordinator.semaphore(LOCK);
  const counter = coordinator.value<number>(COUNTER);
  const ask = () => ({ askedMs: performance.now(), waiting: lock.wait() });
  let next = ask();
  for (let i = 1; i <= increments; i++) {
    const { askedMs, waiting } = next;
    const permit = await waiting;
    const gotMs = performance.now();
    const value = await counter.read();
    const writing = counter.write(value + 1);
    const leftMs = performance.now();
    const releasing = permit.release();
    if (i < increments) next = ask();
    await Promise.all([writing, releasing]);
    const goneMs = performance.now();
    const { token } = permit;
    watch.touch(holds.length + 1);
    holds.push({ client, token, askedMs, gotMs, leftMs, goneMs });
  }
}

/** Notices when nothing goes on. */
class Watch implements Disposable {
  readonly #stuck = Promise.withResolvers<never>();
  readonly #timer: ReturnType<typeof setInterval>;
  #count = 0;
  #lastMs = performance.now();

  constructor(stuckMs: number) {
    this.#stuck.promise.catch(() => {});
    this.#timer = setInterval(() => {
      if (performance.now() - this.#lastMs < stuckMs) return;
      this.#stuck.reject(
        new Error(`No increment for ${stuckMs} ms, behind ${this.#count}`),
      );
    }, 1_000);
  }

  /** Rejects when nothing has happened for too long. */
  get stuck(): Promise<never> {
    return this.#stuck.promise;
  }

  touch(count: number): void {
    this.#count = count;
    this.#lastMs = performance.now();
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}

/** The coordinators of one counter. */
class Slots implements AsyncDisposable {
  readonly all: Slot[];

  constructor(cluster: Cluster, group: string, leaseMs: number) {
    this.all = MACHINES.map((machine, index) =>
      new Slot({
        name: `coordinator ${index + 1} of ${group}`,
        command: taskCommand("coordinator"),
        args: [
          ...["--id", `${index + 1}`, "--of", `${OF}`, "--group", group],
          ...["--lease-ms", `${leaseMs}`],
          ...["--daemon", cluster.daemonAddress(machine)],
        ],
        env: cluster.env,
      })
    );
  }

  async start(): Promise<void> {
    await Promise.all(this.all.map((slot) => slot.start()));
  }

  async stop(): Promise<void> {
    const ends = await Promise.all(this.all.map((slot) => slot.stop()));
    for (const { code } of ends) {
      if (code !== 0) throw new Error(`A coordinator ended with ${code}`);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.all.map((slot) => slot[Symbol.asyncDispose]()));
  }
}
