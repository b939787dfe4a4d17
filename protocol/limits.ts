/**
 * Every number that bounds something on the wire or in a handle, in one table.
 * Limits that an operator can set have their default here.
 *
 * @module
 */

/** The table; sizes in bytes, durations in milliseconds. */
export const LIMITS = {
  /** Largest message (PROTOCOL: "a message's size"); the limit itself passes. Default. */
  messageBytes: 8 * 1024 * 1024,
  /** What a frame may hold beside one largest message: names, headers, heads. */
  frameOverheadBytes: 64 * 1024,
  /** Largest frame before WELCOME. */
  helloFrameBytes: 4 * 1024,
  /** From a connection's first byte to its WELCOME. */
  helloMs: 5_000,
  /** Connections that have no WELCOME yet. */
  unwelcomedConnections: 256,
  /** A PING goes out after this much silence. Default. */
  heartbeatMs: 10_000,
  /** Intervals of silence after which the other end counts as gone. */
  heartbeatsMissed: 3,
  /**
   * The same for the side that connects: a little earlier, so that it has a new
   * connection within the three.
   */
  heartbeatsMissedByClient: 2.6,
  /** First wait before connecting again. */
  reconnectMinMs: 100,
  /** Longest wait before connecting again. */
  reconnectMaxMs: 5_000,
  /** A connection that lasts shorter than this was no success: the waits go on growing. */
  reconnectSettledMs: 1_000,
  /** How long a handle's calls wait while its daemon is away. Default. */
  reconnectTimeoutMs: 10_000,
  /** How long an older connection of the same name has to answer a PING. */
  takeoverPingMs: 1_000,
  /** How long an unnamed user outlives its handle's connection. */
  unnamedGoneMs: 60_000,
  /** How long `close()` waits for receipts and confirmations; also a program's end. */
  closeMs: 5_000,
  /** Takes of a handle that its custodian has not confirmed. */
  unconfirmedTakes: 65_536,
  /** A message's headers as encoded. */
  headerBytes: 16 * 1024,
  /** Arrays and objects inside one another in a value. */
  valueDepth: 64,
  /** Arrays and maps inside one another in a frame, its outer array included. */
  frameDepth: 8,
  /** Name of a user or machine. */
  nameBytes: 64,
  /** Topic or filter. */
  topicBytes: 255,
  /** A batch's attributes as encoded. */
  attributesBytes: 4 * 1024,
  /** Counted for each DELIVER frame on top of its batch when credit is used up. */
  deliverOverheadBytes: 32,
  /** Events kept for a slow reader of `events()`; the oldest are dropped. */
  events: 100,
} as const;

/** The largest frame after WELCOME where messages may have `messageBytes`. */
export function frameBytesMax(messageBytes: number): number {
  return messageBytes + LIMITS.frameOverheadBytes;
}
