/**
 * What the users of this machine are subscribed to, as far as it went through
 * here. The broker is the one who knows; but a broker whose store was replaced
 * by an older one has forgotten what came since, and is told again.
 *
 * @module
 */

import type { MessageNamed } from "../../protocol/messages.ts";
import type { Store } from "../../storage/store.ts";
import type { Commits, Saveable } from "../commits.ts";
import { decodeEntry, encodeEntry, TABLE } from "../tables.ts";

/** Ended ones that are remembered, of each user. */
const ENDED_MAX = 100;

type SubscriptionEntry = [
  user: number,
  filter: string,
  manual: boolean,
  echo: boolean,
  isEnded: boolean,
];

/** A user's wish for a filter, or that it is over. */
export class KnownSubscription implements Saveable {
  readonly key: number;
  readonly userKey: number;
  readonly filter: string;
  manual = false;
  echo = false;
  /** The user ended it: an older store of the broker may still have it. */
  isEnded = false;
  isForgotten = false;

  constructor(key: number, userKey: number, filter: string) {
    this.key = key;
    this.userKey = userKey;
    this.filter = filter;
  }

  /** {@inheritDoc Saveable.save} */
  save(store: Store): void {
    if (this.isForgotten) return store.delete(TABLE.subscriptions, this.key);
    const { userKey, filter, manual, echo, isEnded } = this;
    const entry: SubscriptionEntry = [userKey, filter, manual, echo, isEnded];
    store.put(TABLE.subscriptions, this.key, encodeEntry(entry));
  }
}

/** All of them. */
export class Subscriptions {
  readonly #commits: Commits;
  readonly #byUser = new Map<number, Map<string, KnownSubscription>>();
  #nextKey = 1;

  constructor(commits: Commits) {
    this.#commits = commits;
  }

  /** Takes over what was stored. */
  load(entries: Map<number, Uint8Array>): void {
    for (const [key, bytes] of entries) {
      const [userKey, filter, manual, echo, isEnded] = decodeEntry<
        SubscriptionEntry
      >(bytes);
      const known = new KnownSubscription(key, userKey, filter);
      Object.assign(known, { manual, echo, isEnded });
      this.#listOf(userKey).set(filter, known);
      this.#nextKey = Math.max(this.#nextKey, key + 1);
    }
  }

  /** Those of a user, ended ones included. */
  of(userKey: number): readonly KnownSubscription[] {
    return [...this.#byUser.get(userKey)?.values() ?? []];
  }

  /** The broker has, or had already, what was asked for. */
  note(
    userKey: number,
    message: MessageNamed<"SUBSCRIBE"> | MessageNamed<"UNSUBSCRIBE">,
  ): void {
    const list = this.#listOf(userKey);
    const known = list.get(message.filter) ??
      new KnownSubscription(this.#nextKey++, userKey, message.filter);
    // To the end: the one that ended first is forgotten first.
    list.delete(message.filter);
    list.set(message.filter, known);
    known.isEnded = message.type === "UNSUBSCRIBE";
    if (message.type === "SUBSCRIBE") {
      known.manual = message.manual;
      known.echo = message.echo;
    }
    this.#commits.changed(known);
    if (known.isEnded) this.#forgetOldest(list);
  }

  /** A user has ended. */
  drop(userKey: number): void {
    for (const known of this.of(userKey)) this.#forget(known);
    this.#byUser.delete(userKey);
  }

  #forgetOldest(list: Map<string, KnownSubscription>): void {
    const ended = [...list.values()].filter((known) => known.isEnded);
    if (ended.length <= ENDED_MAX) return;
    list.delete(ended[0].filter);
    this.#forget(ended[0]);
  }

  #forget(known: KnownSubscription): void {
    known.isForgotten = true;
    this.#commits.changed(known);
  }

  #listOf(userKey: number): Map<string, KnownSubscription> {
    let list = this.#byUser.get(userKey);
    if (list === undefined) this.#byUser.set(userKey, list = new Map());
    return list;
  }
}
