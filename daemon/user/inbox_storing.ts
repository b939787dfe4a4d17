/**
 * The way into an inbox: what waits to be appended to its log, and what was settled
 * before that.
 *
 * @module
 */

import { cutPart } from "../../protocol/bundle.ts";
import type { OffsetRange, OffsetSet } from "../../protocol/offset_set.ts";
import { withPlace } from "../../storage/bundle_place.ts";
import {
  Appender,
  cutPieces,
  type Piece,
  PIECE_BYTES_MAX,
} from "../appender.ts";
import type { Commits } from "../commits.ts";
import { costOf, type Delivery, encodeDeliveryMeta } from "./delivery.ts";
import type { InboxOwner } from "./inbox.ts";
import { OffsetsByLog } from "./offsets_by_log.ts";

/** What a part of a bundle may have on disk, with the places of its records. */
const BUNDLED_BYTES_MAX = PIECE_BYTES_MAX - 1024;

/** What storing stands on. */
export interface InboxStoringContext {
  readonly commits: Commits;
  /** The inbox's log. */
  readonly log: number;
  readonly owner: InboxOwner;
  /** A piece of a delivery is on disk, `cost` of it. */
  onCommitted(delivery: Delivery, cost: number): void;
}

/** Stores what comes for one inbox. */
export class InboxStoring {
  readonly #context: InboxStoringContext;
  readonly #appender: Appender;
  /** Counts the bundles. */
  #bundles = 0;
  /** Waiting to be appended, behind a large record or as one. */
  readonly #coming = new OffsetsByLog();
  /** Settled while they waited to be appended. */
  readonly #overtaken = new OffsetsByLog();

  constructor(context: InboxStoringContext) {
    this.#context = context;
    this.#appender = new Appender(context.commits, context.log);
  }

  /** Whether something waits behind a large record. */
  get isBusy(): boolean {
    return this.#appender.isBusy;
  }

  /** Stores a delivery behind the others. */
  append(delivery: Delivery): void {
    for (const { bytes, count, index } of cutPieces(delivery.batch)) {
      const part: Delivery = {
        ...delivery,
        base: delivery.base + index,
        count,
        batch: bytes,
      };
      this.#appender.append(this.#pieceOf(part));
    }
  }

  /** Stores parts of a bundle behind the others, in one commit. */
  appendBundle(parts: readonly Delivery[]): void {
    const pieces = parts.flatMap((delivery) =>
      cutPart(delivery.batch, delivery.ranks!, BUNDLED_BYTES_MAX)
        .map(({ index, count, bytes, ranks }): Delivery => ({
          ...delivery,
          base: delivery.base + index,
          count,
          batch: bytes,
          ranks,
        }))
    );
    const bundle = ++this.#bundles;
    this.#appender.appendTogether(pieces.map((part, i) => {
      const piece = this.#pieceOf(part);
      const left = pieces.length - 1 - i;
      const place = { bundle, left, ranks: part.ranks! };
      return { ...piece, meta: () => withPlace(piece.meta(), place) };
    }));
  }

  #pieceOf(part: Delivery): Piece {
    const { commits, owner, onCommitted } = this.#context;
    const { logId, base, count, batch } = part;
    const end = base + count;
    this.#coming.add(logId, base, end);
    return {
      count,
      body: batch,
      meta: () => encodeDeliveryMeta(part, commits.store.timeline),
      done: () => {
        this.#coming.remove(logId, base, end);
        owner.marks.take(logId, this.#notOvertaken(part));
        owner.onStored(part);
        commits.whenDone(() => onCommitted(part, costOf(batch.length)));
      },
    };
  }

  /**
   * What waits to be appended: no mark tells of it yet, so the broker may send it
   * again when the user is attached anew, but it is to be stored once.
   */
  coming(logId: number): OffsetSet | undefined {
    return this.#coming.get(logId);
  }

  /**
   * A handle has told what became of offsets that may still wait to be appended
   * behind a large record: they are not taken into custody any more.
   */
  overtake(logId: number, from: number, to: number): void {
    if (!this.#appender.isBusy) return;
    this.#overtaken.add(logId, from, to);
  }

  #notOvertaken({ logId, base, count }: Delivery): readonly OffsetRange[] {
    if (!this.#appender.isBusy) this.#overtaken.clear();
    const set = this.#overtaken.get(logId);
    return set?.missing(base, base + count) ?? [[base, base + count]];
  }

  /** Nothing more is appended; waits for what is under way. */
  end(): Promise<void> {
    return this.#appender.end();
  }
}
