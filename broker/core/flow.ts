/**
 * A flow: the deliveries of one attached user over one session, from ATTACHED
 * until the next ATTACH or the end, with its credit.
 *
 * @module
 */

import { LIMITS } from "../../protocol/limits.ts";
import type { OffsetSet } from "../../protocol/offset_set.ts";
import type { Reader } from "./readers.ts";
import type { Session } from "./session.ts";
import type { User } from "./users.ts";

/** How much may be sent, and how much has been (PROTOCOL 6.6). */
export class Credit {
  #granted: number;
  #sent = 0;
  /** The most that was ever free: what the other side takes at a time. */
  #window: number;

  /** @param window What may be sent to begin with. */
  constructor(window: number) {
    this.#granted = window;
    this.#window = window;
  }

  /** Cost that may still be sent. */
  get left(): number {
    return this.#granted - this.#sent;
  }

  /** Total cost sent so far. */
  get sent(): number {
    return this.#sent;
  }

  /** Whether something that costs more than is left may be sent: nothing much else is on its way. */
  get isFree(): boolean {
    // Half: who gives credit back lazily has taken everything all the same.
    return this.left > 0 && this.left * 2 >= this.#window;
  }

  /** The other side raised the total. */
  grant(total: number): void {
    if (total <= this.#granted) return;
    this.#granted = total;
    if (this.left > this.#window) this.#window = this.left;
  }

  /** Something was sent. */
  spend(cost: number): void {
    this.#sent += cost;
  }
}

/** The cost of a DELIVER for each target, and once for the session. */
export function costOf(batchBytes: number): number {
  return batchBytes + LIMITS.deliverOverheadBytes;
}

/** The deliveries of one attached user. */
export class Flow {
  readonly user: User;
  readonly session: Session;
  /** What the client calls the user. */
  readonly ref: number;
  readonly credit: Credit;
  /** ATTACHED was sent. */
  isOpen = false;
  /** Everything committed was sent: what is committed next goes out at once. */
  isLive = false;
  /** Readers with something unsent while the flow is not live. */
  readonly behind = new Set<Reader>();
  /** Offsets that the app holds undecided, by log. */
  readonly held: Map<number, OffsetSet>;
  /** What is to be confirmed with the effects that gather now. */
  confirm: { readonly serial: number; number: number } | null = null;
  /** In line for, or in, a catch-up. */
  isCatchingUp = false;
  /** How many bytes had been published, to whatever topic, when it last read. */
  appendedBytes = 0;
  /** What comes next does not fit into the credit that is left. */
  isBlocked = false;
  /** The commit that holds its last SUBSCRIBE: nothing is sent before that is on disk. */
  opensAt = 0;

  constructor(
    user: User,
    session: Session,
    ref: number,
    credit: number,
    held: Map<number, OffsetSet>,
  ) {
    this.user = user;
    this.session = session;
    this.ref = ref;
    this.credit = new Credit(credit);
    this.held = held;
  }

  /** Whether it is still the user's flow. */
  get isCurrent(): boolean {
    return this.user.flow === this;
  }
}
