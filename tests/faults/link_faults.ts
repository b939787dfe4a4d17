/**
 * Bad lines as a kind of fault: between each daemon and the broker, and between
 * the direct handle and the broker. What happens follows from the seed.
 *
 * @module
 */

import { pause } from "../helpers/eventually.ts";
import { Random } from "../helpers/random.ts";
import { RoughProxy, type Weather } from "../helpers/rough_proxy.ts";
import { MACHINES } from "./cast.ts";

/** One thing that befalls one line. */
interface LinkFault {
  /** From the beginning of the round. */
  atMs: number;
  /** How long it lasts. */
  forMs: number;
  does: "cut" | "silence" | Weather;
}

const DURATION_MS = 1_100;
const FAULTS_MIN = 2;
const FAULTS_MAX = 5;
const WEATHERS: readonly Weather[] = [
  { delayMs: [1, 40] },
  { delayMs: [100, 300] },
  { drip: { bytes: 700, everyMs: 1 } },
  { delayMs: [5, 20], drip: { bytes: 97, everyMs: 1 } },
];

/** Whom a line belongs to: a machine, or the direct handle. */
const DIRECT = "direct";

/** The lines of a stage. */
export class BadLines implements AsyncDisposable {
  /** How many faults there were. */
  faults = 0;
  readonly #proxies = new Map<string, RoughProxy>();

  /** @param seed Of what does not follow from a round's. */
  constructor(seed: number) {
    const random = new Random(seed);
    for (const name of [...MACHINES, DIRECT]) {
      this.#proxies.set(name, new RoughProxy(random.fork()));
    }
  }

  /** For `Cluster`: where a machine's daemon finds the broker. */
  get linkThrough(): Record<string, (broker: string) => string> {
    return Object.fromEntries(
      MACHINES.map((name) => [name, (broker) => this.#through(name, broker)]),
    );
  }

  /** Where the direct handle finds the broker. */
  directThrough(broker: string): string {
    return this.#through(DIRECT, broker);
  }

  /** Plays the faults of a round; all lines are good again afterwards. */
  async play(seed: number, startMs: number): Promise<void> {
    const random = new Random(seed);
    const work = [...this.#proxies.values()].map(async (proxy) => {
      for (const fault of drawFaults(random.fork())) {
        await pause(startMs + fault.atMs - performance.now());
        await this.#befall(proxy, fault, random);
      }
      proxy.weather = {};
    });
    await Promise.all(work);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const proxy of this.#proxies.values()) {
      await proxy[Symbol.asyncDispose]();
    }
  }

  #through(name: string, broker: string): string {
    return this.#proxies.get(name)!.standBefore(broker);
  }

  async #befall(
    proxy: RoughProxy,
    { does, forMs }: LinkFault,
    random: Random,
  ): Promise<void> {
    this.faults++;
    if (does === "cut") return proxy.cut(random.pick(["fin", "rst", "frame"]));
    if (does !== "silence") {
      proxy.weather = does;
      await pause(forMs);
      proxy.weather = {};
      return;
    }
    // As a router that forgot its connections and, after a while, says so: the
    // long form, in which nobody ever says so, takes 30 s (tests/long).
    proxy.fallSilent();
    await pause(forMs);
    proxy.cut("rst");
  }
}

function drawFaults(random: Random): LinkFault[] {
  const faults = Array.from(
    { length: random.integer(FAULTS_MIN, FAULTS_MAX) },
    (): LinkFault => ({
      atMs: random.integer(0, DURATION_MS),
      forMs: random.pick([50, 200, 500]),
      does: random.pick(["cut", "cut", "silence", ...WEATHERS]),
    }),
  );
  return faults.sort((left, right) => left.atMs - right.atMs);
}
