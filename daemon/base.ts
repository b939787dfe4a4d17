/**
 * The daemon's own entry: which machine it is, where its logs are, and with
 * which histories of the broker's store and its own it has to do.
 *
 * @module
 */

import type { Entropy } from "../protocol/clock.ts";
import { MomError } from "../protocol/errors.ts";
import { defaultMachine } from "../program/folders.ts";
import type { Store } from "../storage/store.ts";
import type { Commits, Saveable } from "./commits.ts";
import { decodeEntry, encodeEntry, TABLE } from "./tables.ts";

type BaseEntry = [
  machine: string,
  outboxLog: number,
  deadLog: number,
  brokerEpoch: number,
  ownEpoch: number,
];

/** The daemon's own entry. */
export class Base implements Saveable {
  readonly machine: string;
  readonly outboxLog: number;
  readonly deadLog: number;
  /** The broker's epoch as of the last link; 0 before the first. */
  brokerEpoch = 0;
  /** The epoch of the daemon's own store, as of its last commit. */
  ownEpoch: number;

  constructor(
    machine: string,
    outboxLog: number,
    deadLog: number,
    ownEpoch: number,
  ) {
    this.machine = machine;
    this.outboxLog = outboxLog;
    this.deadLog = deadLog;
    this.ownEpoch = ownEpoch;
  }

  /** {@inheritDoc Saveable.save} */
  save(store: Store): void {
    const { machine, outboxLog, deadLog, brokerEpoch, ownEpoch } = this;
    const entry = [machine, outboxLog, deadLog, brokerEpoch, ownEpoch];
    store.put(TABLE.daemon, 1, encodeEntry(entry));
  }
}

/**
 * Reads the entry; makes it at the first start.
 *
 * @param machine The name that was asked for.
 * @throws {MomError} `option_invalid` if the data is another machine's.
 */
export function readBase(
  commits: Commits,
  machine: string | undefined,
  entropy: Entropy,
): Base {
  const { store } = commits;
  const known = store.takeEntries(TABLE.daemon).get(1);
  if (known !== undefined) return loadBase(known, machine);
  const random = () => `memory-${entropy.bytes(6).toHex()}`;
  const base = new Base(
    machine ?? (store.isMemory ? random() : defaultMachine()),
    commits.createLog(),
    commits.createLog(),
    store.epoch,
  );
  commits.changed(base);
  return base;
}

/**
 * What tells this daemon's data from another's (PROTOCOL 3.6). A restored or
 * copied store has an epoch of its own: what the original had taken into
 * custody since is not in it.
 */
export function machineKeyOf({ id, epoch }: Store): Uint8Array {
  const key = id.slice();
  const view = new DataView(key.buffer);
  view.setUint32(0, (view.getUint32(0) ^ epoch) >>> 0);
  return key;
}

function loadBase(
  bytes: Uint8Array,
  wanted: string | undefined,
): Base {
  const [machine, outboxLog, deadLog, brokerEpoch, ownEpoch] = decodeEntry<
    BaseEntry
  >(bytes);
  if (wanted !== undefined && wanted !== machine) {
    throw new MomError(
      "option_invalid",
      `Cannot start daemon: option "machine" is "${wanted}", ` +
        `but the data folder belongs to "${machine}"`,
    );
  }
  const base = new Base(machine, outboxLog, deadLog, ownEpoch);
  base.brokerEpoch = brokerEpoch;
  return base;
}
