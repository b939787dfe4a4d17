/**
 * One shard at one coordinator: executes the shard's log, and if it holds the lease
 * answers. Decides when to renew, take over, expire, snapshot; what it decides goes
 * out through its {@linkcode ReplicaEffects}. No clock and no network of its own.
 *
 * Safety rests on the log alone. A replica that is stopped at any moment and wakes
 * much later sends answers that were right then and are the same now, and records
 * that `step` finds void.
 *
 * @module
 */

import { type Message, MomError } from "../../mod.ts";
import { isSame } from "../core/leases.ts";
import { fromSnapshot, readSnapshot, toSnapshot } from "../core/snapshot.ts";
import { ShardState } from "../core/state.ts";
import { apply } from "../core/step.ts";
import { COORDINATOR_LIMITS } from "../limits.ts";
import {
  FORMAT,
  type LogRecord,
  type Malformed,
  readRecord,
} from "../records.ts";
import type { Reply } from "../replies.ts";
import { Custody } from "./custody.ts";
import { SessionWatch } from "./session_watch.ts";

/** A message of the log or of the snapshots. */
export type Received = Pick<Message, "offset" | "time" | "value" | "ack">;

/** What a replica has done for it. */
export interface ReplicaEffects {
  /** Into the log; resolves when the broker has it. */
  publish(record: Record<string, unknown>): Promise<void>;
  /** To a client; resolves when it is on a disk. */
  answer(reply: Reply): Promise<void>;
  /** To all replicas; resolves when the broker has it. */
  snapshot(value: unknown): Promise<void>;
  /** Tells what happened. */
  tell(event: string, fields?: Record<string, unknown>): void;
  /** It cannot go on. */
  fail(error: Error): void;
}

/** What a replica is. */
export interface ReplicaOptions {
  readonly shard: number;
  readonly of: number;
  readonly coordinator: number;
  /** Which life of the coordinator. */
  readonly incarnation: string;
  /** Its place among the shard's replicas; the first is 0. */
  readonly rank: number;
  readonly leaseMs: number;
  readonly effects: ReplicaEffects;
}

/** A record on its way into the log: no second one of its kind meanwhile. */
interface Errand {
  isOut: boolean;
  /** When the last one went out. */
  atMs: number;
}

