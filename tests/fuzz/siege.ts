/**
 * A broker and a daemon as processes, two apps that talk through them, and an attack
 * from a process of its own: what it does to the apps and to the programs' memory.
 *
 * @module
 */

import assert from "node:assert/strict";
import { Mom } from "../../daemon/client.ts";
import { findWrongSums } from "../../program/status.ts";
import { Cluster } from "../process/cluster.ts";
import { testCommand } from "../process/commands.ts";
import { Program } from "../process/program.ts";
import { residentBytes } from "../process/resident_bytes.ts";
import type { Victim } from "./stage.ts";

/** What an attack did. */
export interface SiegeReport {
  /** p99 of a message's way there and back, without and with the attack. */
  readonly calm: Spread;
  readonly under: Spread;
  /** What the attacked program's memory grew by. */
  readonly grownBytes: number;
  /** … in the second half of the attack: what goes on growing is not bounded. */
  readonly laterBytes: number;
}

/** What some measurements gave, ms. */
export interface Spread {
  readonly best: number;
  readonly median: number;
}

/**
 * What an attack may cost in memory at most, where that is much: 131,072 producers
 * take 170 MiB, and as much again until V8 has collected what was refused.
 */
const GROWTH_MIB: Readonly<Record<string, number>> = { introductions: 400 };

/** Messages of one measurement. */
const ROUND = 100;

/** The system, and the apps. */
export class Siege implements AsyncDisposable {
  readonly #cluster: Cluster;
  readonly #reader: Mom;
  readonly #writer: Mom;
  #count = 0;

  private constructor(cluster: Cluster, reader: Mom, writer: Mom) {
    this.#cluster = cluster;
    this.#reader = reader;
    this.#writer = writer;
  }

  /** Starts all of it. */
  static async start(): Promise<Siege> {
    const cluster = await Cluster.start({ machines: ["north"] });
    const reader = await Mom.connect({
      broker: cluster.brokerAddress,
      token: await cluster.token(),
    });
    const writer = await Mom.connect({
      daemon: cluster.daemonAddress("north"),
      token: await cluster.token("north"),
    });
    await reader.subscribe("pair");
    const siege = new Siege(cluster, reader, writer);
    await siege.#measure(2);
    return siege;
  }

  /**
   * Attacks for a while.
   *
   * @param rounds Measurements, without and with the attack alike.
   * @param leastMs How long the attack goes on at least.
   */
  async endure(
    attack: string,
    victim: Victim,
    rounds: number,
    leastMs = 0,
  ): Promise<SiegeReport> {
    const slot = victim === "broker"
      ? this.#cluster.broker
      : this.#cluster.daemon("north");
    const { pid } = await slot.program.ready();
    const calm = await this.#measure(rounds);
    const before = await residentBytes(pid);
    await using besieger = await this.#besiege(attack, victim);
    const endMs = performance.now() + leastMs;
    const under = await this.#measure(rounds);
    const sizes = [await residentBytes(pid)];
    while (performance.now() < endMs) {
      await this.#measure(1);
      sizes.push(await residentBytes(pid));
    }
    assert(!besieger.isOver, `${attack} ended: ${besieger.stderr}`);
    return {
      calm,
      under,
      grownBytes: Math.max(...sizes) - before,
      laterBytes: laterGrowth(sizes),
    };
  }

  /** The sums hold, and nothing of the attackers is left in the way. */
  async check(): Promise<void> {
    assert.deepEqual(findWrongSums(await this.#cluster.brokerStatus()), []);
    await this.#measure(1);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writer.close();
    await this.#reader.close();
    await this.#cluster[Symbol.asyncDispose]();
  }

  async #besiege(attack: string, victim: Victim): Promise<Program> {
    const cluster = this.#cluster;
    const [address, token] = victim === "broker"
      ? [cluster.brokerAddress, await cluster.token()]
      : [cluster.daemonAddress("north"), await cluster.token("north")];
    const besieger = new Program({
      name: attack,
      command: testCommand("tests/fuzz/besieger.ts"),
      args: [attack, address, token],
      env: cluster.env,
    });
    assert.equal(await besieger.lines.next(), "ready");
    return besieger;
  }

  /** The p99 of some rounds. */
  async #measure(rounds: number): Promise<Spread> {
    const p99s: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const times: number[] = [];
      for (let n = 0; n < ROUND; n++) times.push(await this.#pass());
      times.sort((a, b) => a - b);
      p99s.push(times[Math.floor(ROUND * 0.99)]);
    }
    p99s.sort((a, b) => a - b);
    return { best: p99s[0], median: p99s[rounds >> 1] };
  }

  async #pass(): Promise<number> {
    const beganMs = performance.now();
    await this.#writer.publish("pair", ++this.#count, { timeoutMs: 20_000 });
    const message = await this.#reader.receive({ timeoutMs: 20_000 });
    assert.equal(message?.value, this.#count);
    return performance.now() - beganMs;
  }
}

/**
 * The growth in the second half: between the third and the fourth quarter, each told
 * by its middle, since garbage comes and goes.
 */
function laterGrowth(sizes: readonly number[]): number {
  if (sizes.length < 8) return 0;
  const quarter = Math.floor(sizes.length / 4);
  const middle = (from: number) =>
    sizes.slice(from, from + quarter).sort((a, b) => a - b)[quarter >> 1];
  return middle(sizes.length - quarter) - middle(sizes.length - 2 * quarter);
}

/**
 * Asserts what has to hold whatever the attack. The best p99 of each counts, since
 * this machine has other things to do as well.
 */
export function checkSiege(what: string, report: SiegeReport): void {
  const { calm, under, grownBytes, laterBytes } = report;
  // Below that it is the machine that is measured: attacker, measurer and others
  // share its cores with whom they attack.
  const most = 3 * Math.max(calm.best, 50);
  assert(
    under.best <= most,
    `${what}: p99 ${under.best} ms, without it ${calm.best} ms`,
  );
  const grown = Math.round(grownBytes / 2 ** 20);
  assert(
    grown < (GROWTH_MIB[what] ?? 160),
    `${what}: memory grew by ${grown} MiB`,
  );
  const later = Math.round(laterBytes / 2 ** 20);
  assert(later < 16, `${what}: memory grew by ${later} MiB in the second half`);
}
