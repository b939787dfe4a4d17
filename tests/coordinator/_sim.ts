/**
 * Coordinators and clients in virtual time, from one seed: killed, stalled, cut off
 * from replies and from records. Afterwards all that clients were told is compared
 * with what the log says.
 *
 * @module
 */

import { ShardLine } from "../../coordinator/client/shard_line.ts";
import { toSnapshot } from "../../coordinator/core/snapshot.ts";
import { ShardState } from "../../coordinator/core/state.ts";
import { step } from "../../coordinator/core/step.ts";
import { toWireReply } from "../../coordinator/replies.ts";
import { Replica } from "../../coordinator/server/replica.ts";
import { replicasOf, shardsOf, TopicNames } from "../../coordinator/topics.ts";
import type { Random } from "../helpers/random.ts";
import { Kernel } from "../sim/kernel.ts";
import { Part } from "../sim/part.ts";
import { Mailbox, SimBroker, SimPublisher } from "./_sim_log.ts";

/** How hard a world is. */
export interface SimOptions {
  seed: number;
  /** @default {3} */
  of?: number;
  /** Share of the replies that get lost, and of those that come twice. @default {0.1} */
  replyTrouble?: number;
  /** Whether coordinators are killed and stalled. @default {true} */
  strikes?: boolean;
  /** Whether clients are killed and stalled, too. @default {false} */
  clientStrikes?: boolean;
  /** Whether one coordinator misses records. @default {false} */
  losses?: boolean;
  /** After so many events nothing more is expected. @default {400_000} */
  eventsMax?: number;
}

/** A client's call and what it was told. */
export interface Told {
  client: string;
  shard: number;
  request: number;
  session: number;
  outcome: string;
}

const LEASE_MS = 1_000;
/** Longer than all that delays a renewal, but for a stall. */
const CLIENT_LEASE_MS = 3_000;
const TICK_MS = 100;
/** Records that may be on their way when a world ends. */
const STRAGGLERS = 8;

/** One coordinator, over all its lives. */
export class SimNode {
  readonly id: number;
  readonly #world: SimWorld;
  readonly mailbox: Mailbox;
  replicas = new Map<number, Replica>();
  part: Part;
  lives = 0;

  constructor(world: SimWorld, id: number) {
    this.#world = world;
    this.id = id;
    this.mailbox = new Mailbox(world.broker);
    this.part = this.start();
  }

  start(): Part {
    const { kernel, of, topics, broker } = this.#world;
    const incarnation = `${this.id}/${++this.lives}`;
    const part = this.part = new Part(`node ${incarnation}`, kernel);
    const publisher = new SimPublisher(broker, part);
    const replicas = this.replicas = new Map();
    for (const shard of shardsOf(this.id, of, 2)) {
      const replica = new Replica({
        shard,
        of,
        coordinator: this.id,
        incarnation,
        rank: replicasOf(shard, of, 2).indexOf(this.id),
        leaseMs: LEASE_MS,
        effects: {
          publish: (record) => publisher.publish(topics.log(shard), record),
          snapshot: (value) => publisher.publish(topics.snapshot(shard), value),
          answer: (reply) =>
            this.#world.reply(
              part,
              reply.client,
              toWireReply(shard, reply),
            ),
          tell: (event, fields) =>
            kernel.tell(`${part.name} ${event} ${JSON.stringify(fields)}`),
          fail: (error) => this.#world.failures.push(String(error)),
        },
      }, kernel.nowMs);
      replicas.set(shard, replica);
    }
    for (const shard of replicas.keys()) {
      this.mailbox.subscribe(topics.snapshot(shard), "last");
    }
    this.mailbox.read(part, (topic, message) => {
      for (const [shard, replica] of replicas) {
        if (topic === topics.log(shard)) replica.onLog(message, kernel.nowMs);
        if (topic === topics.snapshot(shard)) {
          replica.onSnapshot(message, kernel.nowMs);
        }
      }
    });
    kernel.after(20, part, "join", () => {
      for (const [shard, replica] of replicas) {
        this.mailbox.subscribe(topics.log(shard), replica.next);
        replica.join(kernel.nowMs);
      }
      this.#tick(part);
    });
    return part;
  }

  #tick(part: Part): void {
    const { kernel } = this.#world;
    for (const replica of this.replicas.values()) replica.onTick(kernel.nowMs);
    kernel.after(TICK_MS, part, "tick", () => this.#tick(part));
  }
}

