/**
 * One run of a whole system from one seed, and the judgement.
 *
 * @module
 */

import type { StatusReport } from "../../program/status.ts";
import { checkCounts, checkSums } from "../faults/equations.ts";
import { FINDING_KINDS, type FindingKind, judge } from "../faults/judge.ts";
import { labelOf, type SimReader } from "./journal.ts";
import { makeTrouble } from "./trouble.ts";
import { drawRoles, RestlessUser, SteadyUser, TROUBLE_MS } from "./users.ts";
import { World } from "./world.ts";

/** What becomes of a run. */
export interface SimReport {
  readonly seed: number;
  /** Empty: every promise was kept. */
  readonly failures: string[];
  /** Equal runs have equal ones. */
  readonly hash: string;
  readonly events: number;
  readonly publishes: number;
  readonly takes: number;
  readonly troubles: number;
  /** What happened, if asked for. */
  readonly lines: readonly string[];
}

/** How to run. */
export interface SimOptions {
  /** Whether to keep what happens as text. */
  isTold?: boolean;
  /** Test-only: breaks something in the world before it begins. */
  meddle?: (world: World) => void;
}

/** How late an expiring message may come where only slow commits hold it up, ms. */
const LATE_MS = 400;
/** How often what always holds is looked at, ms. */
const WATCH_MS = 170;
/** How long a world may take to come to rest, ms. */
const REST_MS = 200_000;
const LIMITS = { untilMs: 1_000_000, events: 400_000 };

/** Runs the world of a seed. */
export async function simulate(
  seed: number,
  options: SimOptions = {},
): Promise<SimReport> {
  const world = new World(seed);
  world.kernel.isTold = options.isTold === true;
  options.meddle?.(world);
  const stray = (event: PromiseRejectionEvent) => {
    event.preventDefault();
    world.journal.break(
      `nobody heard of ${event.reason?.stack} ${event.reason?.cause?.stack}`,
    );
  };
  globalThis.addEventListener("unhandledrejection", stray);
  const run = new Run(world);
  let isOver = false;
  void run.play().catch((error) => run.failures.push(`${error?.stack}`))
    .then(() => isOver = true);
  const isDone = await world.kernel.run(() => isOver, LIMITS);
  globalThis.removeEventListener("unhandledrejection", stray);
  if (!isDone) run.failures.push("the world does not come to an end");
  const { kernel, journal } = world;
  for (const { part } of [...world.lives, ...world.slots]) part?.kill();
  return {
    seed,
    failures: [...journal.broken, ...run.failures],
    hash: kernel.hash,
    events: kernel.events,
    publishes: journal.attempts.length,
    takes: journal.readers.flatMap(({ lives }) => lives)
      .reduce((sum, { takes }) => sum + takes.length, 0),
    troubles: world.troubles,
    lines: kernel.lines,
  };
}

/** What happens in a world from its beginning to its judgement. */
class Run {
  readonly failures: string[] = [];
  readonly #world: World;

  constructor(world: World) {
    this.#world = world;
  }

  async play(): Promise<void> {
    const world = this.#world;
    const { random } = world;
    for (const slot of world.slots) slot.launch();
    const isUp = () => world.daemons.every((one) => one.status() !== null);
    if (!await world.until(isUp, 20_000, 1)) throw new Error("No beginning");
    const steady = drawRoles(world).map((role) => new SteadyUser(world, role));
    await Promise.all(steady.map((user) => user.settleIn()));
    world.troubles = makeTrouble(world);
    this.#watch();
    const restless = ["rob", "ria", undefined].filter(() => random.chance(0.5))
      .map((name) => new RestlessUser(world, name));
    await Promise.all([...steady, ...restless].map((user) => user.play()));
    const leftMs = TROUBLE_MS - world.kernel.nowMs;
    if (leftMs > 0) await world.kernel.sleep(leftMs, null);
    for (const slot of world.slots) slot.disk.fuse = null;
    if (await world.until(() => world.isAtRest(), REST_MS)) {
      // What is counted in memory may still be on its way to the disk.
      await world.kernel.sleep(2_000, null);
      await this.#restart();
    } else this.failures.push("no rest", ...this.#describe());
    this.#judge();
  }

  /** What holds at every moment, looked at every so often. */
  #watch(): void {
    const { kernel, broker, journal } = this.#world;
    kernel.after(WATCH_MS, null, "watch", () => {
      const status = broker.status();
      const wrong = status === null ? [] : [
        ...checkSums(status),
        ...status.subscriptions
          .filter(({ user, topic, delivered }) =>
            delivered > journal.taken(user, topic)
          )
          .map(({ user, topic }) => `${user} has not taken all of ${topic}`),
      ];
      for (const text of wrong) journal.break(text);
      if (kernel.nowMs < 2 * TROUBLE_MS && wrong.length === 0) this.#watch();
    });
  }

