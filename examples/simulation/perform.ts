/**
 * A simulation from its first event to its last.
 *
 * @module
 */

import { type Mom, MomError } from "../../mod.ts";
import { Coordinator } from "../../coordinator/mod.ts";
import type { Card } from "./actor.ts";
import { Cast } from "./cast.ts";
import type { Chronicle } from "./chronicle.ts";
import type { Settings } from "./flags.ts";
import { Pace } from "./pace.ts";
import { Random } from "./random.ts";
import type { Signals } from "./signals.ts";
import type { Company, Resource, Simulation } from "./simulation.ts";
import type { Stage } from "./stage.ts";

/** Nothing happening for so long, and for a minute of the simulation, is a fault. */
const SILENCE_MS = 60_000;
const SILENT_SECONDS = 60;

/** On what a simulation is played. */
export interface Boards<E> {
  /** Broker, daemons and coordinators. */
  stage: Stage;
  /** The handle of the one who runs it. */
  mom: Mom;
  /** The log. */
  chronicle: Chronicle<E>;
  /** What comes from outside. */
  signals: Signals;
  /** Where all events go. */
  topic: string;
}

/** Plays it; whatever ends that, no actor is left. */
export async function perform<E extends { kind: string }>(
  simulation: Simulation<E>,
  settings: Settings,
  boards: Boards<E>,
): Promise<void> {
  const { stage, chronicle, signals } = boards;
  const cast = new Cast(
    stage.nest,
    (actor, code) => chronicle.record({ kind: "ended", actor, code }),
  );
  using silence = new Silence(chronicle, settings.numbers.speed!);
  try {
    await Promise.race([
      playAll(simulation, settings, boards, cast),
      signals.interrupted,
      cast.failed,
      stage.failed,
      chronicle.failed,
      silence.tooLong,
    ]);
  } finally {
    await cast.kill();
  }
}

async function playAll<E extends { kind: string }>(
  simulation: Simulation<E>,
  settings: Settings,
  boards: Boards<E>,
  cast: Cast,
): Promise<void> {
  const { mom, chronicle } = boards;
  const { coordinators: of, leaseMs } = settings.numbers as Numbers;
  const coordinator = await Coordinator.connect(mom, { of, leaseMs });
  const all = { ...settings.numbers, ...settings.switches };
  await chronicle.record({ kind: "opened", settings: all });
  const resources = simulation.resources(settings);
  for (const resource of resources) {
    await create(coordinator, resource);
    await chronicle.record({ kind: "created", ...resource });
  }
  const company = assemble(settings, boards, cast, coordinator);
  await simulation.perform(company);
  for (const { what, name } of resources) {
    if (what === "value") {
      const is = await coordinator.value<number>(name).read();
      await chronicle.record({ kind: "reads", value: name, is });
    }
  }
  for (const resource of resources) {
    await destroy(coordinator, resource);
    await chronicle.record({ ...resource, kind: "gone" });
  }
  await coordinator.close();
  const closed = chronicle.seen(({ kind }) => kind === "closed");
  await chronicle.record({ kind: "closed" });
  await closed;
}

type Numbers = Record<string, number>;

function assemble<E>(
  settings: Settings,
  { stage, mom, chronicle, signals, topic }: Boards<E>,
  cast: Cast,
  coordinator: Coordinator,
): Company<E> {
  const { seed, speed, leaseMs, coordinators: of } = settings
    .numbers as Numbers;
  const { numbers, switches } = settings;
  const flags = { ...numbers, ...mapValues(switches, Number) };
  let index = 0;
  const card = (name: string, id: number): Card => ({
    name,
    id,
    daemon: stage.daemon(index++),
    events: topic,
    of,
    leaseMs,
    seed,
    speed,
    settings: flags,
  });
  return {
    settings,
    mom,
    coordinator,
    chronicle,
    cast,
    stage,
    pace: new Pace(speed),
    random: new Random(seed, "main"),
    closing: signals.closing,
    card,
  };
}

function mapValues<A, B>(
  record: Record<string, A>,
  map: (value: A) => B,
): Record<string, B> {
  return Object.fromEntries(
    Object.entries(record).map(([name, value]) => [name, map(value)]),
  );
}

async function create(
  coordinator: Coordinator,
  { what, name, is }: Resource,
): Promise<void> {
  if (what === "value") await coordinator.value<number>(name).init(is);
  else await coordinator.semaphore(name).init(is);
}

/** Destroys a resource and sees that it is gone. */
async function destroy(
  coordinator: Coordinator,
  { what, name }: Resource,
): Promise<void> {
  const resource = what === "value"
    ? coordinator.value<number>(name)
    : coordinator.semaphore(name);
  await resource.destroy();
  try {
    await ("read" in resource ? resource.read() : resource.signal());
  } catch (error) {
    if (error instanceof MomError && error.code === "unknown_name") return;
    throw error;
  }
  throw new Error(`The ${what} ${name} is still there after its end`);
}

/** Watches whether anything happens. */
class Silence implements Disposable {
  /** Rejects when nothing has happened for too long; never resolves. */
  readonly tooLong: Promise<never>;
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(chronicle: { readonly silentMs: number }, speed: number) {
    const limitMs = SILENCE_MS + SILENT_SECONDS * 1_000 / speed;
    this.tooLong = new Promise((_, reject) => {
      this.#timer = setInterval(() => {
        if (chronicle.silentMs < limitMs) return;
        reject(new Error(`Nothing has happened for ${limitMs} ms`));
      }, 1_000);
    });
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}
