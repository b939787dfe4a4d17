/**
 * A user of this machine: who it is, its handle, its inbox, what this daemon
 * answers for, and its flow over the link.
 *
 * What decides where a delivery goes:
 *
 * - the inbox is passed and the handle has room: pushed at once (fast road);
 * - the handle takes, but has no room now, or holds something that the broker
 *   answers for: it waits here, within the credit that the broker was given, and
 *   the broker answers for it too, so that the order holds if the handle goes;
 * - nobody takes, or the inbox still has something: to the inbox (safe road);
 * - the disk has no room: it waits here too, until a handle takes it or there is.
 *
 * @module
 */

import type { Clock } from "../protocol/clock.ts";
import { MomError } from "../protocol/errors.ts";
import { LIMITS } from "../protocol/limits.ts";
import { epochOf } from "../protocol/log_id.ts";
import { OUTCOME, type Outcome, TARGET_FLAG } from "../protocol/messages.ts";
import { OffsetSet } from "../protocol/offset_set.ts";
import type { Store } from "../storage/store.ts";
import type { AppBinding } from "./app_binding.ts";
import { costOf, type Delivery, sliceDelivery } from "./delivery.ts";
import { Inbox, type InboxOwner } from "./inbox.ts";
import type { Commits, Saveable } from "./commits.ts";
import { Mark } from "./mark.ts";
import { decodeEntry, encodeEntry, TABLE } from "./tables.ts";
import { UserFlow } from "./user_flow.ts";
import type { Windows } from "./windows.ts";

type UserEntry = [
  name: string,
  named: boolean,
  incarnation: Uint8Array,
  brokerIncarnation: Uint8Array | null,
  handle: Uint8Array | null,
  suspect: number,
  inboxLog: number,
  inboxPosition: number,
  epoch: number,
  subscribedEpoch: number,
];

/** What a user stands on. */
export interface UserContext {
  readonly commits: Commits;
  readonly clock: Clock;
  readonly inboxBytesMax: number;
  /** What may come for all users together. */
  readonly windows: Windows;
  /** Users for whom more may come with one of the next ticks, longest waiting first. */
  readonly unhurried: Set<User>;
  /** A fresh key for a mark. */
  nextMarkKey(): number;
}

/** A user as it comes into being. */
export interface NewUser {
  readonly name: string;
  readonly named: boolean;
  readonly incarnation: Uint8Array;
}

/** One user of this machine. */
export class User implements Saveable, InboxOwner {
  readonly key: number;
  readonly name: string;
  readonly named: boolean;
  readonly incarnation: Uint8Array;
  /** The broker's idea of the incarnation; `null` until it has told. */
  brokerIncarnation: Uint8Array | null = null;
  /** Id of the handle that is attached, or was when the daemon ended. */
  handle: Uint8Array | null = null;
  /** Messages up to this position may have been handed to an earlier handle. */
  suspect = 0;
  /** The broker's epoch when this user was attached last; positions are of it. */
  epoch = 0;
  /** The broker's epoch in which its subscriptions are known to be right. */
  subscribedEpoch = 0;
  app: AppBinding | null = null;
  readonly flow: UserFlow;
  readonly inbox: Inbox;
  /** When the last handle went, on the monotonic clock; `null` while there is one. */
  goneMs: number | null;
  isEnded = false;
  /** The broker was asked to attach it, as far as is known. */
  isTold = false;
  #context: UserContext;
  #marks = new Map<number, Mark>();
  /**
   * Told to the broker and not confirmed, of what it answers for: a delivery of it
   * may be on its way already, begun before the broker heard.
   */
  #told = new Map<number, OffsetSet>();
  #waiting: Delivery[] = [];
  #waitingSinceMs = 0;
  #withheld = 0;
  /** Cost of what came for nobody, to be given back with the next tick. */
  #unhurried = 0;
  #inboxPosition = 0;
  /** The handle lives on from before this process began: it knows what it took. */
  #survivor: Uint8Array | null = null;
  /** The last position that may have been handed to a handle that is gone. */
  #handedPosition = 0;
  #sawDamage = false;
  /** At most how many ranges its marks have: as counted last, and what came since. */
  #ranges = 0;
  /** There are as many as may be (PROTOCOL 11.6): what comes now waits at the broker. */
  #isCrowded = false;

