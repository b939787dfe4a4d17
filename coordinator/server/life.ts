/**
 * One life of a coordinator: a handle on its mailbox, and a replica for each of its
 * shards. It ends when the handle's user or the broker's store is another one; then
 * a new life begins from the snapshots.
 *
 * @module
 */

import {
  type Clock,
  type Message,
  type Mom,
  MomError,
  type Timer,
} from "../../mod.ts";
import { COORDINATOR_LIMITS } from "../limits.ts";
import { toWireReply } from "../replies.ts";
import { pause } from "../system.ts";
import { replicasOf, shardsOf, TopicNames } from "../topics.ts";
import { Replica, type ReplicaEffects } from "./replica.ts";

/** Between two attempts at what the broker must answer. */
const RETRY_MS = 250;
const RECEIVED_AT_ONCE = 1_000;
const TICK_MS_MAX = 250;
/**
 * A handle may publish to 65,536 topics in its life; each client has one. A new life
 * has a new handle.
 */
const CLIENTS_MAX = 30_000;
/** A lease has so many looks at the time. */
const TICKS = 12;

/**
 * Why a life ends. `replaced`: the store is another one, and what lies in the mailbox
 * may be of a history that there is no more. `spent`: the handle has done its share.
 */
export type LifeEnd =
  | { readonly kind: "replaced" | "spent"; readonly reason: string }
  | { readonly kind: "failed"; readonly error: unknown };

/** What a life stands on. */
export interface LifeOptions {
  readonly mom: Mom;
  readonly clock: Clock;
  readonly id: number;
  readonly of: number;
  readonly replicas: number;
  readonly group: string;
  readonly leaseMs: number;
  readonly incarnation: string;
  /** Tells what happened. */
  tell(event: string, fields?: Record<string, unknown>): void;
}

/** A coordinator from its start to its end. */
export class Life {
  readonly #options: LifeOptions;
  readonly #topics: TopicNames;
  readonly #replicas = new Map<number, Replica>();
  readonly #handlers = new Map<string, (message: Message) => void>();
  readonly #ended = Promise.withResolvers<LifeEnd>();
  readonly #marked = Promise.withResolvers<void>();
  readonly #ready = Promise.withResolvers<void>();
  readonly #clients = new Set<string>();
  /** Of the store that its messages come from: it speaks to no other. */
  #epoch: number | undefined;
  #isOver = false;
  #ticking: Timer | null = null;
  #parts: Promise<void>[] = [];