/** One client: a line to each shard. */
export class SimClient {
  readonly name: string;
  readonly id: string;
  readonly part: Part;
  readonly lines = new Map<number, ShardLine>();
  #requests = 0;

  constructor(world: SimWorld, index: number) {
    const { kernel, broker, topics, of } = world;
    this.name = `client ${index}`;
    this.id = index.toString(16).padStart(32, "c");
    this.part = new Part(this.name, kernel);
    const publisher = new SimPublisher(broker, this.part);
    for (let shard = 1; shard <= of; shard++) {
      this.lines.set(
        shard,
        new ShardLine({
          clock: this.part.clock,
          shard,
          client: this.id,
          leaseMs: CLIENT_LEASE_MS,
          timeoutMs: 60_000,
          nextRequest: () => ++this.#requests,
          publish: (record) => {
            return publisher.publish(topics.log(shard), record);
          },
        }),
      );
    }
  }
}

/** Everything in one world. */
export class SimWorld {
  readonly kernel: Kernel;
  readonly random: Random;
  readonly broker: SimBroker;
  readonly topics: TopicNames;
  readonly of: number;
  readonly nodes: SimNode[];
  readonly clients: SimClient[] = [];
  /** Replies as they came to clients: the first for each request. */
  readonly told = new Map<string, string>();
  readonly failures: string[] = [];
  readonly options: Required<SimOptions>;
  isCalm = false;

  constructor(options: SimOptions) {
    this.options = {
      of: 3,
      replyTrouble: 0.1,
      strikes: true,
      clientStrikes: false,
      losses: false,
      eventsMax: 400_000,
      ...options,
    };
    this.of = this.options.of;
    this.kernel = new Kernel(options.seed);
    this.random = this.kernel.random.fork();
    this.broker = new SimBroker(this.kernel);
    this.topics = new TopicNames(this.of, "");
    this.nodes = Array.from(
      { length: this.of },
      (_, index) => new SimNode(this, index + 1),
    );
    if (this.options.strikes) this.#strike();
  }

  addClient(): SimClient {
    const client = new SimClient(this, this.clients.length + 1);
    this.clients.push(client);
    return client;
  }

  /** A reply on its way: it may get lost, or come twice. */
  reply(
    from: Part,
    id: string,
    reply: ReturnType<typeof toWireReply>,
  ): Promise<void> {
    const client = this.clients.find((each) => each.id === id);
    const { replyTrouble } = this.options;
    const times = this.random.chance(replyTrouble)
      ? this.random.pick([0, 2])
      : 1;
    for (let i = 0; i < times && client !== undefined; i++) {
      const delayMs = this.random.fraction() * (i === 0 ? 3 : 2_000);
      const copy = structuredClone(reply);
      this.kernel.after(delayMs, client.part, "reply", () => {
        this.#note(id, copy);
        client.lines.get(copy.shard)?.onReply(copy);
      });
    }
    return new Promise((resolve) =>
      this.kernel.after(1, from, "replied", resolve)
    );
  }

  /**
   * Lets the world go on until all parts of a story are told, and looks at what is
   * left.
   *
   * @returns What is wrong.
   */
  async play(stories: readonly Promise<void>[]): Promise<string[]> {
    let left = stories.length;
    for (const story of stories) {
      story.catch((error) => this.failures.push(`story: ${error}`))
        .finally(() => left--);
    }
    const limits = { untilMs: 600_000, events: this.options.eventsMax };
    if (!await this.kernel.run(() => left === 0, limits)) {
      return [`${left} stories did not end`, ...this.failures];
    }
    this.isCalm = true;
    const endMs = this.kernel.nowMs + 80_000;
    const isQuiet = () => this.kernel.nowMs > endMs;
    await this.kernel.run(isQuiet, {
      untilMs: endMs + 10_000,
      events: 800_000,
    });
    return [...this.failures, ...this.#compare()];
  }

  /** The state after all that the log says, or up to an offset. */
  truth(shard: number, next = Infinity): ShardState {
    return this.#replay(shard, next).state;
  }

  #note(id: string, reply: ReturnType<typeof toWireReply>): void {
    if (reply.outcome === "late" || reply.outcome === "ended") return;
    const { shard, time: _, v: __, ...rest } = reply;
    const key = `${id} ${reply.session}#${reply.request} of ${shard}`;
    const text = JSON.stringify(rest);
    const before = this.told.get(key);
    if (before === undefined) this.told.set(key, text);
    // A large value may be read again; there are none here.
    else if (before !== text) {
      this.failures.push(`${key} was told ${before} and then ${text}`);
    }
  }

