/**
 * Catching up: a user that is not live is served from the store, in the order of
 * positions over all its topics, as far as its credit goes, until nothing
 * committed is left unsent; then it is live.
 *
 * From the end of a read to the switch nothing else runs, so no batch falls
 * between the two, and none comes by both roads.
 *
 * @module
 */

import { cutBatch } from "../../protocol/batch.ts";
import { MomError } from "../../protocol/errors.ts";
import { toLogId } from "../../protocol/log_id.ts";
import type { Item, ReadResult } from "./broker_store.ts";
import { type Result, RESULTS } from "./counts.ts";
import {
  type Batch,
  flagsOf,
  isExpired,
  isOwn,
  slice,
  toDeliverFields,
} from "./batch.ts";
import { costOf, type Flow } from "./flow.ts";
import { decodeMeta, type ItemMeta } from "./item_meta.ts";
import { firstMissing, missingInAll, type Reader } from "./readers.ts";
import type { State } from "./state.ts";

/** Reads under way at a time, over all users. */
const READS_MAX = 4;
/** What one read brings at most. */
const READ_BYTES_MAX = 1024 * 1024;
/** The same while others publish: they wait for as long as it takes to send it. */
const READ_BYTES_SHARED = 128 * 1024;
/**
 * Who reads an old backlog leaves those who publish so many times what a read and
 * its sending took, to a limit: they hardly notice, and it still gets some 20 MB/s.
 */
const PAUSE_SHARE = 8;
const PAUSE_MS_MAX = 20;
/** What one read brings at least, if there is that much. */
const READ_BYTES_MIN = 64 * 1024;

type Range = readonly [from: number, to: number];

/** A log, and where to read on in it. */
interface Want {
  readonly log: number;
  readonly next: number;
}

/** Serves users from the store. */
export class CatchUp {
  readonly #state: State;
  readonly #line: Flow[] = [];
  readonly #reads = new Set<Promise<void>>();
  #isStopped = false;

  constructor(state: State) {
    this.#state = state;
  }

  /** A flow may have something to send and something to send it with. */
  wake(flow: Flow): void {
    if (this.#isStopped || flow.isCatchingUp || flow.isLive) return;
    if (!this.#isUsable(flow) || flow.isBlocked || !this.#hasCredit(flow)) {
      return;
    }
    flow.isCatchingUp = true;
    this.#line.push(flow);
    this.#startReads();
  }

  /** Resolves when no read is under way. */
  async idle(): Promise<void> {
    while (this.#reads.size > 0) await Promise.all(this.#reads);
  }

  /** Begins no more reads. */
  stop(): void {
    this.#isStopped = true;
    this.#line.length = 0;
  }

  #isUsable(flow: Flow): boolean {
    return flow.isCurrent && flow.isOpen && !flow.session.isLost &&
      flow.opensAt <= this.#state.store.position;
  }

  #hasCredit(flow: Flow): boolean {
    if (flow.credit.left > 0 && flow.session.creditLeft > 0) return true;
    this.#block(flow);
    return false;
  }

