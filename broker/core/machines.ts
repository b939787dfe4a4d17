/**
 * Machines: which key belongs to a daemon's name. A new key means that the disk
 * with all that the daemon answered for is lost (PROTOCOL 7.8).
 *
 * @module
 */

import { MomError } from "../../protocol/errors.ts";
import { LIMITS } from "../../protocol/limits.ts";
import type { BrokerStore } from "./broker_store.ts";
import type { Commits } from "./commits.ts";
import { type Entity, EntryReader, type Field, TABLES } from "./entries.ts";

class Machine implements Entity {
  readonly table: number = TABLES.machines;
  isDirty = false;
  isGone = false;
  readonly key: number;
  readonly name: string;
  machineKey: Uint8Array;

  constructor(key: number, name: string, machineKey: Uint8Array) {
    this.key = key;
    this.name = name;
    this.machineKey = machineKey;
  }

  toFields(): Field[] {
    return [this.name, this.machineKey];
  }
}

/** What a machine's key says. */
export type KeyCheck = "same" | "first" | "changed";

/** All machines that ever had a session. */
export class Machines {
  readonly #commits: Commits;
  readonly #byName = new Map<string, Machine>();
  #nextKey = 1;

  /** Loads what the store has. */
  constructor(store: BrokerStore, commits: Commits) {
    this.#commits = commits;
    for (const [key, bytes] of store.takeEntries(TABLES.machines)) {
      const entry = new EntryReader("machines", bytes);
      const machine = new Machine(key, entry.text(), entry.bytes());
      this.#byName.set(machine.name, machine);
      this.#nextKey = Math.max(this.#nextKey, key + 1);
    }
  }

  /**
   * Compares a machine's key with the one known, and keeps the new one.
   *
   * @throws {MomError} `storage_full`: there are too many machines.
   */
  check(name: string, machineKey: Uint8Array): KeyCheck {
    const known = this.#byName.get(name);
    if (known === undefined) {
      if (this.#byName.size >= LIMITS.machines) {
        throw new MomError(
          "storage_full",
          `Cannot welcome machine "${name}": this broker knows ${this.#byName.size}, which is the most`,
        );
      }
      const machine = new Machine(this.#nextKey++, name, machineKey.slice());
      this.#byName.set(name, machine);
      this.#commits.changed(machine);
      return "first";
    }
    if (isEqual(known.machineKey, machineKey)) return "same";
    known.machineKey = machineKey.slice();
    this.#commits.changed(known);
    return "changed";
  }
}

/** Whether two ids are the same. */
export function isEqual(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