  constructor(
    context: UserContext,
    key: number,
    user: NewUser,
    inboxLog: number,
  ) {
    this.#context = context;
    this.key = key;
    this.name = user.name;
    this.named = user.named;
    this.incarnation = user.incarnation;
    this.flow = new UserFlow(key, context.windows);
    this.inbox = new Inbox(context.commits, this, inboxLog);
    this.goneMs = context.clock.monotonicMs();
  }

  /** A user as it was stored. */
  static load(context: UserContext, key: number, bytes: Uint8Array): User {
    const [
      name,
      named,
      incarnation,
      brokers,
      handle,
      suspect,
      log,
      position,
      epoch,
      subscribedEpoch,
    ] = decodeEntry<UserEntry>(bytes);
    const user = new User(context, key, { name, named, incarnation }, log);
    user.brokerIncarnation = brokers;
    user.isTold = true;
    user.handle = handle;
    user.suspect = suspect;
    user.#inboxPosition = position;
    user.epoch = epoch;
    user.subscribedEpoch = subscribedEpoch;
    if (handle !== null) {
      user.#survivor = handle;
      user.#handedPosition = position;
    }
    return user;
  }

  /** {@inheritDoc Saveable.save} */
  save(store: Store): void {
    if (this.isEnded) return store.delete(TABLE.users, this.key);
    const entry: UserEntry = [
      this.name,
      this.named,
      this.incarnation,
      this.brokerIncarnation,
      this.handle,
      this.suspect,
      this.inbox.log,
      this.#inboxPosition,
      this.epoch,
      this.subscribedEpoch,
    ];
    store.put(TABLE.users, this.key, encodeEntry(entry));
  }

  /** Takes a mark that was stored. */
  addMark(mark: Mark): void {
    this.#marks.set(mark.logId, mark);
    this.#grow(mark.rangeCount);
  }