  #startReads(): void {
    while (this.#reads.size < READS_MAX) {
      const flow = this.#line.shift();
      if (flow === undefined) return;
      const read = this.#serve(flow).finally(() => {
        this.#reads.delete(read);
        this.#startReads();
      });
      this.#reads.add(read);
    }
  }

  async #serve(flow: Flow): Promise<void> {
    let goesOn = false;
    // Whoever woke it is in the middle of something: a batch that is being fanned
    // out, say.
    await Promise.resolve();
    try {
      goesOn = await this.#serveOnce(flow);
    } catch (error) {
      this.stop();
      // Nobody would hear from here any more: the broker ends, unless it does already.
      const isEnding = error instanceof MomError && error.code === "closed";
      if (!isEnding) this.#state.onDefect(error);
    }
    flow.isCatchingUp = false;
    if (goesOn || !flow.isBlocked) this.wake(flow);
  }

  /** One read and what it gives; whether there may be more to send. */
  async #serveOnce(flow: Flow): Promise<boolean> {
    if (!this.#isUsable(flow)) return false;
    const wants = this.#wants(flow);
    if (wants.length === 0) {
      flow.isLive = true;
      return false;
    }
    // What is committed while the read runs may lie behind something that this
    // read was not asked for: it waits for the next one.
    const upTo = this.#state.store.position;
    const room = Math.min(flow.credit.left, flow.session.creditLeft);
    const appended = this.#state.appendedBytes - flow.appendedBytes;
    flow.appendedBytes += appended;
    const most = appended > 0 ? READ_BYTES_SHARED : READ_BYTES_MAX;
    const bytes = Math.max(READ_BYTES_MIN, Math.min(most, room));
    const { store } = this.#state;
    const { clock } = store;
    const beganMs = clock.monotonicMs();
    const results = store.readCached(wants, bytes) ??
      await store.readInOrder(wants, bytes);
    await this.#takeAll(flow, wants, results, upTo);
    this.#state.commits.finish();
    if (appended > 0) {
      // Who does not gain on those who publish would never be done.
      const isGaining = appended < bytes;
      const tookMs = clock.monotonicMs() - beganMs;
      const pauseMs = isGaining
        ? Math.min(tookMs * PAUSE_SHARE, PAUSE_MS_MAX)
        : 0;
      await new Promise<void>((resolve) => clock.setTimer(pauseMs, resolve));
    }
    if (!this.#isUsable(flow) || flow.isBlocked) return false;
    if (this.#wants(flow).length > 0) {
      flow.isBlocked = results.length === 0;
      return !flow.isBlocked;
    }
    flow.isLive = true;
    return false;
  }

  async #takeAll(
    flow: Flow,
    wants: readonly Want[],
    results: readonly ReadResult[],
    upTo: number,
  ): Promise<void> {
    const nexts = new Map(wants.map(({ log, next }) => [log, next]));
    for (const result of results) {
      // Anything may have happened during a pause: a new flow of the user, say.
      if (!this.#isUsable(flow) || flow.isBlocked) return;
      if (!("damaged" in result) && result.position > upTo) return;
      const reader = flow.user.readers.get(result.log);
      // A subscription that began meanwhile may reach back behind what was read.
      if (reader === undefined || reader.next < nexts.get(result.log)!) {
        continue;
      }
      const taken = this.#take(flow, reader, result);
      // No pause without need: a turn per batch is slow.
      if (taken instanceof Promise) await taken;
      nexts.set(result.log, result.base + result.count);
    }
  }

  /** Where to read on; readers that are through leave the list. */
  #wants(flow: Flow): Want[] {
    const wants: Want[] = [];
    for (const reader of flow.behind) {
      const { log } = reader.topic;
      const end = Math.min(
        this.#state.store.committedEnd(log),
        reader.claimEnd,
      );
      reader.next = firstOpen(flow, reader, reader.next);
      if (reader.next < end) wants.push({ log, next: reader.next });
      else flow.behind.delete(reader);
    }
    return wants;
  }

  /** Sends a result, settles it, or blocks the flow. */
  #take(
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

  #passed(reader: Reader, end: number): void {
    reader.next = Math.max(reader.next, end);
  }

  /** Nothing more can be sent until there is more credit. */
  #block(flow: Flow): void {
    flow.isBlocked = true;
    const { session } = flow;
    if (session.creditLeft < flow.credit.left || !session.isFree) {
      session.waiting.add(flow);
    }
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
      return this.#block(flow);
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
    if (!this.#isUsable(flow) || reader.isGone) return;
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
      if (!this.#send(flow, reader, piece)) return this.#block(flow);
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

function firstOpen(flow: Flow, reader: Reader, from: number): number {
  const held = flow.held.get(reader.topic.log);
  let at = from;
  while (true) {
    let behind = reader.firstOpen(at);
    if (held !== undefined) behind = firstMissing(held, behind);
    if (reader.sent !== null) behind = firstMissing(reader.sent, behind);
    if (behind === at) return at;
    at = behind;
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
  };
}