/** One shard at one coordinator. */
export class Replica {
  readonly #options: ReplicaOptions;
  readonly #custody = new Custody();
  readonly #watch: SessionWatch;
  #state: ShardState;
  /** Records behind a missing one, by offset. */
  #early: Received[] = [];
  /** The log is subscribed to; before that records may come in front of a snapshot. */
  #hasBegun = false;
  #isReady = false;
  /** When the holder of the lease was last heard of. */
  #heardMs: number;
  #nowMs: number;
  #changedMs: number | null = null;
  /** `next` of the last snapshot that was sent or received. */
  #covered = 0;
  #isSnapshotOut = false;
  /** Replies on their way. */
  readonly #answering = new Set<Reply>();
  readonly #errands = {
    join: { isOut: false, atMs: -Infinity } as Errand,
    lease: { isOut: false, atMs: -Infinity } as Errand,
    takeover: { isOut: false, atMs: -Infinity } as Errand,
    want: { isOut: false, atMs: -Infinity } as Errand,
  };

  constructor(options: ReplicaOptions, nowMs: number) {
    this.#options = options;
    this.#state = new ShardState(options.shard, options.of);
    this.#watch = new SessionWatch(options.leaseMs);
    this.#nowMs = this.#heardMs = nowMs;
  }

  /** Its state, to be read. */
  get state(): ShardState {
    return this.#state;
  }

  /** Whether it knows all that was in the log when it joined. */
  get isReady(): boolean {
    return this.#isReady;
  }

  /** Whether it answers. */
  get isLeader(): boolean {
    const { leader } = this.#state;
    return this.#isReady && leader !== null && isSame(leader, this.#options);
  }

  /** The offset from which a log without subscription is to be read. */
  get next(): number {
    return this.#state.next;
  }

  /** The log is subscribed to: finds out when all of it is known. */
  join(nowMs: number): void {
    this.#nowMs = this.#heardMs = nowMs;
    this.#hasBegun = true;
    this.#sendJoin();
  }

  /** A message of the log. */
  onLog(message: Received, nowMs: number): void {
    this.#nowMs = nowMs;
    this.#custody.addRecord(message);
    const { next } = this.#state;
    if (message.offset < next) return;
    if (message.offset > next) return this.#onEarly(message);
    this.#execute(message);
    this.#executeEarly();
    this.#lead();
  }

  /** A message of the snapshots. */
  onSnapshot(message: Received, nowMs: number): void {
    this.#nowMs = nowMs;
    const { shard, of } = this.#options;
    const snapshot = readSnapshot(message.value);
    if (snapshot === null || snapshot.shard !== shard || snapshot.of !== of) {
      this.#options.effects.tell("snapshot_ignored", {
        offset: message.offset,
      });
      return this.#custody.refuse(message);
    }
    if (!this.#custody.addSnapshot(message, snapshot.next)) return;
    this.#covered = Math.max(this.#covered, snapshot.next);
    if (snapshot.next > this.#state.next) {
      const skipped = snapshot.next - this.#state.next;
      this.#state = fromSnapshot(snapshot);
      this.#watch.restart(this.#state, nowMs);
      this.#options.effects.tell("snapshot_adopted", {
        next: snapshot.next,
        skipped,
      });
      this.#executeEarly();
    }
  }

  /** Time has passed. */
  onTick(nowMs: number): void {
    this.#nowMs = nowMs;
    if (!this.#hasBegun) return;
    if (this.#early.length > 0) this.#sendWant();
    else if (!this.#isReady) this.#sendJoin();
    if (this.#early.length > 0) return;
    this.#lead();
    if (this.isLeader) this.#expireSessions();
    else if (this.#isReady) this.#considerTakeover();
  }

  #onEarly(message: Received): void {
    if (this.#early.length === 0 && this.#hasBegun) {
      this.#options.effects.tell("record_missing", {
        next: this.#state.next,
        got: message.offset,
      });
    }
    this.#early.push(message);
    // What goes before the snapshot that will come is of no use.
    if (this.#early.length > COORDINATOR_LIMITS.bufferedRecords) {
      this.#early.shift();
    }
    this.#sendWant();
  }

  #executeEarly(): void {
    const early = this.#early;
    this.#early = [];
    for (const message of early) {
      const { next } = this.#state;
      if (message.offset === next) this.#execute(message);
      else if (message.offset > next) this.#early.push(message);
    }
  }

  #execute({ offset, time, value }: Received): void {
    const record = readRecord(value);
    if (this.#isTooNew(record)) return;
    const before = this.#state.leader;
    const replies = apply(this.#state, record, { offset, time });
    this.#note(record, before);
    if (this.isLeader) { for (const reply of replies) this.#answer(reply); }
  }

  /** A take-over that counts, in a format of which nothing is known. */
  #isTooNew(record: LogRecord | Malformed): boolean {
    if (record.kind !== "takeover" || record.v === FORMAT) return false;
    const renewal = this.#state.leader?.renewal ?? null;
    if (record.renewal !== renewal) return false;
    this.#options.effects.fail(
      new Error(
        `Cannot serve shard ${this.#options.shard}: its log has format ` +
          `${record.v}, this version knows ${FORMAT}`,
      ),
    );
    return true;
  }

  #note(record: LogRecord | Malformed, before: ShardState["leader"]): void {
    const { leader } = this.#state;
    if (leader?.renewal === this.#state.next - 1) this.#heardMs = this.#nowMs;
    switch (record.kind) {
      case "join":
        if (isSame(record, this.#options) && !this.#isReady) this.#onJoined();
        return;
      case "want":
        if (this.isLeader) this.#sendSnapshot();
        return;
      case "takeover":
        return this.#onTakeover(before);
      case "request":
      case "renew":
        this.#watch.heard(record.client, this.#nowMs);
        if (record.kind === "renew") return;
        break;
    }
    if (record.kind !== "lease") this.#changedMs = this.#nowMs;
  }

  #onJoined(): void {
    this.#isReady = true;
    this.#heardMs = this.#nowMs;
    this.#watch.restart(this.#state, this.#nowMs);
    this.#options.effects.tell("joined", { next: this.#state.next });
    this.#considerTakeover();
  }

  #onTakeover(before: ShardState["leader"]): void {
    const { leader } = this.#state;
    if (leader === null || leader === before) return;
    // Those who have no one to renew with must not pay for that.
    this.#watch.restart(this.#state, this.#nowMs);
    this.#errands.takeover.atMs = -Infinity;
    const { coordinator, incarnation } = this.#options;
    const isMine = isSame(leader, { coordinator, incarnation });
    this.#options.effects.tell(isMine ? "leads" : "follows", {
      leader: leader.coordinator,
      offset: leader.renewal,
    });
  }

  /** What only the holder of the lease does. Who misses a record lets it go. */
  #lead(): void {
    if (this.#early.length > 0) return;
    if (!this.isLeader) {
      if (this.#isOverdue(COORDINATOR_LIMITS.snapshotRecordsMax)) {
        this.#sendSnapshot();
      }
      return;
    }
    this.#sendLease();
    const { snapshotRecords, snapshotBytesPerRecord, snapshotQuietMs } =
      COORDINATOR_LIMITS;
    const large = this.#state.bytes / snapshotBytesPerRecord;
    const isQuiet = this.#changedMs !== null &&
      this.#nowMs - this.#changedMs > snapshotQuietMs;
    if (isQuiet || this.#isOverdue(Math.max(snapshotRecords, large))) {
      this.#sendSnapshot();
    }
  }

  #expireSessions(): void {
    for (const record of this.#watch.expired(this.#state, this.#nowMs)) {
      this.#publish(record).catch((error) => this.#tellFailure(error));
    }
  }

  #isOverdue(records: number): boolean {
    return this.#isReady && this.#state.next - this.#covered >= records;
  }

  /** Silence for a lease; a lease that nobody had, or one of ours before, at once. */
  #considerTakeover(): void {
    const { leaseMs, rank, coordinator } = this.#options;
    const { leader } = this.#state;
    const stagger = rank * leaseMs / 4;
    const isOurs = leader?.coordinator === coordinator;
    const patience = isOurs ? 0 : leader === null ? stagger : leaseMs + stagger;
    if (this.#nowMs - this.#heardMs < patience) return;
    const renewal = leader?.renewal ?? null;
    this.#sendOne("takeover", leaseMs / 2, () => ({
      renewal,
      ...this.#self(),
    }));
  }

  #sendLease(): void {
    this.#sendOne("lease", this.#options.leaseMs / 3, () => {
      let answered = this.#state.next - 1;
      for (const { offset } of this.#answering) {
        answered = Math.min(answered, offset - 1);
      }
      return { ...this.#self(), answered };
    });
  }

  #sendJoin(): void {
    this.#sendOne("join", this.#options.leaseMs, () => this.#self());
  }

  #sendWant(): void {
    if (!this.#hasBegun) return;
    const { coordinator, leaseMs } = this.#options;
    this.#sendOne("want", leaseMs, () => ({ coordinator }));
  }

  #self() {
    const { coordinator, incarnation } = this.#options;
    return { coordinator, incarnation };
  }

  #sendOne(
    kind: "join" | "lease" | "takeover" | "want",
    everyMs: number,
    fieldsOf: () => Record<string, unknown>,
  ): void {
    const errand = this.#errands[kind];
    if (errand.isOut || this.#nowMs - errand.atMs < everyMs) return;
    errand.isOut = true;
    errand.atMs = this.#nowMs;
    this.#publish({ kind, ...fieldsOf() })
      .catch((error) => this.#tellFailure(error))
      .finally(() => errand.isOut = false);
  }

  #publish(record: Record<string, unknown>): Promise<void> {
    return this.#options.effects.publish({ v: FORMAT, ...record });
  }

  #answer(reply: Reply): void {
    this.#answering.add(reply);
    this.#options.effects.answer(reply)
      // Whoever waits for it asks again.
      .catch((error) => this.#tellFailure(error))
      .finally(() => this.#answering.delete(reply));
  }

  #sendSnapshot(): void {
    if (this.#isSnapshotOut || this.#covered >= this.#state.next) return;
    this.#isSnapshotOut = true;
    this.#changedMs = null;
    const { next } = this.#state;
    this.#covered = next;
    this.#options.effects.snapshot(toSnapshot(this.#state))
      .catch((error) => this.#onSnapshotFailed(error))
      .finally(() => this.#isSnapshotOut = false);
  }

  /** One that is too large now will not be smaller later, and mailboxes fill. */
  #onSnapshotFailed(error: unknown): void {
    this.#covered = Math.min(this.#covered, this.#custody.covered);
    if (error instanceof MomError && error.code === "message_too_large") {
      return this.#options.effects.fail(error);
    }
    this.#tellFailure(error);
  }

  #tellFailure(error: unknown): void {
    this.#options.effects.tell("publish_failed", { error });
  }
}
