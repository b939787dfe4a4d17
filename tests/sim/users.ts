/**
 * What the users of a simulated world do, life after life.
 *
 * @module
 */

import type { SubscribeOptions } from "../../daemon/client.ts";
import { DIRECT_MACHINE } from "../../protocol/names.ts";
import type { Random } from "../helpers/random.ts";
import type { SimReader } from "./journal.ts";
import type { Life, ReadStyle, WriteStyle } from "./life.ts";
import { MACHINES, type World } from "./world.ts";

/** When the accidents end. */
export const TROUBLE_MS = 3_000;

const TOPICS = [
  "run/1",
  "run/2",
  "run/3",
  "run/4",
  "brief/1",
  "brief/2",
] as const;
const FILTERS: readonly (readonly string[])[] = [
  ["run/1", "run/2"],
  ["run/+"],
  ["run/#"],
  ["run/3", "+/1"],
  ["#"],
  ["run/2", "run/3", "#"],
];
/** How long a call may take at most, ms: never a hang. */
const HANG_MS = 60_000;

/** Someone who has a name, keeps its subscriptions, and comes back. */
export interface Role {
  readonly name: string | undefined;
  readonly machine: string | null;
  readonly filters: readonly string[];
  readonly read: ReadStyle;
}

/** Draws the users of a world. */
export function drawRoles(world: World): Role[] {
  const { random } = world;
  const names = ["ana", "ben", "cat", "dan"].slice(0, random.integer(2, 4));
  return names.map((name, i) => ({
    name: i === 3 ? undefined : name,
    machine: random.chance(0.15) ? null : random.pick(MACHINES),
    filters: random.pick(FILTERS),
    read: drawReading(random),
  }));
}

function drawReading(random: Random): ReadStyle {
  return {
    how: random.pick(["receive", "receiveMany", "iterate"] as const),
    ackEvery: random.pick([0, 0, 1, 4]),
    pauseShare: random.pick([0, 0, 0.05, 0.3]),
  };
}

function drawWriting(random: Random): WriteStyle {
  return {
    topics: random.shuffle(TOPICS).slice(0, random.pick([1, 2, 4, 6, 6])),
    count: random.pick([0, 3, 10, 25]),
    window: random.pick([1, 4, 30, 30]),
    overMs: random.integer(50, TROUBLE_MS),
    pauseShare: random.pick([0.3, 0.05, 0.02]),
    brokerShare: random.pick([0, 0, 0.3, 1]),
    expiresShare: 0.5,
    largeShare: random.pick([0, 0, 0.02, 0.1]),
  };
}

/** A user whose subscriptions stand from the beginning to the end. */
export class SteadyUser {
  readonly #world: World;
  readonly #role: Role;
  readonly #reader: SimReader;
  readonly #random: Random;
  #life: Life;

  constructor(world: World, role: Role) {
    this.#world = world;
    this.#role = role;
    this.#random = world.random.fork();
    const { name = "", machine } = role;
    if (machine !== null) world.steadyMachines.add(machine);
    const user = `${name}@${machine ?? DIRECT_MACHINE}`;
    this.#reader = world.journal.addReader(user, true);
    this.#life = this.#newLife();
  }