  #replay(
    shard: number,
    next = Infinity,
  ): { state: ShardState; said: Map<string, string> } {
    const state = new ShardState(shard, this.of);
    const said = new Map<string, string>();
    const log = this.broker.topic(this.topics.log(shard));
    for (const entry of log.slice(0, next)) {
      for (const reply of step(state, structuredClone(entry))) {
        const { client, session, request, offset, outcome } = reply;
        if (outcome.outcome === "late" || outcome.outcome === "ended") continue;
        const key = `${client} ${session}#${request} of ${shard}`;
        const text = JSON.stringify({ session, request, offset, ...outcome });
        const before = said.get(key);
        if (before !== undefined && before !== text) {
          this.failures.push(`${key} was executed twice: ${before} ${text}`);
        }
        said.set(key, text);
      }
    }
    return { state, said };
  }

  #compare(): string[] {
    const wrong: string[] = [];
    const said = new Map<string, string>();
    for (let shard = 1; shard <= this.of; shard++) {
      const { state: last, said: here } = this.#replay(shard);
      for (const [key, text] of here) said.set(key, text);
      for (const node of this.nodes) {
        const replica = node.replicas.get(shard);
        if (replica === undefined) continue;
        const { next } = replica.state;
        if (next < last.next - STRAGGLERS) {
          wrong.push(
            `shard ${shard} at ${node.part.name} is at ${next} of ${last.next}`,
          );
        }
        const of = JSON.stringify(toSnapshot(this.truth(shard, next)));
        const got = JSON.stringify(toSnapshot(replica.state));
        if (of !== got) {
          wrong.push(`shard ${shard} at ${node.part.name}: ${got} not ${of}`);
        }
      }
    }
    for (const [key, text] of this.told) {
      if (
        JSON.stringify(sorted(text)) !== JSON.stringify(sorted(said.get(key)))
      ) {
        wrong.push(`${key} was told ${text}, the log says ${said.get(key)}`);
      }
    }
    return wrong;
  }

  #strike(): void {
    const { kernel, random, nodes } = this;
    kernel.after(random.integer(50, 4_000), null, "strike", () => {
      if (this.isCalm) return;
      const count = random.chance(0.1) ? nodes.length : random.integer(1, 2);
      for (const node of random.shuffle(nodes).slice(0, count)) {
        this.#strikeNode(node);
      }
      if (this.options.clientStrikes) this.#strikeClient();
      if (this.options.losses && random.chance(0.3)) {
        nodes[0]!.mailbox.losses = random.integer(1, 3);
      }
      this.#strike();
    });
  }

  #strikeNode(node: SimNode): void {
    const { kernel, random } = this;
    if (node.part.isDead) return;
    if (random.chance(0.5)) {
      const untilMs = kernel.nowMs + random.integer(100, 3_000);
      node.part.stalledUntilMs = untilMs;
      if (random.chance(0.8)) return;
    }
    node.part.kill();
    kernel.after(random.integer(0, 3_000), null, "start", () => node.start());
  }

  #strikeClient(): void {
    const { kernel, random, clients } = this;
    // The first one prepares.
    if (clients.length < 2) return;
    const client = random.pick(clients.slice(1));
    if (random.chance(0.7)) {
      client.part.stalledUntilMs = kernel.nowMs + random.integer(100, 3_000);
    } else client.part.kill();
  }
}

function sorted(text: string | undefined): unknown {
  if (text === undefined) return undefined;
  const entries = Object.entries(JSON.parse(text));
  return entries.sort(([a], [b]) => a < b ? -1 : 1);
}
