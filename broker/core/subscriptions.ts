/**
 * A subscription: a user's wish for a filter. What it has matched lies in the rows
 * of its user's readers.
 *
 * @module
 */

import { type Entity, type Field, TABLES } from "./entries.ts";
import type { User } from "./users.ts";

/** A user's wish for a filter. */
export class Subscription implements Entity {
  readonly table: number = TABLES.subscriptions;
  isDirty = false;
  isGone = false;
  readonly key: number;
  readonly user: User;
  /** A valid filter. */
  readonly filter: string;
  /** The app acknowledges by itself. */
  readonly manual: boolean;
  /** The user wants its own messages too. */
  readonly echo: boolean;
  /** The position where it began. */
  readonly beginPosition: number;
  /** The position where it ended; `null` while it goes on. */
  endPosition: number | null = null;
  /** How many readers have a row of it. */
  rowCount = 0;

  constructor(
    key: number,
    user: User,
    wish: { filter: string; manual: boolean; echo: boolean },
    beginPosition: number,
  ) {
    this.key = key;
    this.user = user;
    this.filter = wish.filter;
    this.manual = wish.manual;
    this.echo = wish.echo;
    this.beginPosition = beginPosition;
  }

  toFields(): Field[] {
    return [
      this.user.key,
      this.filter,
      this.manual,
      this.echo,
      this.beginPosition,
      this.endPosition,
    ];
  }
}
