/**
 * A connection as the daemon sees it, to an app or to the broker.
 *
 * @module
 */

import type { Peer } from "../protocol/peer.ts";

/** What a daemon needs of a connection. */
export type Port = Pick<
  Peer,
  | "send"
  | "refuse"
  | "fail"
  | "ping"
  | "abort"
  | "isClosed"
  | "bufferedBytes"
  | "drained"
  | "isClogged"
  | "remote"
  | "features"
>;
