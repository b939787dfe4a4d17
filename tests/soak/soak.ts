/**
 * The soak: a system of real processes at half of its full speed, while its
 * programs and apps are killed one after the other. Tells whether anything was
 * lost, doubled or out of order, and whether anything grows.
 *
 * @module
 */

import { checkSums } from "../faults/equations.ts";
import { eventually, pause } from "../helpers/eventually.ts";
import { Random } from "../helpers/random.ts";
import { Cluster } from "../process/cluster.ts";
import type { Slot } from "../process/slot.ts";
import { CAST, MACHINES, type SoakRole, VICTIMS } from "./cast.ts";
import { type FlatnessRow, judgeFlatness, tellFlatness } from "./flatness.ts";
import { Ledger, type LedgerReader } from "./ledger.ts";
import { Player } from "./player.ts";
import { type Sample, sample, type Subject } from "./sampler.ts";

/** What a soak does. */
export interface SoakOptions {
  /** How long, from the first paced publish. */
  durationMs: number;
  /** From one kill to the next; 0: nobody is killed. @default {30_000} */
  killEveryMs?: number;
  seed: number;
  /** How long full speed is measured. @default {10_000} */
  fullSpeedMs?: number;
  /**
   * How long topics are filled at most, up to what they keep, so that files have
   * their size before it is measured. @default {120_000}
   */
  fillMs?: number;
  /** How much a figure may grow after the warm-up. @default {0.1} */
  growthMax?: number;
  /** Told of what goes on. */
  onLine?: (line: string) => void;
}

/** What a soak shows. */
export interface SoakReport {
  /** Publishes a second with nothing held back, all delivered. */
  fullSpeed: number;
  /** Publishes a second that were had, outages and all. */
  speed: number;
  published: number;
  taken: number;
  again: number;
  kills: number;
  /** What was lost, doubled, out of order or miscounted. Empty: nothing. */
  findings: string[];
  rows: FlatnessRow[];
  samples: readonly Sample[];
}

/**
 * The young generation has its final size from the start. Left alone, V8 doubles
 * it at some moment of load or other, once, by some 10 to 30 MiB; behind such
 * steps a leak would not be seen.
 */
const V8 = {
  DENO_V8_FLAGS: "--min-semi-space-size=16,--max-semi-space-size=16",
};

const SAMPLE_EVERY_MS = 2_000;
const REST_WITHIN_MS = 120_000;
/**
 * The first outage of each is the longest: files keep the size that what gathers
 * in an outage once needed, and a later one that is longer would look like growth.
 */
const FIRST_DOWN_MS = 4_000;
/** The outages after that, in turn. */
const DOWN_MS = [0, 500, 1_000];

/** Soaks. */
export async function runSoak(options: SoakOptions): Promise<SoakReport> {
  await using stage = await SoakStage.open(options);
  const fullSpeed = await stage.measureFullSpeed();
  stage.say(`full speed: ${Math.round(fullSpeed)} publishes/s`);
  await stage.fill();
  return await stage.soak(fullSpeed);
}

/** Everything that takes part. */
class SoakStage implements AsyncDisposable {
  readonly #options: SoakOptions;
  readonly #cluster: Cluster;
  readonly #ledger = new Ledger(CAST.filter(isReader));
  readonly #players: readonly Player[];
  readonly #samples: Sample[] = [];
  #kills = 0;
  #rate = 0;

  private constructor(cluster: Cluster, options: SoakOptions) {
    this.#cluster = cluster;
    this.#options = options;
    this.#players = CAST.map((role) => new Player(role, cluster, this.#ledger));
  }

