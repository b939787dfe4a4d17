/**
 * A shard without a log: requests are executed as they are made.
 *
 * @module
 */

import { ShardState } from "../../coordinator/core/state.ts";
import { step } from "../../coordinator/core/step.ts";
import type { Reply } from "../../coordinator/replies.ts";

/** Fields of an operation. */
export type Fields = { op: string } & Record<string, unknown>;

/** Ids of clients, short to write: `idOf("a")`. */
export function idOf(client: string): string {
  return [...client].map((c) => c.charCodeAt(0).toString(16)).join("")
    .padEnd(32, "0");
}

/** One shard of one. */
export class Shard {
  state: ShardState = new ShardState(1, 1);
  /** The log's time at the next record. */
  time = 1_000;
  readonly #numbers = new Map<string, number>();

  /** Puts a record into the log. */
  put(value: unknown): Reply[] {
    return step(this.state, {
      offset: this.state.next,
      time: this.time,
      value,
    });
  }

  /** Opens sessions with a lease of a second. */
  hello(...clients: string[]): void {
    for (const client of clients) {
      this.ask(client, { op: "hello", leaseMs: 1_000 });
    }
  }

  /** A new request of a client in its first session. */
  ask(client: string, fields: Fields): Reply[] {
    const request = this.nextNumber(client);
    return this.put(this.record(client, request, fields));
  }

  /** The number of a client's next request. */
  nextNumber(client: string): number {
    const request = (this.#numbers.get(client) ?? 0) + 1;
    this.#numbers.set(client, request);
    return request;
  }

  /** The highest number that a client has used. */
  lastNumber(client: string): number {
    return this.#numbers.get(client) ?? 0;
  }

  /** A request as a record. */
  record(client: string, request: number, fields: Fields) {
    return {
      v: 1,
      kind: "request",
      client: idOf(client),
      session: 1,
      request,
      ...fields,
    };
  }
}

/** Replies in short: `a#2 done 7`, `b#1 failed exists`. */
export function inShort(replies: readonly Reply[]): string[] {
  return replies.map(({ client, request, outcome }) => {
    const who = String.fromCharCode(parseInt(client.slice(0, 2), 16));
    const what = outcome.outcome === "done"
      ? ` ${JSON.stringify(outcome.result)}`
      : outcome.outcome === "failed"
      ? ` ${outcome.code}`
      : "";
    return `${who}#${request} ${outcome.outcome}${what}`;
  });
}