  constructor(options: LifeOptions) {
    this.#options = options;
    this.#topics = new TopicNames(options.of, options.group);
    const { id, of, replicas } = options;
    for (const shard of shardsOf(id, of, replicas)) this.#addReplica(shard);
    this.#handlers.set(this.#topics.start(id), ({ value }) => {
      if (value === options.incarnation) this.#marked.resolve();
    });
  }

  /** Resolves when it has ended by itself. */
  get ended(): Promise<LifeEnd> {
    return this.#ended.promise;
  }

  /** Its shards, each with what it knows. */
  get replicas(): ReadonlyMap<number, Replica> {
    return this.#replicas;
  }

  /** Begins. Resolves when all shards are served, or it has ended. */
  async start(): Promise<void> {
    this.#parts = [this.#receive(), this.#listen()];
    this.#tick();
    await Promise.race([this.#begin(), this.ended]);
  }

  /** Ends it; the mailbox stays. */
  async stop(): Promise<void> {
    this.#isOver = true;
    this.#ticking?.cancel();
    await this.#options.mom.close();
    await Promise.all(this.#parts);
  }

  /** Ends it with its mailbox: the next life begins with what the broker has. */
  async stopAndForget(): Promise<void> {
    try {
      await this.#options.mom.destroy();
    } catch (error) {
      this.#options.tell("mailbox_kept", { error });
    }
    await this.stop();
  }

  async #begin(): Promise<void> {
    try {
      await this.#subscribe();
      await this.#ready.promise;
    } catch (error) {
      this.#end({ kind: "failed", error });
    }
  }

  /**
   * A mailbox that is there already holds all that is needed. In a new one the last
   * snapshot comes before the mark, and the log is read from there on.
   */
  async #subscribe(): Promise<void> {
    const { mom, clock, id, incarnation } = this.#options;
    const start = this.#topics.start(id);
    const kept = { ack: "manual", echo: true, ifNew: true } as const;
    await this.#insist(() => mom.subscribe(start, { echo: true, ifNew: true }));
    for (const shard of this.#replicas.keys()) {
      const topic = this.#topics.snapshot(shard);
      await this.#insist(() => mom.subscribe(topic, { ...kept, from: "last" }));
    }
    await this.#insist(() => mom.publish(start, incarnation));
    await this.#marked.promise;
    for (const [shard, replica] of this.#replicas) {
      const { next } = replica;
      const from = next === 0 ? "earliest" : { offset: next };
      const topic = this.#topics.log(shard);
      await this.#insist(() => mom.subscribe(topic, { ...kept, from }));
      replica.join(clock.monotonicMs());
    }
  }

  /** Until the broker is there. */
  async #insist(attempt: () => Promise<unknown>): Promise<void> {
    let isTold = false;
    while (true) {
      try {
        await attempt();
        return;
      } catch (error) {
        const mayPass = error instanceof MomError && error.retriable;
        if (!mayPass || this.#isOver) throw error;
        if (!isTold) this.#options.tell("waits", { error });
        isTold = true;
        await pause(this.#options.clock, RETRY_MS);
      }
    }
  }

  async #receive(): Promise<void> {
    const { mom } = this.#options;
    while (!this.#isOver) {
      try {
        for (const each of await mom.receiveMany({ max: RECEIVED_AT_ONCE })) {
          if (!this.#isOfOneStore(each)) return;
          this.#handlers.get(each.topic)?.(each);
        }
        this.#noteReady();
      } catch (error) {
        if (this.#isOver || hasCode(error, "daemon_unavailable")) continue;
        return this.#end({ kind: "failed", error });
      }
    }
  }

  /** Whether a message is of the same history as all before. */
  #isOfOneStore({ epoch }: Message): boolean {
    this.#epoch ??= epoch;
    if (epoch === this.#epoch) return true;
    const reason = `messages of epochs ${this.#epoch} and ${epoch}`;
    this.#end({ kind: "replaced", reason });
    return false;
  }

  /** Another store has another history. */
  async #listen(): Promise<void> {
    for await (const { type, reason = type } of this.#options.mom.events()) {
      if (type === "replaced") return this.#end({ kind: "replaced", reason });
      if (type === "down" || type === "up") {
        this.#options.tell(`daemon_${type}`, { reason });
      }
    }
  }

  #tick(): void {
    const { clock, leaseMs } = this.#options;
    const everyMs = Math.min(TICK_MS_MAX, leaseMs / TICKS);
    this.#ticking = clock.setTimer(everyMs, () => {
      for (const replica of this.#replicas.values()) {
        replica.onTick(clock.monotonicMs());
      }
      this.#tick();
    });
  }

  #noteReady(): void {
    for (const { isReady } of this.#replicas.values()) if (!isReady) return;
    this.#ready.resolve();
  }

  #countClient(client: string): void {
    if (this.#clients.add(client).size < CLIENTS_MAX) return;
    const reason = `its handle has answered ${CLIENTS_MAX} clients`;
    this.#end({ kind: "spent", reason });
  }

  #end(end: LifeEnd): void {
    this.#ended.resolve(end);
  }

  #addReplica(shard: number): void {
    const { clock, id, of, replicas, leaseMs, incarnation } = this.#options;
    const replica = new Replica({
      shard,
      of,
      coordinator: id,
      incarnation,
      rank: replicasOf(shard, of, replicas).indexOf(id),
      leaseMs,
      effects: this.#effectsOf(shard),
    }, clock.monotonicMs());
    this.#replicas.set(shard, replica);
    const now = () => clock.monotonicMs();
    this.#handlers.set(
      this.#topics.log(shard),
      (message) => replica.onLog(message, now()),
    );
    this.#handlers.set(
      this.#topics.snapshot(shard),
      (message) => replica.onSnapshot(message, now()),
    );
  }

  #effectsOf(shard: number): ReplicaEffects {
    const { mom, tell } = this.#options;
    const { expiresMs, replyMs } = COORDINATOR_LIMITS;
    // What is on its way while the broker is restored is of no use to its new store:
    // a snapshot of records that are not in its log, say.
    const kept = () =>
      ({ level: "broker", expiresMs, epoch: this.#epoch }) as const;
    return {
      publish: async (record) => {
        await mom.publish(this.#topics.log(shard), record, kept());
      },
      answer: async (reply) => {
        this.#countClient(reply.client);
        const topic = this.#topics.reply(reply.client);
        const value = toWireReply(shard, reply);
        const epoch = this.#epoch;
        await mom.publish(topic, value, { expiresMs: replyMs, epoch });
      },
      snapshot: async (value) => {
        await mom.publish(this.#topics.snapshot(shard), value, kept());
      },
      tell: (event, fields = {}) => tell(event, { shard, ...fields }),
      fail: (error) => this.#end({ kind: "failed", error }),
    };
  }
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof MomError && error.code === code;
}
