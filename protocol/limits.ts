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
  /** Characters of a text in a frame, as JavaScript counts them. */
  textLength: 4_096,
  /** Elements of all arrays of a frame together; of one that has a list, more. */
  frameElements: 8_192,
  /** Elements of a frame with a list of ranges or targets. */
  listElements: 532_480,
  /** Entries of a map in a frame. */
  mapEntries: 256,
  /** Ranges in one ACK. */
  ackRanges: 4_096,
  /** Ranges that ATTACH lists as known. */
  knownRanges: 131_072,
  /** Messages that an app's ATTACH lists as known. */
  knownOffsets: 262_144,
  /** Ranges that a daemon keeps for a user until the broker has confirmed them. */
  markRanges: 262_144,
  /** Ranges above its floor that a reader's set of settled offsets may have. */
  settledRanges: 262_144,
  /** Of PONGs and ERRORs that wait to be read; a client ends the connection then. */
  unreadAnswerBytes: 1024 * 1024,
  /** Waiting to be read by the other side: nothing more is delivered to it. */
  unreadDeliverBytes: 8 * 1024 * 1024,
  /** Waiting to be read by the other side: a server reads nothing more of it. */
  unreadBytes: 16 * 1024 * 1024,
  /** Waiting to be read by all clients of a server: beyond that, each may leave little. */
  unreadBytesOfAll: 256 * 1024 * 1024,
  /** Of one producer, on their way to a daemon's disk behind a large record. */
  laneBytes: 2 * 1024 * 1024,
  /** The same of all producers: beyond that nothing more is taken of those who have any. */
  laneBytesOfAll: 64 * 1024 * 1024,
  /** A user's window at its daemon when its flow begins. */
  windowBytesFirst: 64 * 1024,
  /** … as it grows with what passes. */
  windowBytes: 2 * 1024 * 1024,
  /** What all users' windows at a daemon may grow to together. */
  windowBytesOfAll: 128 * 1024 * 1024,
  /** Users of one machine, or of all direct handles. */
  usersPerMachine: 65_536,
  /** Users of a broker. */
  users: 262_144,
  /** Subscriptions of a user, with those that ended and have something pending. */
  subscriptionsPerUser: 10_000,
  /** The same of all users of a broker. */
  subscriptions: 262_144,
  /** Pairs of user and topic that match, at a broker. */
  readers: 524_288,
  /** Topics of a broker. */
  topics: 524_288,
  /** Topics that one producer has published to. */
  topicsPerProducer: 131_072,
  /** Pairs of producer and topic that a daemon keeps a sequence for. */
  streams: 262_144,
  /** Pairs of producer and topic that a broker keeps a sequence for. */
  sequences: 1_048_576,
  /** Producers introduced on one connection that have not ended. */
  producersPerLink: 131_072,
  /** Producers of a machine that a broker knows. */
  producersPerMachine: 131_072,
  /** Producers that a broker knows. */
  producers: 524_288,
  /** Machines that a broker knows. */
  machines: 65_536,
  /** SUBSCRIBE and UNSUBSCRIBE on their way from one daemon to its broker. */
  forwardedRequests: 1_024,
  /** How long a daemon waits for its broker's answer to one of them. */
  answerMs: 30_000,
  /** How long messages may be meant to live: a hundred years. */
  expiresMs: 100 * 365.25 * 24 * 60 * 60 * 1000,
  /** The most that a broker may be set to take, and that a client lets one announce. */
  announcedMessageBytes: 256 * 1024 * 1024,
  /** Name of a user or machine. */
  nameBytes: 64,
  /** Topic or filter. */
  topicBytes: 255,
  /** A batch's attributes as encoded. */
  attributesBytes: 4 * 1024,
  /** Parts of a bundle. */
  bundleParts: 64,
  /** Records of a bundle together. */
  bundleBytes: 56 * 1024,
  /** A record of a bundle with its head. */
  bundledRecordBytes: 32 * 1024,
  /** A bundle's attributes as encoded. */
  bundleAttributesBytes: 64,
  /** Counted for each DELIVER frame on top of its batch when credit is used up. */
  deliverOverheadBytes: 32,
  /** Events kept for a slow reader of `events()`; the oldest are dropped. */
  events: 100,
} as const;

/** The largest frame after WELCOME where messages may have `messageBytes`. */
export function frameBytesMax(messageBytes: number): number {
  return messageBytes + LIMITS.frameOverheadBytes;
}
