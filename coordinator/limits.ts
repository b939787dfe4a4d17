/**
 * Every number that bounds something between coordinators and their clients, in
 * one table. Those that `step` uses are part of the protocol: all replicas must
 * have the same.
 *
 * @module
 */

/** The table; sizes in bytes, durations in milliseconds. */
export const COORDINATOR_LIMITS = {
  /** How long a coordinator may be silent before another one answers. Default. */
  coordinatorLeaseMs: 5_000,
  /** How long a client may be silent before its permits are given back. Default. */
  clientLeaseMs: 5_000,
  /** Shortest lease, of a client and of a coordinator. */
  leaseMsMin: 100,
  /** Longest lease. */
  leaseMsMax: 24 * 60 * 60 * 1000,
  /** How long an operation other than `wait` may take. Default. */
  operationMs: 30_000,
  /** Behind that a request without an end of its own is void. */
  requestMs: 30_000,
  /** Idle sessions are forgotten after so many leases, and not before `idleMsMin`. */
  idleLeases: 10,
  /** An idle session is kept at least so long. */
  idleMsMin: 60_000,
  /** Messages expire as late as a subscription holds them back: see records.ts. */
  expiresMs: 7 * 24 * 60 * 60 * 1000,
  /** Replies are of no use later. */
  replyMs: 60_000,
  /** How long `close()` waits for the coordinators. */
  closeMs: 5_000,
  /** Name of a semaphore or value, in upper case. */
  nameBytes: 200,
  /** Read values up to this size are kept as answers, larger ones are read again. */
  answerBytes: 1024,
  /** A value, as `sizeOf` counts. */
  valueBytes: 1024 * 1024,
  /** Arrays and objects inside one another in a value: a snapshot adds some. */
  valueDepth: 48,
  /** Requests of one client that a shard has not answered, `wait`s among them. */
  openRequests: 256,
  /** Sessions of a shard. */
  sessions: 10_000,
  /** State of a shard, as `measure` counts: a snapshot is one message of 8 MiB. */
  stateBytes: 5 * 1024 * 1024,
  /** Records between two snapshots, at least. */
  snapshotRecords: 1_000,
  /** A large state is written once for so many records: bytes / this. */
  snapshotBytesPerRecord: 256,
  /** Records after which any replica makes a snapshot when the first one does not. */
  snapshotRecordsMax: 20_000,
  /** Silence after a change, then a snapshot. */
  snapshotQuietMs: 1_000,
  /** Records kept for the snapshot that goes before them. */
  bufferedRecords: 20_000,
  /** Messages of an error are cut here. */
  messageChars: 300,
} as const;

/** After how long a silent session with nothing to lose is forgotten. */
export function idleMs(leaseMs: number): number {
  const { idleLeases, idleMsMin } = COORDINATOR_LIMITS;
  return Math.max(idleLeases * leaseMs, idleMsMin);
}