  /** What is on the disk is what was told. */
  async #restart(): Promise<void> {
    const world = this.#world;
    const before = world.broker.status();
    world.broker.kill(0);
    await world.until(() => world.broker.status() !== null, 10_000, 5);
    const after = world.broker.status();
    if (before === null || after === null) {
      this.failures.push("the broker does not come back");
      return;
    }
    for (const part of ["topics", "subscriptions", "totals"] as const) {
      const [told, found] = [before, after].map((one) => textOf(one[part]));
      if (told === found) continue;
      this.failures.push(`${part} told: ${told}`, `${part} on disk: ${found}`);
    }
  }

  #judge(): void {
    const { broker, journal } = this.#world;
    const history = journal.history();
    const verdict = judge(history);
    const excused = new Map(
      journal.readers.map((reader) => [
        labelOf(reader),
        this.#world.lostMachines.has(reader.user.split("@")[1])
          // Not even that it had ended is known where everything is lost.
          ? new Set<FindingKind>(FINDING_KINDS)
          : excusesOf(reader),
      ]),
    );
    for (const { kind, user, detail } of verdict.findings) {
      if (excused.get(user)?.has(kind) === true) continue;
      const isAgain = kind === "reordered" && detail.includes(", marked)");
      if (isAgain && this.#hasForgotten(user)) continue;
      this.failures.push(`${kind} at ${user}: ${detail}`);
    }
    const lateMs = journal.worstLatenessMs();
    // On its way time is not counted: only where nothing is held up it is short.
    if (this.#world.troubles === 0 && lateMs > LATE_MS) {
      this.failures.push(`something came ${lateMs} ms after its time`);
    }
    const status = broker.status();
    if (status === null) return;
    this.failures.push(...checkSums(status));
    const steady = new Set(
      journal.readers.filter(({ isStable }) => isStable)
        .map(({ user }) => user),
    );
    const calm = {
      ...status,
      subscriptions: status.subscriptions.filter(({ user, topic }) =>
        steady.has(user) && !topic.startsWith("brief")
      ),
    };
    this.failures.push(...checkCounts(calm, {
      ...history,
      readers: history.readers.filter(({ user }) => steady.has(user)),
    }, {
      ...verdict,
      tallies: verdict.tallies.filter(({ user }) => steady.has(user))
        .map((tally) => ({
          ...tally,
          topics: new Map(
            [...tally.topics].filter(([topic]) => !topic.startsWith("brief")),
          ),
        })),
    }));
  }

  /**
   * Whether acknowledgements of an earlier handle may have died with who had them:
   * what they were for comes again, to a handle that may have had later ones.
   */
  #hasForgotten(user: string): boolean {
    const { broker, daemons } = this.#world;
    const machine = user.split("@")[1];
    const slot = daemons.find((one) => one.machine === machine) ?? broker;
    return slot.lives > 1;
  }

  #describe(): string[] {
    const tell = (name: string, status: StatusReport | null) =>
      `${name}: ${
        JSON.stringify({
          link: status?.link,
          outbox: status?.outbox,
          inbox: status?.inbox,
          sessions: status?.sessions,
          pending: status?.subscriptions.filter(({ pending }) => pending > 0),
        })
      }`;
    return this.#world.slots.map((slot) => tell(slot.name, slot.status()));
  }
}

/** What is no fault at a user who asked for it. */
function excusesOf({ subscriptions }: SimReader): Set<FindingKind> {
  const isBack = subscriptions.some((one) => one.isBack);
  const isAgain = subscriptions.some((one) => one.endAskedMs !== null);
  const excuses: FindingKind[] = [];
  // Who reaches back after it has read gets older ones behind newer ones,
  if (isBack) excuses.push("reordered", "overtaken");
  // and who had ended its subscription before, the same ones anew.
  if (isBack && isAgain) excuses.push("duplicated", "unflagged");
  return new Set(excuses);
}

function textOf(value: unknown): string {
  const rows = Array.isArray(value) ? value : [value];
  return rows.map((row) => JSON.stringify(row)).sort().join(" ");
}