  /** {@inheritDoc InboxOwner.mark} */
  mark(logId: number, create: true): Mark;
  mark(logId: number, create: false): Mark | null;
  mark(logId: number, create: boolean): Mark | null {
    const known = this.#marks.get(logId);
    if (known !== undefined || !create) return known ?? null;
    const mark = new Mark(this.#context.nextMarkKey(), this.key, logId);
    this.#marks.set(logId, mark);
    return mark;
  }

  /** Messages here that wait for their user. */
  get pending(): number {
    let pending = 0;
    for (const mark of this.#marks.values()) pending += mark.pending;
    return pending;
  }

  /**
   * The user is attached in another epoch of the broker's store: positions of the
   * one before say nothing in it. What is here of that one is still handed over,
   * marked, since the broker may send it again.
   */
  adoptEpoch(epoch: number): void {
    if (this.epoch === epoch) return;
    const isFirst = this.epoch === 0;
    this.epoch = epoch;
    this.#context.commits.changed(this);
    if (isFirst) return;
    this.suspect = this.#inboxPosition = this.#handedPosition = 0;
    // What the broker has may have been taken before it was lost again.
    this.#survivor = null;
    if (this.app !== null) this.app.pushedPosition = 0;
  }

  /**
   * This daemon's store is a copy of what it was some time ago: all that is in it
   * may have been handed over since.
   */
  distrust(): void {
    this.suspect = Math.max(this.suspect, this.#inboxPosition);
    this.handle = this.#survivor = null;
    this.#context.commits.changed(this);
  }

  // The handle

  /**
   * A handle takes the place of the one before. `known` is what it took or holds
   * (PROTOCOL 5.6); `isSame`: it is the same handle, over a new connection.
   */
  bind(app: AppBinding, known: readonly number[]): void {
    const isSame = this.handle !== null && sameBytes(this.handle, app.handle);
    if (!isSame) {
      const brokers = this.#survivor === null ? 0 : this.flow.suspect;
      this.suspect = Math.max(this.suspect, this.#handedPosition, brokers);
      this.#survivor = null;
    }
    this.handle = app.handle;
    this.goneMs = null;
    this.#context.commits.changed(this);
    this.app = app;
    this.admitUnhurried();
    for (let i = 0; i < known.length; i += 4) {
      const [outcome, logId, from, to] = known.slice(i, i + 4);
      if (outcome === OUTCOME.held) app.hold(logId, from, to);
    }
    for (let i = 0; i < known.length; i += 4) {
      const [outcome, logId, from, to] = known.slice(i, i + 4);
      if (outcome > OUTCOME.custody) {
        this.#settleKnown(outcome as Outcome, logId, from, to);
      }
    }
    this.inbox.restart();
  }

  /**
   * The handle's connection is gone.
   *
   * @param isOver It said goodbye; else the same handle may come back.
   * @returns Whether something was pushed that the broker answers for: it must be
   *   asked for it again.
   */
  unbind(isOver: boolean): boolean {
    const { app } = this;
    if (app === null) return false;
    this.#handedPosition = Math.max(this.#handedPosition, app.pushedPosition);
    this.app = null;
    this.goneMs = this.#context.clock.monotonicMs();
    if (isOver) {
      this.handle = null;
      // What it got and did not decide may have been held in its hands.
      if (app.isHolding) {
        this.suspect = Math.max(this.suspect, this.#handedPosition);
      }
      this.#context.commits.changed(this);
    }
    this.inbox.restart();
    return app.isHolding || this.#waiting.length > 0;
  }

  // Deliveries

  /** A delivery came over the link. What is here already is passed over. */
  receive(fresh: Delivery): void {
    const delivery = this.#marked(fresh);
    const { logId, base, count, batch } = delivery;
    const here = [
      this.app?.pushed.get(logId),
      this.#told.get(logId),
      this.inbox.coming(logId),
    ].filter((set) => set !== undefined);
    const mark = this.mark(logId, false);
    if (mark === null && here.length === 0) return this.#pass(delivery);
    let parts = mark?.outside(base, base + count) ?? [[base, base + count]];
    for (const set of here) {
      parts = parts.flatMap(([from, to]) =>
        set.missing(from, to).map(([a, b]): [number, number] => [a, b])
      );
    }
    let cost = costOf(batch.length);
    for (const [a, b] of parts) {
      const part = sliceDelivery(delivery, a, b);
      cost -= costOf(part.batch.length);
      this.#pass(part);
    }
    if (cost > 0) this.flow.release(cost);
  }

  /** What an earlier handle may have had is so for good, also in the inbox. */
  #marked(delivery: Delivery): Delivery {
    const isSuspect = this.#survivor === null &&
      delivery.position <= this.flow.suspect;
    if (!isSuspect) return delivery;
    return { ...delivery, flags: delivery.flags | TARGET_FLAG.redelivered };
  }

  #pass(delivery: Delivery): void {
    // Behind what waits; and without room on the disk it waits itself.
    const mayStore = this.#waiting.length === 0 && this.#hasRoom(delivery);
    if (this.#isForInbox && mayStore) return this.inbox.append(delivery);
    if (this.#waiting.length === 0) {
      this.#waitingSinceMs = this.#context.clock.monotonicMs();
    }
    this.#waiting.push(delivery);
    if (this.inbox.isPassed) this.#pushWaiting();
  }

  #hasRoom({ batch }: Delivery): boolean {
    return !this.#isCrowded &&
      this.#context.commits.store.canAppend(batch.length);
  }

  /** Whether nobody waits for what comes now. */
  get #isForInbox(): boolean {
    if (this.app === null || !this.inbox.isPassed) return true;
    return !this.app.isReceiving && !this.#holdsBrokers;
  }

  /**
   * Whether the handle has something undecided that the broker answers for. If it
   * goes away that comes again, behind whatever is in the inbox by then: so
   * nothing that is later may go there.
   */
  get #holdsBrokers(): boolean {
    for (const [logId, set] of this.app?.pushed ?? []) {
      const mark = this.mark(logId, false);
      if (mark === null) return true;
      for (const [from, to] of set.spans()) {
        if (mark.outside(from, to).length > 0) return true;
      }
    }
    return false;
  }

  /** Marks may have so many ranges more than before. */
  #grow(ranges: number): void {
    this.#ranges += ranges;
    if (this.#ranges > LIMITS.markRanges) this.#countRanges();
  }

  #countRanges(): void {
    this.#ranges = 0;
    for (const mark of this.#marks.values()) this.#ranges += mark.rangeCount;
    this.#isCrowded = this.#ranges > LIMITS.markRanges;
    // Counting takes long, so it is not done for each that comes on top.
    if (this.#isCrowded) this.#ranges = -Infinity;
  }

  #pushWaiting(): void {
    while (this.#waiting.length > 0 && !this.#isCrowded) {
      const delivery = this.#waiting[0];
      const count = this.push(delivery);
      if (count === 0) return;
      const rest = delivery.count === count ? null : sliceDelivery(
        delivery,
        delivery.base + count,
        delivery.base + delivery.count,
      );
      const left = rest === null ? 0 : costOf(rest.batch.length);
      this.flow.release(costOf(delivery.batch.length) - left);
      this.#waitingSinceMs = this.#context.clock.monotonicMs();
      if (rest === null) this.#waiting.shift();
      else this.#waiting[0] = rest;
    }
  }

  /** {@inheritDoc InboxOwner.push} */
  push(delivery: Delivery): number {
    const { app } = this;
    if (app === null) return 0;
    const nowMs = this.#context.commits.store.timeline.nowMs();
    if (delivery.deadlineMs !== null && delivery.deadlineMs <= nowMs) {
      const to = delivery.base + delivery.count;
      // Behind this turn: an inbox that is pushing counts it first.
      queueMicrotask(() =>
        this.settle(OUTCOME.expired, delivery.logId, delivery.base, to)
      );
      return delivery.count;
    }
    const isOlder = epochOf(delivery.logId) !== this.epoch;
    const flags = isOlder ? TARGET_FLAG.redelivered : 0;
    const count = app.push(delivery, flags, nowMs);
    if (count > 0 && !isOlder) {
      app.pushedPosition = Math.max(app.pushedPosition, delivery.position);
    }
    return count;
  }

  /** The handle has been told that it is attached: deliveries may go out. */
  open(app: AppBinding): void {
    app.isOpen = true;
    if (this.app === app) this.#push();
  }

  /** What the app had not read is gone. */
  resume(): void {
    this.#push();
  }

  /**
   * Makes sure that so many more ranges can be kept for the broker.
   *
   * @throws {MomError} `storage_full`.
   */
  checkRoomFor(ranges: number): void {
    let count = ranges;
    for (const mark of this.#marks.values()) count += mark.rangeCount;
    if (count <= LIMITS.markRanges) return;
    throw new MomError(
      "storage_full",
      `Cannot attach "${this.name}": it would have ${count} ranges that the broker has not confirmed, at most ${LIMITS.markRanges}`,
    );
  }

  /** The app takes more. */
  grant(total: number): void {
    this.app?.grant(total);
    this.#push();
  }

  #push(): void {
    this.inbox.pump();
    if (this.inbox.isPassed) this.#pushWaiting();
  }

  /**
   * Stores what has waited in memory for longer than `stalledMs`. Not while the
   * handle holds what the broker answers for: lost with its connection, that comes
   * again, and would lie behind what came after it. So long the rest waits at the
   * broker, within its credit.
   */
  spill(stalledMs: number): void {
    if (this.#isCrowded) {
      this.#countRanges();
      if (this.inbox.isPassed) this.#pushWaiting();
    }
    if (this.#waiting.length === 0 || this.#holdsBrokers) return;
    const nowMs = this.#context.clock.monotonicMs();
    if (nowMs - this.#waitingSinceMs < stalledMs) return;
    while (this.#waiting.length > 0 && this.#hasRoom(this.#waiting[0])) {
      this.inbox.append(this.#waiting.shift()!);
    }
  }

  /** Gives up what waits in memory: the broker has it and sends it again. */
  dropWaiting(): void {
    this.#waiting = [];
    this.#withheld = this.#unhurried = 0;
    this.#context.unhurried.delete(this);
  }

  /** {@inheritDoc InboxOwner.onStored} */
  onStored(delivery: Delivery): void {
    if (epochOf(delivery.logId) === this.epoch) {
      this.#inboxPosition = Math.max(this.#inboxPosition, delivery.position);
    }
    this.#context.commits.changed(this.mark(delivery.logId, true));
    this.#context.commits.changed(this);
    this.#grow(2);
  }

  /** {@inheritDoc InboxOwner.onCommitted} */
  onCommitted(delivery: Delivery, cost: number): void {
    const { logId, base, count } = delivery;
    if (this.flow.state === "attached") {
      this.flow.report(OUTCOME.custody, logId, base, base + count);
    }
    if (this.inbox.bytes >= this.#context.inboxBytesMax) this.#withheld += cost;
    else if (this.app === null) {
      this.#unhurried += cost;
      this.#context.unhurried.add(this);
    } else this.flow.release(cost);
  }

  /**
   * More may come of what nobody waits for. It is safe at the broker: a window for
   * each tick, so that it does not take disk and processor from those who publish.
   *
   * @returns How much more.
   */
  admitUnhurried(): number {
    const cost = this.#unhurried;
    this.#context.unhurried.delete(this);
    this.#unhurried = 0;
    if (cost > 0) this.flow.release(cost);
    return cost;
  }

  /** {@inheritDoc InboxOwner.onTrimmed} */
  onTrimmed(): void {
    if (this.#withheld > 0 && this.inbox.bytes < this.#context.inboxBytesMax) {
      this.flow.release(this.#withheld);
      this.#withheld = 0;
    }
    if (this.#sawDamage && this.inbox.isPassed && this.inbox.bytes === 0) {
      this.#tellDamage();
    }
  }

  /** {@inheritDoc InboxOwner.onDamaged} */
  onDamaged(): void {
    this.#sawDamage = true;
  }

  /** What is in custody but was nowhere in the inbox was damaged there. */
  #tellDamage(): void {
    this.#sawDamage = false;
    for (const mark of [...this.#marks.values()]) {
      for (const [from, to] of mark.open(0, Number.MAX_SAFE_INTEGER)) {
        this.settle(OUTCOME.damaged, mark.logId, from, to);
      }
    }
  }

  // Outcomes

  /**
   * What became of offsets: settled here if this daemon answers for them, else
   * handed on to the broker; kept here for it while there is no link.
   *
   * @returns Number of the ACK to the broker that must be confirmed before it is
   *   safe, 0 if it is safe with this daemon's next commit.
   */
  settle(outcome: Outcome, logId: number, from: number, to: number): number {
    this.app?.release(logId, from, to);
    this.inbox.overtake(logId, from, to);
    const mark = this.mark(logId, false);
    for (const [a, b] of mark?.open(from, to) ?? []) {
      this.#settleHere(mark!, outcome, a, b);
    }
    const elsewhere = mark?.outside(from, to) ?? [[from, to]];
    let number = 0;
    for (const [a, b] of elsewhere) {
      if (this.flow.state === "attached") {
        number = this.flow.report(outcome, logId, a, b);
        this.#tell(logId, a, b);
      } else this.#keep(outcome, logId, a, b);
    }
    return number;
  }

  /**
   * Settles what a handle listed. The handle forgets it with ATTACHED, so it must
   * be on this daemon's disk by then, whoever answers for it (PROTOCOL 5.6).
   */
  #settleKnown(
    outcome: Outcome,
    logId: number,
    from: number,
    to: number,
  ): void {
    this.inbox.overtake(logId, from, to);
    const mark = this.mark(logId, true);
    for (const [a, b] of mark.outside(from, to)) mark.take(a, b);
    for (const [a, b] of mark.open(from, to)) {
      this.#settleHere(mark, outcome, a, b);
    }
  }

  #settleHere(mark: Mark, outcome: Outcome, from: number, to: number): void {
    mark.settle(outcome, from, to);
    this.#grow(1);
    this.#context.commits.changed(mark);
    this.inbox.settled(mark.logId, from, to);
    this.#context.commits.whenDone(() => {
      if (this.flow.state === "attached") {
        this.flow.report(outcome, mark.logId, from, to);
      }
    });
  }

  #tell(logId: number, from: number, to: number): void {
    let set = this.#told.get(logId);
    if (set === undefined) this.#told.set(logId, set = new OffsetSet());
    set.add(from, to);
  }

  #untell(logId: number, from: number, to: number): void {
    const set = this.#told.get(logId);
    if (set === undefined) return;
    set.remove(from, to);
    if (set.end === 0) this.#told.delete(logId);
  }

