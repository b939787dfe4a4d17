/**
 * A user of this machine: who it is, on disk, while one handle after another takes
 * its messages. Where a delivery goes is decided in `deliveries.ts`, what this
 * daemon answers for is kept in `marks.ts`, what became of a message goes to the
 * broker by `outcomes.ts`.
 *
 * @module
 */

import { epochOf } from "../../protocol/log_id.ts";
import { OUTCOME, type Outcome } from "../../protocol/messages.ts";
import type { Store } from "../../storage/store.ts";
import type { AppBinding } from "./app_binding.ts";
import type { Saveable } from "../commits.ts";
import type { Delivery } from "./delivery.ts";
import { Inbox } from "./inbox.ts";
import { sameBytes } from "../same_bytes.ts";
import { decodeEntry, encodeEntry, TABLE } from "../tables.ts";
import {
  type DeliveriesContext,
  type DeliveriesOwner,
  UserDeliveries,
} from "./deliveries.ts";
import { UserFlow } from "./flow.ts";
import { type MarksContext, UserMarks } from "./marks.ts";
import { UserOutcomes } from "./outcomes.ts";
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
export interface UserContext extends DeliveriesContext, MarksContext {
  /** What may come for all users together. */
  readonly windows: Windows;
}

/** A user as it comes into being. */
export interface NewUser {
  readonly name: string;
  readonly named: boolean;
  readonly incarnation: Uint8Array;
}

/** One user of this machine. */
export class User implements Saveable, DeliveriesOwner {
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
  readonly marks: UserMarks;
  readonly outcomes: UserOutcomes;
  readonly deliveries: UserDeliveries;
  readonly inbox: Inbox;
  /** When the last handle went, on the monotonic clock; `null` while there is one. */
  goneMs: number | null;
  isEnded = false;
  /** The broker was asked to attach it, as far as is known. */
  isTold = false;
  readonly #context: UserContext;
  #inboxPosition = 0;
  /** The handle lives on from before this process began: it knows what it took. */
  #survivor: Uint8Array | null = null;
  /** The last position that may have been handed to a handle that is gone. */
  #handedPosition = 0;

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
    this.marks = new UserMarks(context, this);
    this.outcomes = new UserOutcomes(context.commits, this);
    this.deliveries = new UserDeliveries(context, this);
    this.inbox = new Inbox(context.commits, this.deliveries, inboxLog);
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
    this.deliveries.credit.admitUnhurried();
    for (let i = 0; i < known.length; i += 4) {
      const [outcome, logId, from, to] = known.slice(i, i + 4);
      if (outcome === OUTCOME.held) app.pushed.add(logId, from, to);
    }
    for (let i = 0; i < known.length; i += 4) {
      const [outcome, logId, from, to] = known.slice(i, i + 4);
      if (outcome > OUTCOME.custody) {
        this.outcomes.settleKnown(outcome as Outcome, logId, from, to);
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
    return app.isHolding || this.deliveries.isWaiting;
  }

  /** The handle has been told that it is attached: deliveries may go out. */
  open(app: AppBinding): void {
    app.isOpen = true;
    if (this.app === app) this.deliveries.pump();
  }

  /** The app takes more. */
  grant(total: number): void {
    this.app?.grant(total);
    this.deliveries.pump();
  }

  /** Confirms to the app what the broker or the disk has confirmed. */
  confirmToApp(): void {
    this.app?.confirm(this.flow.confirmed);
  }

  /** {@inheritDoc DeliveriesOwner.isSuspect} */
  isSuspect({ position }: Delivery): boolean {
    return this.#survivor === null && position <= this.flow.suspect;
  }

  /** {@inheritDoc DeliveriesOwner.onStored} */
  onStored({ logId, position }: Delivery): void {
    if (epochOf(logId) === this.epoch) {
      this.#inboxPosition = Math.max(this.#inboxPosition, position);
    }
    this.#context.commits.changed(this);
  }

  /** Ends the user with everything it has here. */
  async end(): Promise<void> {
    this.isEnded = true;
    this.deliveries.dropWaiting();
    this.flow.end();
    this.marks.clear();
    this.#context.commits.changed(this);
    // First, or what is on its way into the inbox would look for its log.
    const dropped = this.inbox.drop();
    this.#context.commits.dropLog(this.inbox.log);
    await dropped;
  }
}
