/**
 * Users: `name@machine`, each with a random incarnation, its subscriptions and
 * what it has to read.
 *
 * @module
 */

import { userOf } from "../../protocol/names.ts";
import { type Entity, type Field, TABLES } from "./entries.ts";
import type { Flow } from "./flow.ts";
import type { Reader } from "./readers.ts";
import type { Subscription } from "./subscriptions.ts";

/** One user. */
export class User implements Entity {
  readonly table: number = TABLES.users;
  isDirty = false;
  isGone = false;
  /** Never given to another user. */
  readonly key: number;
  readonly name: string;
  readonly machine: string;
  /** `name@machine`. */
  readonly id: string;
  /** Random; tells this user from an earlier one of the same name. */
  readonly incarnation: Uint8Array;
  /** Outlives its handle. */
  readonly named: boolean;
  /**
   * The handle that may have messages which nobody has accounted for; `null`
   * when there is none.
   */
  handle: Uint8Array | null = null;
  /** The last position that was sent to it. */
  sentPosition = 0;
  /** Messages up to this position may have been handed to an earlier handle. */
  suspect = 0;
  /**
   * The store's epoch is new to it: its daemon has not told yet what of the time
   * before it answers for.
   */
  isUnlisted = false;
  /** When it was last attached, ms since 1970; 0 while it is. */
  lastSeenMs: number;
  /** The same in steady time. */
  awaySinceMs = 0;
  /** Where its deliveries go; `null` while it is not attached. */
  flow: Flow | null = null;
  /** Its subscriptions that go on, by filter. */
  readonly subscriptions = new Map<string, Subscription>();
  /** Its subscriptions that ended with something pending. */
  readonly ended = new Set<Subscription>();
  /** What it has to read, by log. */
  readonly readers = new Map<number, Reader>();

  constructor(
    key: number,
    name: string,
    machine: string,
    incarnation: Uint8Array,
    named: boolean,
    lastSeenMs: number,
  ) {
    this.key = key;
    this.name = name;
    this.machine = machine;
    this.id = userOf(name, machine);
    this.incarnation = incarnation;
    this.named = named;
    this.lastSeenMs = lastSeenMs;
  }

  toFields(): Field[] {
    return [
      this.name,
      this.machine,
      this.incarnation,
      this.named,
      this.handle,
      this.sentPosition,
      this.suspect,
      this.lastSeenMs,
      this.isUnlisted,
    ];
  }
}