  /** Takes an outcome into custody that can't be told to the broker now. */
  #keep(outcome: Outcome, logId: number, from: number, to: number): void {
    const mark = this.mark(logId, true);
    mark.take(from, to);
    mark.settle(outcome, from, to);
    this.#grow(3);
    this.#context.commits.changed(mark);
  }

  /**
   * Keeps everything that was told to the broker and not confirmed: the flow ends
   * or begins anew.
   */
  keepUnconfirmed(): void {
    const outcomes = this.flow.unconfirmed();
    for (let i = 0; i < outcomes.length; i += 4) {
      const [outcome, logId, from, to] = outcomes.slice(i, i + 4);
      if (outcome === OUTCOME.custody) continue;
      const free = this.mark(logId, false)?.outside(from, to) ?? [[from, to]];
      for (const [a, b] of free) this.#keep(outcome as Outcome, logId, a, b);
    }
    this.#told.clear();
  }

  /**
   * For ATTACH: custody, outcomes, and what the handle holds that the broker answers
   * for. As much as one ATTACH may list: what is not listed comes again and is known
   * here, or is told afterwards.
   */
  known(): number[] {
    const known: number[] = [];
    for (const mark of this.#marks.values()) {
      for (const each of mark.outcomes()) known.push(each);
    }
    for (const each of this.#held()) known.push(each);
    return known.slice(0, LIMITS.knownRanges * 4);
  }

  /** What the handle holds that the broker answers for. */
  #held(): number[] {
    const held: number[] = [];
    for (const [logId, set] of this.app?.pushed ?? []) {
      const mark = this.mark(logId, false);
      for (const [from, to] of set.spans()) {
        for (const [a, b] of mark?.outside(from, to) ?? [[from, to]]) {
          held.push(OUTCOME.held, logId, a, b);
        }
      }
    }
    return held;
  }

  /** The broker has committed these outcomes. */
  confirmed(outcomes: readonly number[]): void {
    for (let i = 0; i < outcomes.length; i += 4) {
      const [outcome, logId, from, to] = outcomes.slice(i, i + 4);
      if (outcome <= OUTCOME.custody) continue;
      this.#untell(logId, from, to);
      const mark = this.mark(logId, false);
      if (mark === null || mark.inside(from, to).length === 0) continue;
      mark.forget(from, to);
      if (mark.isEmpty) this.#marks.delete(logId);
      this.#context.commits.changed(mark);
    }
  }

  /** A new flow has begun: tells what the ATTACH before it did not list. */
  reportAll(): void {
    for (const mark of this.#marks.values()) {
      const outcomes = mark.outcomes();
      for (let i = 0; i < outcomes.length; i += 4) {
        this.flow.report(
          outcomes[i],
          outcomes[i + 1],
          outcomes[i + 2],
          outcomes[i + 3],
        );
      }
    }
  }

  /** Confirms to the app what the broker or the disk has confirmed. */
  confirmToApp(): void {
    this.app?.confirm(this.flow.confirmed);
  }

  /** Ends the user with everything it has here. */
  async end(): Promise<void> {
    this.isEnded = true;
    this.dropWaiting();
    this.flow.end();
    for (const mark of this.#marks.values()) {
      mark.forget(0, Number.MAX_SAFE_INTEGER);
      this.#context.commits.changed(mark);
    }
    this.#marks.clear();
    this.#context.commits.changed(this);
    // First, or what is on its way into the inbox would look for its log.
    const dropped = this.inbox.drop();
    this.#context.commits.dropLog(this.inbox.log);
    await dropped;
  }
}

/** Whether two ids are the same. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
