/**
 * When a client counts as gone. Only a proposal: the log decides whether it was
 * heard of meanwhile.
 *
 * @module
 */

import type { ShardState } from "../core/state.ts";
import { idleMs } from "../limits.ts";

/** Who was heard of when, on this coordinator's monotonic clock. */
export class SessionWatch {
  readonly #repeatMs: number;
  readonly #heardMs = new Map<string, number>();
  readonly #proposed = new Map<string, { seen: number; atMs: number }>();

  /** @param repeatMs A proposal without effect is made again so much later. */
  constructor(repeatMs: number) {
    this.#repeatMs = repeatMs;
  }

  /** From now on, as if all had just been heard of. */
  restart(state: ShardState, nowMs: number): void {
    this.#heardMs.clear();
    this.#proposed.clear();
    for (const client of state.sessions.keys()) this.heard(client, nowMs);
  }

  /** A record of a client was executed. */
  heard(client: string, nowMs: number): void {
    this.#heardMs.set(client, nowMs);
  }

  /** The records that would end those who are silent for too long. */
  expired(state: ShardState, nowMs: number): Record<string, unknown>[] {
    const records: Record<string, unknown>[] = [];
    for (const { client, session, seen, ...rest } of state.sessions.values()) {
      const heardMs = this.#heardMs.get(client);
      if (heardMs === undefined) {
        this.heard(client, nowMs);
        continue;
      }
      const isActive = rest.permits.size > 0 || rest.waits.size > 0;
      const limitMs = isActive ? rest.leaseMs : idleMs(rest.leaseMs);
      if (nowMs - heardMs < limitMs) continue;
      if (this.#isProposed(client, seen, nowMs)) continue;
      this.#proposed.set(client, { seen, atMs: nowMs });
      records.push({ kind: "expire", client, session, seen });
    }
    this.#forget(state);
    return records;
  }

  #isProposed(client: string, seen: number, nowMs: number): boolean {
    const before = this.#proposed.get(client);
    return before !== undefined && before.seen === seen &&
      nowMs - before.atMs < this.#repeatMs;
  }

  #forget(state: ShardState): void {
    for (const client of this.#heardMs.keys()) {
      if (state.sessions.has(client)) continue;
      this.#heardMs.delete(client);
      this.#proposed.delete(client);
    }
  }
}
