/**
 * What was read from the store on its way to a user that catches up: what it still
 * needs of it is sent as far as its credit goes, the rest is settled or waits.
 *
 * @module
 */

import { cutBatch } from "../../protocol/batch.ts";
import { MomError } from "../../protocol/errors.ts";
import { LIMITS } from "../../protocol/limits.ts";
import { toLogId } from "../../protocol/log_id.ts";
import {
  type Batch,
  flagsOf,
  isExpired,
  isOwn,
  runsOfBundle,
  slice,
  toBundleFields,
  toDeliverFields,
} from "./batch.ts";
import type { Item, ReadResult } from "./broker_store.ts";
import { type Result, RESULTS } from "./counts.ts";
import { costOf, type Flow } from "./flow.ts";
import { decodeMeta, type ItemMeta } from "./item_meta.ts";
import { missingInAll, type Reader } from "./readers.ts";
import type { State } from "./state.ts";

type Range = readonly [from: number, to: number];

/** An item of a bundle, and who gets it. */
export interface BundledItem {
  readonly reader: Reader;
  readonly item: Item;
}

/** What of a part of a bundle is to be sent. */
interface Piece {
  readonly reader: Reader;
  readonly batch: Batch;
}

/** Whether a flow may be sent anything. */
export function isUsable(flow: Flow, state: State): boolean {
  return flow.isCurrent && flow.isOpen && !flow.session.isLost &&
    flow.opensAt <= state.store.position;
}

/** Nothing more can be sent until there is more credit. */
export function block(flow: Flow): void {
  flow.isBlocked = true;
  const { session } = flow;
  if (session.creditLeft < flow.credit.left || !session.isFree) {
    session.waiting.add(flow);
  }
}

/** Sends what was read. */
export class CatchUpSending {
  readonly #state: State;

  constructor(state: State) {
    this.#state = state;
  }

  /** Sends a result, settles it, or blocks the flow. */
  take(
    flow: Flow,
    reader: Reader,
    result: ReadResult,
  ): void | Promise<void> {
    const end = result.base + result.count;
    if (end <= reader.next) return;
    if ("damaged" in result) {
      this.#drop(flow, reader, reader.next, end, RESULTS.damaged);
      return;
    }
    if (result.base > reader.next) {
      // Nothing of what lies before can be read: it was trimmed meanwhile.
      this.#drop(flow, reader, reader.next, result.base, RESULTS.trimmed);
    }
    const unsent = this.#unsent(flow, reader, result);
    if (unsent.length === 0) return this.#passed(reader, end);
    const { timeline } = this.#state.store;
    const meta = decodeMeta(result.meta, result.position, timeline);
    if (result.blob === null) {
      const batch = toBatch(reader, result, meta, result.body);
      return this.#sendPieces(flow, reader, batch, unsent);
    }
    if (this.#settlePiece(reader, meta, unsent[0])) {
      return this.#passed(reader, end);
    }
    return this.#sendBlob(flow, reader, result, meta, result.blob);
  }

