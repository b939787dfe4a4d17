/**
 * Users coming and going: ATTACH, DETACH, DESTROY, lost connections, and users that
 * end because their handle stayed away (PROTOCOL 5).
 *
 * @module
 */

import { MomError } from "../../protocol/errors.ts";
import { LIMITS } from "../../protocol/limits.ts";
import type { Attach, MessageNamed } from "../../protocol/messages.ts";
import { checkName, DIRECT_MACHINE, userOf } from "../../protocol/names.ts";
import type { Acknowledging } from "./acknowledging.ts";
import type { Deliveries } from "./deliveries.ts";
import { Flow } from "./flow.ts";
import { isEqual } from "./machines.ts";
import type { Session } from "./session.ts";
import type { State } from "./state.ts";
import type { User } from "./users.ts";

/** How long users without a session last. */
export interface AbsenceLimits {
  /** An unnamed user of a direct handle, ms. */
  readonly directMs: number;
  /** An unnamed user of a machine, ms. */
  readonly machineMs: number;
}

/** Binds users to sessions. */
export class Attaching {
  readonly #state: State;
  readonly #deliveries: Deliveries;
  readonly #acknowledging: Acknowledging;

  constructor(
    state: State,
    deliveries: Deliveries,
    acknowledging: Acknowledging,
  ) {
    this.#state = state;
    this.#deliveries = deliveries;
    this.#acknowledging = acknowledging;
  }

  /**
   * The session whose handle has the user that `message` asks for, if that is
   * another live one: it has to be found dead first (PROTOCOL 5.4).
   */
  rivalOf(session: Session, message: Attach): Session | null {
    const user = this.#state.users.get(userOf(message.name, session.machine));
    const flow = user?.flow ?? null;
    if (flow === null || flow.session === session) return null;
    return isSameHandle(flow.user, message.handle) ? null : flow.session;
  }

