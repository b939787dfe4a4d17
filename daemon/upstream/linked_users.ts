/**
 * The users of this machine, as the link needs them.
 *
 * @module
 */

import type { User } from "../user/user.ts";

/** How the link finds users. */
export interface LinkedUsers {
  /** All of them. */
  all(): Iterable<User>;
  /** The one whose ref on the link is `key`. */
  byKey(key: number): User | undefined;
  /** The one with that name. */
  byName(name: string): User | undefined;
}
