/**
 * Where a delivery goes that comes for a user:
 *
 * - the inbox is passed and the handle has room: pushed at once (fast road);
 * - the handle takes, but has no room now, or holds something that the broker
 *   answers for: it waits in memory, within the credit that the broker was given,
 *   and the broker answers for it too, so that the order holds if the handle goes;
 * - nobody takes, or the inbox still has something: to the inbox (safe road);
 * - the disk has no room: it waits too, until a handle takes it or there is.
 *
 * @module
 */

import type { Clock } from "../../protocol/clock.ts";
import { epochOf } from "../../protocol/log_id.ts";
import { OUTCOME, TARGET_FLAG } from "../../protocol/messages.ts";
import type { AppBinding } from "./app_binding.ts";
import type { Commits } from "../commits.ts";
import { costOf, costOfAll, type Delivery, sliceDelivery } from "./delivery.ts";
import { DeliveryQueue, isBundle } from "./delivery_queue.ts";
import type { Inbox, InboxOwner } from "./inbox.ts";
import { InboxCredit } from "./inbox_credit.ts";
import type { UserFlow } from "./flow.ts";
import type { UserMarks } from "./marks.ts";
import type { UserOutcomes } from "./outcomes.ts";

/** What deliveries stand on. */
export interface DeliveriesContext {
  readonly commits: Commits;
  readonly clock: Clock;
  readonly inboxBytesMax: number;
  /** Users for whom more may come with one of the next ticks, longest waiting first. */
  readonly unhurried: Set<InboxCredit>;
}

/** What deliveries need of their user. */
export interface DeliveriesOwner {
  /** The handle, if there is one. */
  readonly app: AppBinding | null;
  /** The broker's epoch when the user was attached last. */
  readonly epoch: number;
  readonly flow: UserFlow;
  readonly inbox: Inbox;
  readonly marks: UserMarks;
  readonly outcomes: UserOutcomes;
  /** Whether the broker knows that an earlier handle may have had a delivery. */
  isSuspect(delivery: Delivery): boolean;
  /** A delivery is in the inbox. */
  onStored(delivery: Delivery): void;
}

/** The deliveries of one user. */
export class UserDeliveries implements InboxOwner {
  /** For what has gone to the inbox. */
  readonly credit: InboxCredit;
  readonly #context: DeliveriesContext;
  readonly #owner: DeliveriesOwner;
  readonly #queue: DeliveryQueue;
  #sawDamage = false;