  /** Settles what is not to be sent; whether that is so. */
  #settlePiece(reader: Reader, meta: ItemMeta, piece: Range): boolean {
    const [from, to] = piece;
    const isMine = isOwn(reader, meta, from);
    if (!isMine && !isExpired(meta, this.#state.nowMs())) return false;
    const result = isMine ? RESULTS.own : RESULTS.expired;
    this.#state.settle(reader, from, to, result);
    return true;
  }

  /**
   * Sends the items of a bundle together, or run by run where that cannot be, in the
   * order of publishing.
   */
  takeBundle(flow: Flow, items: readonly BundledItem[]): void {
    // A part may lie in several items.
    const nexts = new Map(items.map(({ reader }) => [reader, reader.next]));
    const pieces = items.flatMap((each) => {
      const { reader, item } = each;
      const parts = this.#piecesOf(flow, each, nexts.get(reader)!);
      nexts.set(reader, item.base + item.count);
      return parts;
    });
    if (pieces.length > 0 && !this.#sendAll(flow, pieces)) return block(flow);
    for (const { reader, item } of items) {
      this.#passed(reader, item.base + item.count);
    }
  }

  /** What of an item is to be sent to a reader that is at `next`. */
  #piecesOf(
    flow: Flow,
    { reader, item }: BundledItem,
    next: number,
  ): Piece[] {
    if (item.base + item.count <= next) return [];
    if (item.base > next) {
      // As with a single item.
      this.#drop(flow, reader, next, item.base, RESULTS.trimmed);
    }
    const unsent = this.#unsent(flow, reader, item);
    if (unsent.length === 0) return [];
    const { timeline } = this.#state.store;
    const meta = decodeMeta(item.meta, item.position, timeline);
    const batch = toBatch(reader, item, meta, item.body);
    return unsent
      .filter((range) => !this.#settlePiece(reader, meta, range))
      .map(([from, to]) => ({ reader, batch: slice(batch, from, to) }));
  }

  /** Sends pieces of a bundle; whether that was all of them. */
  #sendAll(flow: Flow, pieces: readonly Piece[]): boolean {
    const { session } = flow;
    const cost = pieces.reduce(
      (sum, { batch }) => sum + costOf(batch.body.length),
      0,
    );
    const isBundle = session.takesBundles && pieces.length > 1 &&
      pieces.length <= LIMITS.bundleParts;
    const fits = cost <= Math.min(flow.credit.left, session.creditLeft);
    if (isBundle && fits) {
      this.#sendBundle(flow, pieces, cost);
      return true;
    }
    // There will be room for all of it, unless the window is too small for that.
    if (isBundle && !(flow.credit.isFree && session.isFree)) return false;
    return runsOfBundle(pieces.map(({ batch }) => batch))
      .every(({ part, batch }) => this.#send(flow, pieces[part].reader, batch));
  }

  #sendBundle(flow: Flow, pieces: readonly Piece[], cost: number): void {
    const { session, user } = flow;
    flow.credit.spend(cost);
    session.credit.spend(cost);
    const flags: number[] = [];
    for (const { reader, batch } of pieces) {
      const { base, count, position } = batch;
      user.sentPosition = Math.max(user.sentPosition, position);
      reader.next = base + count;
      flags.push(flagsOf(reader, base, position));
    }
    const batches = pieces.map(({ batch }) => batch);
    const fields = toBundleFields(this.#state, batches, flags);
    session.deliverBundle([flow.ref], fields);
  }

  #passed(reader: Reader, end: number): void {
    reader.next = Math.max(reader.next, end);
  }

  /** A large record: read only when it may be sent. */
  async #sendBlob(
    flow: Flow,
    reader: Reader,
    item: Item,
    meta: ItemMeta,
    blob: number,
  ): Promise<void> {
    if (!flow.credit.isFree || !flow.session.isFree) {
      return block(flow);
    }
    let body: Uint8Array;
    try {
      body = await this.#state.store.readBlob(blob);
    } catch (error) {
      if (!(error instanceof MomError) || error.code !== "data_damaged") {
        throw error;
      }
      this.#drop(flow, reader, item.base, item.base + 1, RESULTS.damaged);
      return;
    }
    // Anything may have happened while it was read.
    if (!isUsable(flow, this.#state) || reader.isGone) return;
    const unsent = this.#unsent(flow, reader, item);
    this.#sendPieces(flow, reader, toBatch(reader, item, meta, body), unsent);
  }

  #sendPieces(
    flow: Flow,
    reader: Reader,
    batch: Batch,
    unsent: readonly Range[],
  ): void {
    const { base, count } = batch;
    for (const range of unsent) {
      const [from, to] = range;
      reader.next = from;
      if (this.#settlePiece(reader, batch.meta, range)) continue;
      const isWhole = from === base && to === base + count;
      const piece = isWhole ? batch : slice(batch, from, to);
      if (!this.#send(flow, reader, piece)) return block(flow);
    }
    this.#passed(reader, base + count);
  }

  /** Sends as much of a batch as the credit allows; whether that was all. */
  #send(flow: Flow, reader: Reader, batch: Batch): boolean {
    let rest = batch;
    while (true) {
      const piece = this.#fitting(flow, rest);
      if (piece === null) return false;
      this.#sendPiece(flow, reader, piece);
      const end = piece.base + piece.count;
      if (end === rest.base + rest.count) return true;
      rest = slice(rest, end, rest.base + rest.count);
    }
  }

  #sendPiece(flow: Flow, reader: Reader, piece: Batch): void {
    const { session, user } = flow;
    const cost = costOf(piece.body.length);
    flow.credit.spend(cost);
    session.credit.spend(cost);
    user.sentPosition = Math.max(user.sentPosition, piece.position);
    reader.next = piece.base + piece.count;
    session.targets.push(flow.ref, flagsOf(reader, piece.base, piece.position));
    session.deliver(toDeliverFields(this.#state, piece));
  }

  /** The part of a batch that fits, or its first record if nothing else is on its way. */
  #fitting(flow: Flow, batch: Batch): Batch | null {
    const { session } = flow;
    const most = Math.min(flow.credit.left, session.creditLeft) - costOf(0);
    if (batch.body.length <= most) return batch;
    const { bytes, count } = cutBatch(batch.body, most);
    if (bytes > most && !(flow.credit.isFree && session.isFree)) {
      return null;
    }
    return { ...batch, count, body: batch.body.subarray(0, bytes) };
  }

  /** What of a result this flow has not been sent and still needs, in pieces that the same rows claim. */
  #unsent(
    flow: Flow,
    reader: Reader,
    item: { base: number; count: number },
  ): Range[] {
    const from = Math.max(reader.next, item.base);
    const to = Math.min(item.base + item.count, reader.claimEnd);
    if (from >= to) return [];
    const sets = [reader.settled, reader.custody];
    if (reader.sent !== null) sets.push(reader.sent);
    const held = flow.held.get(reader.topic.log);
    if (held !== undefined) sets.push(held);
    return reader.cutAtRows(missingInAll(sets, from, to));
  }

  /** Offsets will not come: they are settled and the client hears of it. */
  #drop(
    flow: Flow,
    reader: Reader,
    from: number,
    to: number,
    result: Result & { reason: string },
  ): void {
    const end = Math.min(to, reader.claimEnd);
    const unsent = this.#unsent(flow, reader, {
      base: from,
      count: end - from,
    });
    for (const [start, stop] of unsent) {
      this.#state.settle(reader, start, stop, result);
      this.#state.tellDropped(reader, start, stop, result.reason);
    }
    reader.next = Math.max(reader.next, end);
    for (const [start, stop] of unsent) {
      const message = {
        type: "GAP" as const,
        targets: [flow.ref, 0],
        logId: toLogId(this.#state.store.epoch, reader.topic.log),
        from: start,
        to: stop,
        reason: result.reason,
      };
      this.#state.commits.whenDone(() => {
        if (flow.isCurrent) flow.session.send(message);
      });
    }
  }
}

function toBatch(
  reader: Reader,
  item: Item,
  meta: ItemMeta,
  body: Uint8Array,
): Batch {
  return {
    topic: reader.topic,
    base: item.base,
    count: item.count,
    position: item.position,
    timeMs: item.time,
    meta,
    body,
    ranks: meta.place?.ranks ?? null,
  };
}
