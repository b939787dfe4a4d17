/**
 * Appends to the outbox's log, in a lane for each producer: a record that is too
 * large for one item takes several commits, and only what comes later of the same
 * producer waits for it. What waits is in memory and has no receipt, so whoever has
 * too much of it there is not read on.
 *
 * @module
 */

import { LIMITS } from "../../protocol/limits.ts";
import {
  Appender,
  type Piece,
  PIECE_BYTES_MAX,
  type Together,
} from "../appender.ts";
import type { Commits } from "../commits.ts";
import type { Producer } from "./producers.ts";

/** What of one producer waits behind a large record, or is one. */
interface Lane {
  readonly appender: Appender;
  bytes: number;
  /** Those who are not read on before there is less. */
  waiting: (() => void)[];
}

/** The lanes that something waits in; where nothing does there is none. */
export class OutboxLanes {
  readonly #commits: Commits;
  readonly #log: number;
  /** For what is small, of producers who have no lane: it never waits. */
  readonly #open: Appender;
  readonly #lanes = new Map<Producer, Lane>();
  #bytes = 0;

  constructor(commits: Commits, log: number) {
    this.#commits = commits;
    this.#log = log;
    this.#open = new Appender(commits, log);
  }

  /** Appends behind what else comes of this producer. */
  append(producer: Producer, piece: Piece): void {
    const isSmall = piece.body.length <= PIECE_BYTES_MAX;
    const known = this.#lanes.get(producer);
    if (known === undefined && isSmall) return this.#open.append(piece);
    const lane = known ?? this.#begin(producer);
    lane.appender.append(this.#counted(lane, piece));
  }

  /** Counts for the lane until it is appended. */
  #counted(lane: Lane, piece: Piece): Piece {
    const { length } = piece.body;
    lane.bytes += length;
    this.#bytes += length;
    return {
      ...piece,
      done: (base) => {
        lane.bytes -= length;
        this.#bytes -= length;
        piece.done(base);
        if (lane.bytes <= this.#allowed) wake(lane);
      },
    };
  }

  /** Appends what a crash must not tell from each other, none of it large. */
  appendTogether(producer: Producer, pieces: Together): void {
    const lane = this.#lanes.get(producer);
    if (lane === undefined) return this.#open.appendTogether(pieces);
    const counted = pieces.map((piece) => this.#counted(lane, piece));
    lane.appender.appendTogether(counted);
  }

  /** Resolves when more of a producer may come; `null` when it may at once. */
  room(producer: Producer): Promise<void> | null {
    const lane = this.#lanes.get(producer);
    if (lane === undefined || lane.bytes <= this.#allowed) return null;
    // With a full disk it is read on, to be refused.
    if (!this.#commits.store.canAppend()) return null;
    return new Promise((resolve) => lane.waiting.push(resolve));
  }

  /** Waits for what is under way; nothing new begins. */
  async close(): Promise<void> {
    const lanes = [...this.#lanes.values()];
    await Promise.all(lanes.map(({ appender }) => appender.end()));
  }

  /** What may wait of one producer. */
  get #allowed(): number {
    return this.#bytes > LIMITS.laneBytesOfAll ? 0 : LIMITS.laneBytes;
  }

  #begin(producer: Producer): Lane {
    const appender = new Appender(this.#commits, this.#log, () => {
      this.#lanes.delete(producer);
      this.#bytes -= lane.bytes;
      wake(lane);
    });
    const lane: Lane = { appender, bytes: 0, waiting: [] };
    this.#lanes.set(producer, lane);
    return lane;
  }
}

function wake({ waiting }: Lane): void {
  for (const resolve of waiting.splice(0)) resolve();
}