  /** Connects and subscribes; nothing happens in the world yet. */
  async settleIn(): Promise<void> {
    await this.#life.connect();
    (this.#reader as { user: string }).user = this.#life.mom.user;
    this.#life.become(this.#reader);
    for (const filter of this.#role.filters) {
      await this.#life.subscribeSurely(this.#reader, filter, this.#how());
    }
  }

  /** Lives; resolves when only its last life is left, which reads on. */
  async play(): Promise<void> {
    const lives = this.#role.name === undefined
      ? 1
      : this.#random.pick([1, 1, 2, 3]);
    for (let left = lives - 1; left >= 0; left--) {
      const life = this.#life;
      void life.read(this.#role.read);
      const writing = life.write(drawWriting(this.#random));
      if (left === 0) return await endsInTime(this.#world, life, writing);
      await this.#world.kernel.sleep(
        this.#random.fraction() * TROUBLE_MS / (lives - 1),
        null,
      );
      await leave(this.#world, life, this.#random.chance(0.6));
      await this.#world.kernel.sleep(this.#random.pick([0, 30, 500]), null);
      this.#life = this.#newLife();
      if (!await this.#life.connect()) return;
      this.#life.become(this.#reader);
    }
  }

  #how(): SubscribeOptions {
    return { ack: this.#role.read.ackEvery > 0 ? "manual" : undefined };
  }

  #newLife(): Life {
    const { name, machine } = this.#role;
    return this.#world.newLife({ name, machine, mustLast: true });
  }
}

/** Ends a life, by SIGKILL or by closing. */
async function leave(
  world: World,
  life: Life,
  isKilled: boolean,
): Promise<void> {
  await world.until(() => !life.isDelicate || life.part.isDead, 5 * HANG_MS);
  if (!isKilled) await endsInTime(world, life, life.close());
  life.part.kill();
}

/** Waits for what must come to an end, whatever befalls others. */
async function endsInTime(
  world: World,
  life: Life,
  doing: Promise<void>,
): Promise<void> {
  let isOver = false;
  void doing.then(() => isOver = true, (error) => {
    isOver = true;
    world.journal.break(`${life.part.name}: ${error}`);
  });
  const { part } = life;
  do {
    if (await world.until(() => isOver || part.isDead, HANG_MS, 20)) return;
  } while (world.kernel.nowMs - HANG_MS < part.stalledUntilMs);
  world.journal.break(`${life.part.name} hangs`);
}

/** A user who subscribes, unsubscribes, leaves, ends and begins anew. */
export class RestlessUser {
  readonly #world: World;
  readonly #random: Random;
  readonly #name: string | undefined;
  readonly #machine: string | null;
  readonly #read: ReadStyle;
  /** Whether its subscriptions may reach back. */
  readonly #isReaching: boolean;
  /** Whether it ends subscriptions. */
  readonly #isEnding: boolean;
  #reader: SimReader | null = null;
  #life: Life | null = null;

  constructor(world: World, name: string | undefined) {
    this.#world = world;
    this.#random = world.random.fork();
    this.#name = name;
    this.#machine = this.#random.chance(0.2)
      ? null
      : this.#random.pick(MACHINES);
    this.#read = drawReading(this.#random);
    this.#isReaching = this.#random.chance(0.5);
    this.#isEnding = this.#random.chance(0.7);
  }

  /** Does this and that; resolves when only its last life is left, which reads on. */
  async play(): Promise<void> {
    const { kernel } = this.#world;
    await kernel.sleep(this.#random.fraction() * 500, null);
    if (!await this.#begin()) return;
    while (kernel.nowMs < TROUBLE_MS) {
      await this.#doSomething();
      await kernel.sleep(this.#random.pick([1, 30, 200, 400]), null);
      if (this.#life?.lastWord !== null && !await this.#begin()) return;
    }
    if (this.#name !== undefined) return;
    const life = this.#life!;
    this.#reader!.isExcused = true;
    await leave(this.#world, life, this.#random.chance(0.5));
  }

  /** A new life, of the user that is there or of a new one. */
  async #begin(): Promise<boolean> {
    const old = this.#life;
    if (old !== null && !old.part.isDead) await leave(this.#world, old, true);
    const life = this.#world.newLife({
      name: this.#name,
      machine: this.#machine,
    });
    this.#life = life;
    if (!await life.connect()) return false;
    const isLost = this.#world.lostMachines.has(this.#machine ?? "");
    if (isLost && this.#reader !== null) this.#reader.isExcused = true;
    if (this.#reader?.isExcused !== false || this.#name === undefined) {
      if (this.#reader !== null) this.#reader.isExcused = true;
      this.#reader = this.#world.journal.addReader(life.mom.user, false);
    }
    life.become(this.#reader);
    void life.read(this.#read);
    return true;
  }

  async #doSomething(): Promise<void> {
    const life = this.#life!;
    const reader = this.#reader!;
    const filter = this.#random.pick(this.#random.pick(FILTERS));
    switch (this.#random.integer(0, 9)) {
      case 0:
      case 1:
      case 2:
      case 3:
        return await this.#limit(life.subscribe(reader, filter, this.#how()));
      case 4:
      case 5: {
        const known = reader.subscriptions.filter((one) =>
          one.endedMs === null
        );
        if (known.length === 0 || !this.#isEnding) return;
        const ended = this.#random.pick(known).filter;
        return await this.#limit(life.unsubscribe(reader, ended));
      }
      case 6:
        return await this.#limit(
          life.write({ ...drawWriting(this.#random), count: 4, overMs: 50 }),
        );
      case 7:
        await leave(this.#world, life, this.#random.chance(0.4));
        await this.#begin();
        return;
      case 8:
        await this.#limit(life.destroy(reader));
        life.part.kill();
        await this.#begin();
        return;
      default:
        return await this.#rival();
    }
  }

  /** A second handle of the same name. */
  async #rival(): Promise<void> {
    if (this.#name === undefined) return;
    const rival = this.#world.newLife({
      name: this.#name,
      machine: this.#machine,
    });
    let isOver = false;
    const trying = rival.connect(1).then((isConnected) => {
      isOver = true;
      if (!isConnected) return rival.part.kill();
      if (this.#world.troubles === 0) {
        this.#world.journal.break(`${rival.part.name} took a name in use`);
      }
      // The first one was gone for a moment: this one is the user now.
      const old = this.#life!;
      rival.become(this.#reader!);
      void rival.read(this.#read);
      this.#life = rival;
      old.part.kill();
    });
    await this.#world.until(() => isOver, HANG_MS, 20);
    if (!isOver) this.#world.journal.break(`${rival.part.name} hangs`);
    void trying;
  }

  async #limit(doing: Promise<void>): Promise<void> {
    await endsInTime(this.#world, this.#life!, doing);
  }

  #how(): SubscribeOptions {
    return {
      ack: this.#read.ackEvery > 0 ? "manual" : undefined,
      from: !this.#isReaching ? "now" : this.#random.pick(
        [
          "now",
          "now",
          "earliest",
          "last",
          { offset: this.#random.integer(0, 20) },
          { time: new Date(1_800_000_000_000 + this.#random.integer(0, 3000)) },
        ] as const,
      ),
    };
  }
}