  static async open(options: SoakOptions): Promise<SoakStage> {
    const cluster = await Cluster.start({ machines: MACHINES, env: V8 });
    const stage = new SoakStage(cluster, options);
    try {
      await Promise.all(stage.#players.map((player) => player.start()));
    } catch (error) {
      await stage[Symbol.asyncDispose]();
      throw error;
    }
    return stage;
  }

  say(line: string): void {
    this.#options.onLine?.(line);
  }

  /** Publishes a second over the time from the first publish to the last take. */
  async measureFullSpeed(): Promise<number> {
    const startMs = performance.now();
    await this.#write(null);
    await pause(this.#options.fullSpeedMs ?? 10_000);
    await this.#rest();
    const seconds = (performance.now() - startMs) / 1_000;
    return this.#ledger.acknowledged / seconds;
  }

  /** Writes until every topic has begun to let go of what is old. */
  async fill(): Promise<void> {
    const startMs = performance.now();
    const { fillMs = 120_000 } = this.#options;
    const isLate = () => performance.now() - startMs > fillMs;
    await this.#write(null);
    await eventually("full topics", async () => {
      const { topics } = await this.#cluster.brokerStatus();
      return isLate() || topics.every(({ trimmed }) => trimmed > 0);
    }, { timeoutMs: fillMs + 60_000, intervalMs: 500 });
    await this.#rest();
    const seconds = Math.round((performance.now() - startMs) / 1_000);
    this.say(`filled for ${seconds} s`);
  }

  async soak(fullSpeed: number): Promise<SoakReport> {
    const { durationMs, growthMax } = this.#options;
    const startMs = performance.now();
    const before = this.#ledger.acknowledged;
    this.#rate = fullSpeed / 2 / CAST.filter((role) => role.isWriter).length;
    await this.#write(this.#rate);
    await Promise.all([
      this.#killInTurn(startMs, before),
      this.#measure(startMs),
    ]);
    const published = this.#ledger.acknowledged - before;
    await this.#rest();
    const findings = await this.#conclude();
    const sums = this.#ledger.sums();
    return {
      fullSpeed,
      speed: published / (durationMs / 1_000),
      published: this.#ledger.acknowledged,
      taken: sums.flatMap(({ taken }) => [...taken.values()])
        .reduce((sum, count) => sum + count, 0),
      again: sums.reduce((sum, { again }) => sum + again, 0),
      kills: this.#kills,
      findings,
      rows: judgeFlatness(this.#samples, { durationMs, growthMax }),
      samples: this.#samples,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#players.map((one) => one[Symbol.asyncDispose]()));
    await this.#cluster[Symbol.asyncDispose]();
  }

  async #write(rate: number | null): Promise<void> {
    await Promise.all(this.#players.map((player) => player.write(rate)));
  }

  /** Nobody writes; resolves when nothing is on its way any more. */
  async #rest(): Promise<void> {
    await Promise.all(this.#players.map((player) => player.rest()));
    const options = { timeoutMs: REST_WITHIN_MS, intervalMs: 100 };
    try {
      await eventually("rest", () => this.#isAtRest(), options);
    } catch (error) {
      this.#ledger.add(`broken: ${error}`);
    }
  }

  async #isAtRest(): Promise<boolean> {
    if (!this.#ledger.isComplete) return false;
    for (const machine of MACHINES) {
      const { outbox } = await this.#cluster.daemonStatus(machine);
      if (outbox === null || outbox.messages > 0) return false;
    }
    return (await this.#cluster.brokerStatus()).totals.pending === 0;
  }

  async #killInTurn(startMs: number, before: number): Promise<void> {
    const { durationMs, seed, killEveryMs = 30_000 } = this.#options;
    if (killEveryMs === 0) return;
    const random = new Random(seed);
    const rounds = Math.ceil(durationMs / killEveryMs) - 1;
    for (let n = 0; n < rounds; n++) {
      const jitterMs = random.integer(0, killEveryMs / 10);
      const atMs = startMs + (n + 1) * killEveryMs - jitterMs;
      await pause(atMs - performance.now());
      const victim = VICTIMS[n % VICTIMS.length];
      const downMs = downMsOf(Math.floor(n / VICTIMS.length));
      await this.#kill(victim, downMs);
      this.#kills++;
      const seconds = Math.round((performance.now() - startMs) / 1_000);
      const speed = (this.#ledger.acknowledged - before) / seconds;
      this.say(
        `${seconds} s: killed ${victim}, started after ${downMs} ms; ` +
          `${Math.round(speed)} publishes/s so far`,
      );
    }
  }

  async #kill(victim: string, downMs: number): Promise<void> {
    const slot = this.#slots().find((one) => one.name === victim);
    if (slot !== undefined) {
      await slot.kill();
      await pause(downMs);
      await slot.start();
      return;
    }
    const player = this.#players.find(({ role }) => role.name === victim);
    if (player === undefined) throw new Error(`No ${victim} here`);
    await player.kill();
    await pause(downMs);
    await player.start();
    await player.write(this.#rate);
  }

  #slots(): Slot[] {
    const { broker } = this.#cluster;
    return [broker, ...MACHINES.map((one) => this.#cluster.daemon(one))];
  }

  async #measure(startMs: number): Promise<void> {
    const subjects = this.#subjects();
    const { durationMs } = this.#options;
    for (let n = 1; n * SAMPLE_EVERY_MS <= durationMs; n++) {
      await pause(startMs + n * SAMPLE_EVERY_MS - performance.now());
      const atMs = performance.now() - startMs;
      this.#samples.push(...await sample(subjects, atMs));
    }
  }

  #subjects(): Subject[] {
    const { path } = this.#cluster.folder;
    const folders = ["broker", ...MACHINES];
    const programs = this.#slots().map((slot, index) => ({
      name: slot.name,
      pid: () => slot.program.isOver ? null : slot.program.pid,
      folder: `${path}/${folders[index]}`,
    }));
    const apps = this.#players.map((player) => ({
      name: player.role.name,
      pid: () => player.program.isOver ? null : player.program.pid,
    }));
    return [...programs, ...apps];
  }

  async #conclude(): Promise<string[]> {
    const sums = await this.#cluster.brokerStatus();
    const findings = [...this.#ledger.conclude(), ...checkSums(sums)];
    for (const row of sums.subscriptions) {
      const { user, filter, topic } = row;
      const reader = this.#ledger.sums().find(({ name }) =>
        user.startsWith(`${name}@`)
      );
      const taken = reader?.taken.get(topic) ?? 0;
      if (row.delivered === taken && row.dropped === 0) continue;
      findings.push(
        `counted: ${user} ${filter} ${topic}: delivered ${row.delivered}, ` +
          `dropped ${row.dropped}, but its app took ${taken}`,
      );
    }
    for (const [topic, { least, most }] of this.#ledger.bounds()) {
      const { published = 0 } = sums.topics.find((row) =>
        row.topic === topic
      ) ?? {};
      if (least <= published && published <= most) continue;
      findings.push(
        `counted: ${topic}: published ${published}, not ${least} to ${most}`,
      );
    }
    return findings;
  }
}

/** @param death How many times the victim was killed before. */
function downMsOf(death: number): number {
  return death === 0 ? FIRST_DOWN_MS : DOWN_MS[(death - 1) % DOWN_MS.length];
}

function isReader(role: SoakRole): role is SoakRole & LedgerReader {
  return role.filter !== null;
}

/** What a report says, for people. */
export function tellReport(report: SoakReport): string[] {
  const { findings, rows, published, taken, again, kills } = report;
  return [
    ...tellFlatness(rows),
    ...findings,
    `${Math.round(report.speed)} publishes/s of ${
      Math.round(report.fullSpeed)
    } at full speed; ${published} published, ${taken} taken, ${again} again ` +
    `and marked, ${kills} kills: ${
      findings.length === 0
        ? "0 lost, 0 doubled, 0 out of order"
        : `${findings.length} findings`
    }`,
  ];
}
