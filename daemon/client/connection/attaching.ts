/**
 * The user on one connection after another: ATTACH, its answer, and what is known
 * of the user and of the store that it was attached to last (PROTOCOL 5.2, 5.5).
 *
 * @module
 */

import type { Clock, Entropy, Timer } from "../../../protocol/clock.ts";
import { MomError } from "../../../protocol/errors.ts";
import { asMomError } from "../../../protocol/handshake.ts";
import { LIMITS } from "../../../protocol/limits.ts";
import type {
  Attached,
  ErrorMessage,
  Message,
  Welcome,
} from "../../../protocol/messages.ts";
import type { Peer } from "../../../protocol/peer.ts";

/** The number of the user on its connection (PROTOCOL 5.1). */
export const USER_REF = 1;

/** Who is attached. */
export interface AttachingUser {
  readonly name: string;
  readonly isNamed: boolean;
  /** The handle's id. */
  readonly handle: Uint8Array;
  readonly clock: Clock;
  readonly entropy: Entropy;
  /** Numbers of requests, rising. */
  nextRequest(): number;
}

/** Whom it tells. */
export interface AttachingOwner {
  /** Asks what ATTACH has to say of deliveries. */
  onAttaching(): { credit: number; known: number[] };
  /**
   * The user is attached: a new flow begins.
   *
   * @param isReplaced The other side's store is another one than the last time.
   */
  onAttached(
    peer: Peer,
    attached: Attached,
    welcome: Welcome,
    isReplaced: boolean,
  ): void;
}

/** The user of one handle, over all connections. */
export class Attaching {
  readonly #user: AttachingUser;
  readonly #owner: AttachingOwner;
  #incarnation: Uint8Array;
  #isKnown = false;
  /** Which store the user was attached to last. */
  #storeKey = "";
  #request = 0;
  #timer: Timer | null = null;
  #isAttached = false;

  constructor(user: AttachingUser, owner: AttachingOwner) {
    this.#user = user;
    this.#owner = owner;
    this.#incarnation = user.entropy.bytes(16);
  }

  /** The user's identity (PROTOCOL 5.2); `null` before the first ATTACHED. */
  get incarnation(): Uint8Array | null {
    return this.#isKnown ? this.#incarnation : null;
  }

  /** Whether the user is attached right now. */
  get isAttached(): boolean {
    return this.#isAttached;
  }

  /** WELCOME: attaches. */
  begin(peer: Peer): void {
    this.#timer = this.#user.clock.setTimer(LIMITS.helloMs, () => {
      const error = new MomError(
        "daemon_unavailable",
        `Cannot attach: no answer of ${peer.remote} within ${LIMITS.helloMs} ms`,
      );
      peer.abort(error);
    });
    this.#attach(peer, !this.#isKnown);
  }

  /** A message that comes before the user is attached. */
  onMessage(peer: Peer, welcome: Welcome, message: Message): void {
    if (!("request" in message)) return; // The flow before (PROTOCOL 5.5).
    if (message.request !== this.#request) return;
    if (message.type === "ATTACHED") this.#done(peer, message, welcome);
    else if (message.type === "ERROR") this.#refused(peer, message, welcome);
  }

  /** The connection, if there was one, is over. @returns Whether it was attached. */
  end(): boolean {
    this.#timer?.cancel();
    const wasAttached = this.#isAttached;
    this.#isAttached = false;
    return wasAttached;
  }

  #attach(peer: Peer, create: boolean): void {
    const { name, isNamed, handle, nextRequest } = this.#user;
    this.#request = nextRequest();
    peer.send({
      type: "ATTACH",
      request: this.#request,
      ref: USER_REF,
      name,
      named: isNamed,
      incarnation: this.#incarnation,
      create,
      handle,
      ...this.#owner.onAttaching(),
    });
  }

  /** A store that was replaced does not know the user, or knows it as it was before. */
  #refused(peer: Peer, error: ErrorMessage, welcome: Welcome): void {
    const isNews = error.code === "user_expired" && this.#isKnown &&
      keyOf(welcome) !== this.#storeKey;
    if (!isNews) return peer.abort(asMomError(error));
    this.#isKnown = false;
    this.#attach(peer, true);
  }

  #done(peer: Peer, attached: Attached, welcome: Welcome): void {
    this.#timer?.cancel();
    const key = keyOf(welcome);
    const isReplaced = this.#storeKey !== "" && this.#storeKey !== key;
    this.#storeKey = key;
    this.#incarnation = attached.incarnation.slice();
    this.#isKnown = this.#isAttached = true;
    this.#owner.onAttached(peer, attached, welcome, isReplaced);
  }
}

/** Tells the store of a daemon or broker from another. */
function keyOf({ storeId, epoch }: Welcome): string {
  return `${storeId.toHex()} ${epoch}`;
}
