/**
 * What befalls a simulated world: deaths, also at the border of a commit, lost
 * and half-open connections, and delays.
 *
 * @module
 */

import type { Random } from "../helpers/random.ts";
import type { SimConnection } from "./sim_network.ts";
import type { Slot } from "./slot.ts";
import { TROUBLE_MS } from "./users.ts";
import type { World } from "./world.ts";

/** Plans all trouble of a world. @returns How much there is. */
export function makeTrouble(world: World): number {
  const { random, kernel } = world;
  const count = world.focus === null ? random.pick([0, 1, 2, 3, 4, 6]) : 4;
  const startMs = kernel.nowMs;
  for (let n = 0; n < count; n++) {
    const make = KINDS[world.focus ?? random.pick(BAG)];
    const own = random.fork();
    kernel.after(
      random.fraction() * (TROUBLE_MS - startMs),
      null,
      "trouble",
      () => make(world, own),
    );
  }
  return count;
}

/** Until a connection counts as dead, whatever else goes on, until its user ends, and some. */
const ABANDONED_MS = 200_000;

type Trouble = (world: World, random: Random) => void;

const KINDS = {
  kill,
  killAtCommit,
  cut,
  cutLinks,
  cutWithin,
  holdUp,
  stall,
  abandon,
  slowDisk,
  slowNetwork,
  displace,
  failCommit,
  loseDisk,
  setClock,
} satisfies Record<string, Trouble>;

/** A kind of trouble. */
export type TroubleKind = keyof typeof KINDS;

/** How often each comes. */
const SHARES: Record<TroubleKind, number> = {
  kill: 2,
  killAtCommit: 3,
  cut: 2,
  cutLinks: 1,
  cutWithin: 1,
  holdUp: 2,
  stall: 1,
  abandon: 1,
  slowDisk: 1,
  slowNetwork: 1,
  displace: 1,
  failCommit: 1,
  loseDisk: 1,
  setClock: 1,
};

const BAG: readonly TroubleKind[] = (Object.keys(SHARES) as TroubleKind[])
  .flatMap((kind) => new Array<TroubleKind>(SHARES[kind]).fill(kind));

function kill(world: World, random: Random): void {
  const slot = drawSlot(world, random);
  slot.kill(drawDown(random));
  if (random.chance(0.2)) drawSlot(world, random).kill(drawDown(random));
}

function killAtCommit(world: World, random: Random): void {
  const slot = drawSlot(world, random);
  slot.disk.fuse = {
    commits: random.integer(1, 8),
    isAfter: random.chance(0.5),
    blow: () => slot.kill(drawDown(random)),
  };
}

function cut(world: World, random: Random): void {
  drawConnection(world, random)?.cut();
}

function cutLinks(world: World): void {
  for (const one of world.network.connections(isLink)) one.cut();
}

/** In the middle of a message, mostly. */
function cutWithin(world: World, random: Random): void {
  const connection = drawConnection(world, random);
  if (connection !== null) connection.bytesLeft = random.integer(1, 3_000);
}

/** Nothing arrives, one way or both, and nobody is told. */
function holdUp(world: World, random: Random): void {
  const { nowMs } = world.kernel;
  const untilMs = nowMs + random.pick([10, 60, 300, 1_200, 4_000, 45_000]);
  const ways = random.pick(["server", "client", "both"]);
  const chosen = random.chance(0.3)
    ? world.network.connections(isLink)
    : [drawConnection(world, random)];
  for (const one of chosen) {
    if (one === null) continue;
    if (ways !== "client") one.heldUntilMs.server = untilMs;
    if (ways !== "server") one.heldUntilMs.client = untilMs;
  }
}

function stall(world: World, random: Random): void {
  const { nowMs } = world.kernel;
  const parts = [...world.slots.map(({ part }) => part)]
    .concat([...world.lives].map(({ part }) => part))
    .filter((part) => part !== null);
  const forMs = random.pick([20, 150, 700, 2_500, 40_000]);
  const part = random.pick(parts);
  part.stalledUntilMs = Math.max(part.stalledUntilMs, nowMs + forMs);
}

/** An unnamed handle is away for longer than its user lasts: it must be told. */
function abandon(world: World, random: Random): void {
  const { kernel, journal } = world;
  // It takes long.
  if (world.focus === null && !random.chance(0.4)) return;
  const lives = world.slots.map((slot) => slot.lives).join();
  const unnamed = [...world.lives].filter(({ options, isConnected }) =>
    isConnected && options.name === undefined && options.mustLast !== true
  );
  if (unnamed.length === 0) return;
  const life = random.pick(unnamed);
  life.part.stalledUntilMs = kernel.nowMs + ABANDONED_MS;
  life.isDelicate = true;
  kernel.after(ABANDONED_MS + 20_000, null, "back", () => {
    life.isDelicate = false;
    if (life.part.isDead || life.lastWord !== null) return;
    // Who was away itself gives a handle its time anew.
    if (lives !== world.slots.map((slot) => slot.lives).join()) return;
    journal.break(`${life.part.name} came back too late and was not told`);
  });
}

function slowDisk(world: World, random: Random): void {
  const { disk } = drawSlot(world, random);
  const usual = disk.pace;
  disk.pace = random.pick([
    { commitMs: 30, slowShare: 0, slowMs: 0, readMs: 9 },
    { commitMs: 1, slowShare: 0.2, slowMs: 250, readMs: 1 },
  ]);
  world.kernel.after(800, null, "fast again", () => disk.pace = usual);
}

function slowNetwork(world: World, random: Random): void {
  const { network, kernel } = world;
  network.latencyMs = random.pick([3, 30]);
  kernel.after(700, null, "fast again", () => network.latencyMs = 0.2);
}

function displace(world: World, random: Random): void {
  if (random.chance(0.5)) {
    drawSlot(world, random).displace(random.pick([1, 5, 300]));
  }
}

function failCommit(world: World, random: Random): void {
  drawSlot(world, random).failCommit();
}

/** Only where nobody is who must miss nothing. */
function loseDisk(world: World, random: Random): void {
  const free = world.daemons.filter(({ machine }) =>
    !world.steadyMachines.has(machine)
  );
  if (free.length === 0) return;
  const slot = random.pick(free);
  world.lostMachines.add(slot.machine);
  slot.loseDisk(drawDown(random));
}

function setClock(world: World, random: Random): void {
  const { part } = drawSlot(world, random);
  if (part !== null) {
    part.skewMs = random.pick([-3_600_000, -50, 50, 3_600_000]);
  }
}

function drawDown(random: Random): number {
  return random.pick([0, 5, 60, 400, 1_500]);
}

function drawSlot(world: World, random: Random): Slot {
  return random.pick([world.broker, ...world.slots]);
}

function drawConnection(world: World, random: Random): SimConnection | null {
  const all = world.network.connections(() => true);
  const links = all.filter(isLink);
  const some = random.chance(0.5) && links.length > 0 ? links : all;
  return some.length === 0 ? null : random.pick(some);
}

/** Whether it is that of a daemon to the broker. */
function isLink({ client }: SimConnection): boolean {
  return /^(north|south|east)\./.test(client.name);
}
