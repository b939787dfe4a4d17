/**
 * Appends to one log in order, also when some of it is too large for one item
 * and must be laid down in parts first. Small pieces go straight into the open
 * group; behind a large one everything waits its turn.
 *
 * @module
 */

import { cutBatch } from "../protocol/batch.ts";
import { ITEM_BYTES_MAX } from "../storage/store.ts";
import type { Commits } from "./commits.ts";

/** Records to append. */
export interface Piece {
  readonly count: number;
  readonly body: Uint8Array;
  /** The meta of its item. */
  meta(): Uint8Array;
  /** Called right after the append, in the same group: changes what goes with it. */
  done(base: number): void;
}

/** Room for the meta within an item. */
const META_BYTES_MAX = 4 * 1024;
/** What an item takes of a commit beside its bytes, roughly. */
const META_BYTES_MIN = 512;

/** Largest batch that is one item. */
export const PIECE_BYTES_MAX = ITEM_BYTES_MAX - META_BYTES_MAX;

/** Cuts a batch into pieces that are items of their own; a large record is alone. */
export function* cutPieces(
  batch: Uint8Array,
): Generator<{ bytes: Uint8Array; count: number; index: number }> {
  let index = 0;
  for (let at = 0; at < batch.length;) {
    const rest = batch.subarray(at);
    const { bytes, count } = cutBatch(rest, PIECE_BYTES_MAX);
    yield { bytes: rest.subarray(0, bytes), count, index };
    at += bytes;
    index += count;
  }
}

/** Pieces that go into one commit, none of them large. */
export type Together = readonly Piece[];

/** Appends pieces to one log, in order. */
export class Appender {
  #commits: Commits;
  #log: number;
  #queue: (Piece | Together)[] = [];
  #running: Promise<void> | null = null;
  #isEnded = false;
  #onIdle: () => void;

  /** @param onIdle Nothing waits behind a large one any more. */
  constructor(commits: Commits, log: number, onIdle: () => void = () => {}) {
    this.#commits = commits;
    this.#log = log;
    this.#onIdle = onIdle;
  }

  /** Whether pieces wait behind a large one. */
  get isBusy(): boolean {
    return this.#running !== null;
  }

  /** Appends now if it can, else in turn. */
  append(piece: Piece): void {
    if (this.#running === null && piece.body.length <= PIECE_BYTES_MAX) {
      return this.#appendSmall(piece);
    }
    this.#queue.push(piece);
    this.#running ??= this.#run();
  }

  /** The same for pieces that must not be told from each other by a crash. */
  appendTogether(pieces: Together): void {
    if (this.#running === null) return this.#appendAll(pieces);
    this.#queue.push(pieces);
  }

  /** Nothing more is appended; waits for what is under way. */
  async end(): Promise<void> {
    this.#isEnded = true;
    this.#queue = [];
    await this.#running;
  }

  #appendSmall(piece: Piece): void {
    const meta = piece.meta();
    this.#commits.makeRoom(meta.length + piece.body.length);
    piece.done(this.#commits.append(this.#log, piece.count, meta, piece.body));
  }

  #appendAll(pieces: Together): void {
    const metas = pieces.map((piece) => piece.meta());
    let bytes = 0;
    for (const [i, { body }] of pieces.entries()) {
      bytes += metas[i].length + body.length;
    }
    // Each brings something along beside its own bytes.
    this.#commits.makeRoom(bytes + (pieces.length - 1) * META_BYTES_MIN);
    for (const [i, { count, body, done }] of pieces.entries()) {
      done(this.#commits.append(this.#log, count, metas[i], body));
    }
  }

  async #run(): Promise<void> {
    try {
      while (this.#queue.length > 0) {
        const piece = this.#queue[0];
        if (isTogether(piece)) this.#appendAll(piece);
        else if (piece.body.length > PIECE_BYTES_MAX) {
          await this.#appendLarge(piece);
        } else this.#appendSmall(piece);
        this.#queue.shift();
      }
    } catch (error) {
      // The store can't go on, and whoever owns it ends with it.
      this.#commits.fail(error);
    } finally {
      this.#running = null;
      this.#onIdle();
    }
  }

  async #appendLarge(piece: Piece): Promise<void> {
    const { store } = this.#commits;
    const blob = await store.stage(piece.body);
    if (this.#isEnded) return store.discardStaged(blob);
    const meta = piece.meta();
    this.#commits.makeRoom(meta.length);
    piece.done(this.#commits.appendStaged(this.#log, meta, blob));
  }
}

function isTogether(piece: Piece | Together): piece is Together {
  return Array.isArray(piece);
}