  constructor(context: DeliveriesContext, owner: DeliveriesOwner) {
    const { flow } = owner;
    this.#context = context;
    this.#owner = owner;
    this.credit = new InboxCredit(flow, context.unhurried);
    this.#queue = new DeliveryQueue({
      clock: context.clock,
      flow,
      push: (delivery) => this.push(delivery),
      pushBundle: (parts) => this.pushBundle(parts),
    });
  }

  /** {@inheritDoc InboxOwner.app} */
  get app(): AppBinding | null {
    return this.#owner.app;
  }

  /** {@inheritDoc InboxOwner.marks} */
  get marks(): UserMarks {
    return this.#owner.marks;
  }

  /** Whether something waits in memory. */
  get isWaiting(): boolean {
    return !this.#queue.isEmpty;
  }

  /** A delivery came over the link. What is here already is passed over. */
  receive(delivery: Delivery): void {
    for (const part of this.#fresh(delivery)) this.#pass(part);
  }

  /** The parts of a bundle came. */
  receiveBundle(deliveries: readonly Delivery[]): void {
    const parts = deliveries.flatMap((each) => this.#fresh(each));
    if (parts.length === 1) this.#pass(parts[0]);
    else if (parts.length > 1) this.#passBundle(parts);
  }

  /** What of a delivery is not here; the credit of the rest is given back. */
  #fresh(unmarked: Delivery): Delivery[] {
    const { app, flow, inbox, marks, outcomes } = this.#owner;
    const delivery = this.#marked(unmarked);
    const { logId, base, count, batch } = delivery;
    const here = [
      app?.pushed.get(logId),
      outcomes.told(logId),
      inbox.coming(logId),
    ].filter((set) => set !== undefined);
    const mark = marks.find(logId);
    if (mark === undefined && here.length === 0) return [delivery];
    let parts = mark?.outside(base, base + count) ?? [[base, base + count]];
    for (const set of here) {
      parts = parts.flatMap(([from, to]) =>
        set.missing(from, to).map(([a, b]): [number, number] => [a, b])
      );
    }
    const fresh = parts.map(([a, b]) => sliceDelivery(delivery, a, b));
    const known = costOf(batch.length) - costOfAll(fresh);
    if (known > 0) flow.release(known);
    return fresh;
  }

  /** What an earlier handle may have had is so for good, also in the inbox. */
  #marked(delivery: Delivery): Delivery {
    if (!this.#owner.isSuspect(delivery)) return delivery;
    return { ...delivery, flags: delivery.flags | TARGET_FLAG.redelivered };
  }

  #pass(delivery: Delivery): void {
    const { inbox } = this.#owner;
    // Behind what waits; and without room on the disk it waits itself.
    const mayStore = this.#queue.isEmpty &&
      this.#hasRoom(delivery.batch.length);
    if (this.#isForInbox && mayStore) return inbox.append(delivery);
    this.#queue.add(delivery);
    if (inbox.isPassed) this.#pumpQueue();
  }

  /** As `#pass`, for parts of a bundle. */
  #passBundle(parts: readonly Delivery[]): void {
    const { inbox } = this.#owner;
    const mayStore = this.#queue.isEmpty && this.#hasRoom(costOfAll(parts));
    if (this.#isForInbox && mayStore) return inbox.appendBundle(parts);
    this.#queue.add(parts);
    if (inbox.isPassed) this.#pumpQueue();
  }

  #hasRoom(bytes: number): boolean {
    return !this.marks.isCrowded &&
      this.#context.commits.store.canAppend(bytes);
  }

  /** Whether nobody waits for what comes now. */
  get #isForInbox(): boolean {
    const { app, inbox } = this.#owner;
    if (app === null || !inbox.isPassed) return true;
    return !app.isReceiving && !this.#holdsBrokers;
  }

  /**
   * Whether the handle has something undecided that the broker answers for. If it
   * goes away that comes again, behind whatever is in the inbox by then: so
   * nothing that is later may go there.
   */
  get #holdsBrokers(): boolean {
    for (const [logId, set] of this.app?.pushed ?? []) {
      const mark = this.marks.find(logId);
      if (mark === undefined) return true;
      for (const [from, to] of set.spans()) {
        if (mark.outside(from, to).length > 0) return true;
      }
    }
    return false;
  }

  /** {@inheritDoc InboxOwner.push} */
  push(delivery: Delivery): number {
    const { app, epoch } = this.#owner;
    if (app === null) return 0;
    const nowMs = this.#context.commits.store.timeline.nowMs();
    if (this.#isExpired(delivery, nowMs)) return delivery.count;
    const isOlder = epochOf(delivery.logId) !== epoch;
    const flags = isOlder ? TARGET_FLAG.redelivered : 0;
    const count = app.push(delivery, flags, nowMs);
    if (count > 0 && !isOlder) {
      app.pushedPosition = Math.max(app.pushedPosition, delivery.position);
    }
    return count;
  }

  /**
   * {@inheritDoc InboxOwner.pushBundle} What is true of one of its parts here is true
   * of the others.
   */
  pushBundle(parts: readonly Delivery[]): boolean | null {
    const { app, epoch } = this.#owner;
    if (app === null) return false;
    const [{ logId, position }] = parts;
    const nowMs = this.#context.commits.store.timeline.nowMs();
    if (this.#isExpired(parts[0], nowMs)) {
      for (const each of parts.slice(1)) this.#isExpired(each, nowMs);
      return true;
    }
    const isOlder = epochOf(logId) !== epoch;
    const flags = isOlder ? TARGET_FLAG.redelivered : 0;
    const isPushed = app.pushBundle(parts, flags, nowMs);
    if (isPushed === true && !isOlder) {
      app.pushedPosition = Math.max(app.pushedPosition, position);
    }
    return isPushed;
  }

  /** Whether its time is up; settles it then. */
  #isExpired(
    { deadlineMs, logId, base, count }: Delivery,
    nowMs: number,
  ): boolean {
    if (deadlineMs === null || deadlineMs > nowMs) return false;
    // Behind this turn: an inbox that is pushing counts it first.
    queueMicrotask(() =>
      this.#owner.outcomes.settle(OUTCOME.expired, logId, base, base + count)
    );
    return true;
  }

  /** There may be more to push: from the inbox, then of what waits in memory. */
  pump(): void {
    const { inbox } = this.#owner;
    inbox.pump();
    if (inbox.isPassed) this.#pumpQueue();
  }

  #pumpQueue(): void {
    if (!this.marks.isCrowded) this.#queue.pump();
  }

  /**
   * Stores what has waited in memory for longer than `stalledMs`. Not while the
   * handle holds what the broker answers for: lost with its connection, that comes
   * again, and would lie behind what came after it. So long the rest waits at the
   * broker, within its credit.
   */
  spill(stalledMs: number): void {
    const { inbox, marks } = this.#owner;
    if (marks.isCrowded) {
      marks.recount();
      if (inbox.isPassed) this.#pumpQueue();
    }
    if (this.#queue.isEmpty || this.#holdsBrokers) return;
    if (this.#queue.stillMs < stalledMs) return;
    while (!this.#queue.isEmpty && this.#hasRoom(this.#queue.firstBytes)) {
      const entry = this.#queue.shift()!;
      if (isBundle(entry)) inbox.appendBundle(entry);
      else inbox.append(entry);
    }
  }

  /** Gives up what waits in memory: the broker has it and sends it again. */
  dropWaiting(): void {
    this.#queue.clear();
    this.credit.clear();
  }

  /** {@inheritDoc InboxOwner.onStored} */
  onStored(delivery: Delivery): void {
    this.#owner.onStored(delivery);
  }

  /** {@inheritDoc InboxOwner.onCommitted} */
  onCommitted(delivery: Delivery, cost: number): void {
    const { app, flow } = this.#owner;
    const { logId, base, count } = delivery;
    if (flow.state === "attached") {
      flow.report(OUTCOME.custody, logId, base, base + count);
    }
    if (this.#isInboxFull) this.credit.withhold(cost);
    else if (app === null) this.credit.delay(cost);
    else flow.release(cost);
  }

  /** {@inheritDoc InboxOwner.onTrimmed} */
  onTrimmed(): void {
    const { inbox } = this.#owner;
    if (this.credit.isWithheld && !this.#isInboxFull) {
      this.credit.admitWithheld();
    }
    if (this.#sawDamage && inbox.isPassed && inbox.bytes === 0) {
      this.#tellDamage();
    }
  }

  get #isInboxFull(): boolean {
    return this.#owner.inbox.bytes >= this.#context.inboxBytesMax;
  }

  /** {@inheritDoc InboxOwner.onDamaged} */
  onDamaged(): void {
    this.#sawDamage = true;
  }

  /** What is in custody but was nowhere in the inbox was damaged there. */
  #tellDamage(): void {
    this.#sawDamage = false;
    for (const mark of [...this.marks.all()]) {
      for (const [from, to] of mark.open(0, Number.MAX_SAFE_INTEGER)) {
        this.#owner.outcomes.settle(OUTCOME.damaged, mark.logId, from, to);
      }
    }
  }
}
