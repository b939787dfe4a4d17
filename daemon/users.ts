/**
 * The users of this machine: read from the store, made, looked at with every tick,
 * ended.
 *
 * @module
 */

import type { Clock } from "../protocol/clock.ts";
import { MomError } from "../protocol/errors.ts";
import { LIMITS } from "../protocol/limits.ts";
import type { Commits } from "./commits.ts";
import type { Outbox } from "./outbox/outbox.ts";
import type { LinkedUsers } from "./upstream/linked_users.ts";
import type { Upstream } from "./upstream/upstream.ts";
import { Mark } from "./user/mark.ts";
import { type NewUser, User, type UserContext } from "./user/user.ts";
import { Windows } from "./user/windows.ts";

/** A handle that has not taken for this long gets the rest by way of the inbox. */
const STALLED_MS = 500;
/** How much more may come with each tick of what nobody waits for, and one window. */
const UNHURRIED_BYTES = 4 * 1024 * 1024;
/** A look at the time that comes so late: this process stood still. */
const STOOD_STILL_MS = 1_000;

/** What they stand on. */
export interface UsersOptions {
  readonly commits: Commits;
  readonly clock: Clock;
  readonly inboxBytesMax: number;
  readonly outbox: Outbox;
  readonly upstream: Upstream;
}

/** All of them. */
export class Users implements LinkedUsers {
  readonly #options: UsersOptions;
  readonly #context: UserContext;
  readonly #byName = new Map<string, User>();
  readonly #byKey = new Map<number, User>();
  #nextUserKey = 1;
  #nextMarkKey = 1;

  constructor(options: UsersOptions) {
    this.#options = options;
    this.#context = {
      commits: options.commits,
      clock: options.clock,
      inboxBytesMax: options.inboxBytesMax,
      windows: new Windows(),
      unhurried: new Set(),
      nextMarkKey: () => this.#nextMarkKey++,
    };
  }

  /** Takes over those that were stored, with what this daemon answers for. */
  load(users: Map<number, Uint8Array>, marks: Map<number, Uint8Array>): void {
    for (const [key, bytes] of users) {
      const user = User.load(this.#context, key, bytes);
      this.#byName.set(user.name, user);
      this.#byKey.set(key, user);
      this.#nextUserKey = Math.max(this.#nextUserKey, key + 1);
    }
    for (const [key, bytes] of marks) {
      const mark = Mark.load(key, bytes);
      this.#byKey.get(mark.userKey)?.marks.add(mark);
      this.#nextMarkKey = Math.max(this.#nextMarkKey, key + 1);
    }
  }

  /** {@inheritDoc LinkedUsers.all} */
  all(): Iterable<User> {
    return this.#byName.values();
  }

  /** {@inheritDoc LinkedUsers.byKey} */
  byKey(key: number): User | undefined {
    return this.#byKey.get(key);
  }

  /** {@inheritDoc LinkedUsers.byName} */
  byName(name: string): User | undefined {
    return this.#byName.get(name);
  }

  /**
   * Makes one.
   *
   * @throws {MomError} `storage_full`.
   */
  make({ name, named, incarnation }: NewUser): User {
    const { commits, upstream } = this.#options;
    // A user that ended counts until the broker knows it.
    const count = this.#byName.size + upstream.destroyCount;
    if (count >= LIMITS.usersPerMachine) {
      throw new MomError(
        "storage_full",
        `Cannot attach "${name}": this machine has ${count} users, which is the most`,
      );
    }
    const key = this.#nextUserKey++;
    const log = commits.createLog();
    // The message's bytes are a view on what was read.
    const identity = { name, named, incarnation: incarnation.slice() };
    const user = new User(this.#context, key, identity, log);
    this.#byName.set(name, user);
    this.#byKey.set(key, user);
    commits.changed(user);
    return user;
  }

  /** Ends a user here, and at the broker as soon as there is one. */
  end(user: User): void {
    this.#byName.delete(user.name);
    this.#byKey.delete(user.key);
    const { commits, outbox, upstream } = this.#options;
    // Of one that stayed away for too long: the others have said goodbye.
    if (user.handle !== null) outbox.endProducer(user.handle);
    user.end().catch((error) => commits.fail(error));
    upstream.destroy(user);
  }

  /**
   * To be called a few times a second.
   *
   * @param lateMs How late the call is: for so long this process stood still, and
   *   no handle could come back.
   */
  tick(nowMs: number, lateMs: number): void {
    for (const user of [...this.#byName.values()]) {
      if (lateMs >= STOOD_STILL_MS && user.goneMs !== null) {
        user.goneMs = Math.min(nowMs, user.goneMs + lateMs);
      }
      user.deliveries.spill(STALLED_MS);
      if (user.named || user.goneMs === null) continue;
      if (nowMs - user.goneMs >= LIMITS.unnamedGoneMs) this.end(user);
    }
    this.#admitUnhurried();
  }

  #admitUnhurried(): void {
    let bytes = 0;
    for (const credit of this.#context.unhurried) {
      if (bytes >= UNHURRIED_BYTES) return;
      bytes += credit.admitUnhurried();
    }
  }

  /** Waits for reads and writes under way. */
  async settle(): Promise<void> {
    for (const user of this.#byName.values()) await user.inbox.settle();
  }
}