  /**
   * Binds a user; ATTACHED comes when all of it is on disk.
   *
   * @throws {MomError} `name_invalid`, `bad_message`, `user_expired`.
   */
  attach(session: Session, message: Attach): void {
    checkName("user", message.name);
    this.#checkRef(session, message);
    this.#acknowledging.check(
      this.#state.users.get(userOf(message.name, session.machine)),
      message.known,
      session.role === "daemon",
    );
    if (session.role === "app") this.#checkProducer(session, message.handle);
    const user = this.#userFor(session, message);
    this.#evict(session, message, user);
    const held = this.#acknowledging.apply(
      user,
      message.known,
      session.role === "daemon",
    );
    if (session.role === "daemon") this.#takeBack(user, message.known);
    // Who takes the name over ends the one before, and what it was known by.
    else if (!isSameHandle(user, message.handle)) this.#forgetProducerOf(user);
    this.#takeHandle(user, message.handle);
    user.lastSeenMs = 0;
    this.#state.commits.changed(user);
    const flow = new Flow(user, session, message.ref, message.credit, held);
    user.flow = flow;
    session.flows.set(message.ref, flow);
    if (session.role === "app") {
      session.dismiss();
      session.admit(
        this.#state.producers.introduce(
          message.handle,
          user.id,
          this.#state.stampMs(),
        ),
      );
    }
    this.#state.commits.whenDone(() => this.#attached(flow, message.request));
    this.#state.commits.finish();
  }

  #takeBack(user: User, known: readonly number[]): void {
    if (!user.isUnlisted) return;
    user.isUnlisted = false;
    this.#state.commits.changed(user);
    const messages = this.#acknowledging.takeBack(user, known);
    if (messages === 0) return;
    // Its daemon had them, and may have handed them over.
    user.suspect = Math.max(user.suspect, user.sentPosition);
    this.#state.logger.warn("custody_returned", { user: user.id, messages });
  }

  /** Unbinds a user; an unnamed one of a direct handle ends. */
  detach(session: Session, request: number, ref: number): void {
    const flow = flowOf(session, ref);
    const { user } = flow;
    this.#unbind(flow);
    if (session.role === "app") {
      for (const producer of session.producers) {
        this.#state.producers.forget(producer);
      }
      session.dismiss();
      if (!user.named) this.#state.endUser(user);
    }
    if (!user.isGone && this.#hasNothingOut(user)) {
      user.handle = null;
      this.#state.commits.changed(user);
    }
    this.#answer(session, request);
  }

  /**
   * Ends a user with all it has.
   *
   * @throws {MomError} `name_in_use`: another session has it.
   */
  destroy(
    session: Session,
    { request, name, incarnation, unless }: MessageNamed<"DESTROY">,
  ): void {
    const user = this.#state.users.get(userOf(name, session.machine));
    const isMeant = user !== undefined &&
      (incarnation === null
        ? unless === undefined || !isEqual(user.incarnation, unless)
        : isEqual(user.incarnation, incarnation));
    if (isMeant) this.#destroy(session, user);
    this.#answer(session, request);
  }

  /** A connection is gone; its users stay. */
  lost(session: Session): void {
    session.isLost = true;
    for (const flow of [...session.flows.values()]) this.#unbind(flow);
    for (const producer of session.producers) {
      this.#state.producers.forgetUnused(producer);
    }
    session.dismiss();
    this.#state.commits.finish();
  }

  /** Absence does not count while nobody could come back. */
  stoodStill(ms: number): void {
    const nowMs = this.#state.nowMs();
    for (const user of this.#state.users.values()) {
      user.awaySinceMs = Math.min(nowMs, user.awaySinceMs + ms);
    }
  }

  /** Ends unnamed users that were away for too long. */
  endAbsent(limits: AbsenceLimits): void {
    const nowMs = this.#state.nowMs();
    for (const user of this.#state.users.values()) {
      if (user.named || user.flow !== null) continue;
      const isDirect = user.machine === DIRECT_MACHINE;
      const limitMs = isDirect ? limits.directMs : limits.machineMs;
      if (nowMs - user.awaySinceMs < limitMs) continue;
      this.#forgetProducerOf(user);
      this.#state.endUser(user);
    }
    this.#state.commits.finish();
  }

  #destroy(session: Session, user: User): void {
    const { flow } = user;
    if (flow !== null && flow.session !== session) {
      throw new MomError(
        "name_in_use",
        `Cannot destroy "${user.id}": another connection has it attached`,
      );
    }
    if (flow !== null) this.#unbind(flow);
    if (session.role === "app") session.dismiss();
    this.#forgetProducerOf(user);
    this.#state.endUser(user);
  }

  /** A direct handle's producer goes with its user; a daemon tells by itself. */
  #forgetProducerOf(user: User): void {
    if (user.machine !== DIRECT_MACHINE || user.handle === null) return;
    const producer = this.#state.producers.get(user.handle);
    if (producer !== undefined) this.#state.producers.forget(producer);
  }

  #checkRef(session: Session, message: Attach): void {
    if (session.role !== "app" || session.flows.size === 0) return;
    const flow = session.flows.get(message.ref);
    const isSame = flow !== undefined &&
      flow.user.name === message.name &&
      isSameHandle(flow.user, message.handle);
    if (isSame) return;
    throw new MomError(
      "bad_message",
      `Cannot attach "${message.name}": an app's connection carries one user`,
    );
  }

  /** Users are kept until they are destroyed, so there is a limit to them. */
  #checkRoom(id: string, machine: string): void {
    const count = this.#state.userCountOf(machine);
    const { size } = this.#state.users;
    if (count < LIMITS.usersPerMachine && size < LIMITS.users) return;
    throw new MomError(
      "storage_full",
      `Cannot attach "${id}": its machine has ${count} of ${LIMITS.usersPerMachine} users, all have ${size} of ${LIMITS.users}`,
    );
  }

  #checkProducer(session: Session, handle: Uint8Array): void {
    const { producers } = this.#state;
    if (producers.get(handle) === undefined) {
      producers.checkRoom(session.machine);
    }
  }

  #userFor(session: Session, message: Attach): User {
    const id = userOf(message.name, session.machine);
    const user = this.#state.users.get(id);
    if (user === undefined) {
      if (!message.create) throw expired(id);
      this.#checkRoom(id, session.machine);
      return this.#state.createUser(
        message.name,
        session.machine,
        message.incarnation,
        message.named,
      );
    }
    if (!message.create && !isEqual(user.incarnation, message.incarnation)) {
      throw expired(id);
    }
    // A daemon's handle is its process; a direct one ends when another takes over.
    const isOver = session.role === "app" && !message.create &&
      user.handle !== null && !isSameHandle(user, message.handle);
    if (isOver) {
      throw new MomError(
        "user_expired",
        `Cannot attach "${id}": another handle took the name while this one was away`,
      );
    }
    return user;
  }

  /** Ends what stands in the way: an older flow of the user, another user at the ref. */
  #evict(session: Session, message: Attach, user: User): void {
    const { flow } = user;
    if (flow !== null) {
      this.#unbind(flow);
      // The same handle on a newer connection (PROTOCOL 5.4).
      const isLeft = flow.session !== session && flow.session.role === "app";
      if (isLeft) flow.session.abort();
    }
    const other = session.flows.get(message.ref);
    if (other !== undefined) this.#unbind(other);
  }

  /** From another handle on, what was sent before may have been handed over (PROTOCOL 5.7). */
  #takeHandle(user: User, handle: Uint8Array): void {
    if (isSameHandle(user, handle)) return;
    if (user.handle !== null) {
      user.suspect = Math.max(user.suspect, user.sentPosition);
    }
    user.handle = handle.slice();
  }

  #attached(flow: Flow, request: number): void {
    if (!flow.isCurrent) return;
    const { user, session, ref } = flow;
    session.send({
      type: "ATTACHED",
      request,
      ref,
      user: user.id,
      incarnation: user.incarnation,
      suspect: user.suspect,
      epoch: this.#state.store.epoch,
    });
    this.#deliveries.open(flow);
  }

  #unbind(flow: Flow): void {
    const { user, session } = flow;
    user.flow = null;
    user.lastSeenMs = this.#state.stampMs();
    user.awaySinceMs = this.#state.nowMs();
    this.#state.commits.changed(user);
    session.flows.delete(flow.ref);
    session.waiting.delete(flow);
  }

  /** Whether nothing that was sent to the user is without its outcome. */
  #hasNothingOut(user: User): boolean {
    for (const reader of user.readers.values()) {
      if (reader.sent !== null) return false;
      if (reader.firstOpen(reader.settled.floor) < reader.next) return false;
    }
    return true;
  }

  #answer(session: Session, request: number): void {
    this.#state.commits.whenDone(() => session.send({ type: "OK", request }));
    this.#state.commits.finish();
  }
}

/**
 * The flow at a ref.
 *
 * @throws {MomError} `bad_message` when no user is attached there.
 */
export function flowOf(session: Session, ref: number): Flow {
  const flow = session.flows.get(ref);
  if (flow !== undefined) return flow;
  throw new MomError(
    "bad_message",
    `Cannot take the message: no user is attached at ref ${ref}`,
  );
}

function isSameHandle(user: User, handle: Uint8Array): boolean {
  return user.handle !== null && isEqual(user.handle, handle);
}

function expired(id: string): MomError {
  return new MomError(
    "user_expired",
    `Cannot attach "${id}": that user has ended`,
  );
}
