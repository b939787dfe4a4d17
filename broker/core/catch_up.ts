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

import { MomError } from "../../protocol/errors.ts";
import { bundleEnd, tornFrom } from "../../storage/bundle_place.ts";
import type { ReadResult } from "./broker_store.ts";
import {
  block,
  type BundledItem,
  CatchUpSending,
  isUsable,
} from "./catch_up_sending.ts";
import type { Flow } from "./flow.ts";
import { firstMissing, type Reader } from "./readers.ts";
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
/** More than all items of a bundle have together. */
const BUNDLE_READ_BYTES = 256 * 1024;

/** A log, and where to read on in it. */
interface Want {
  readonly log: number;
  readonly next: number;
}

/** Serves users from the store. */
export class CatchUp {
  readonly #state: State;
  readonly #sending: CatchUpSending;
  readonly #line: Flow[] = [];
  readonly #reads = new Set<Promise<void>>();
  #isStopped = false;

  constructor(state: State) {
    this.#state = state;
    this.#sending = new CatchUpSending(state);
  }

  /** A flow may have something to send and something to send it with. */
  wake(flow: Flow): void {
    if (this.#isStopped || flow.isCatchingUp || flow.isLive) return;
    if (
      !isUsable(flow, this.#state) || flow.isBlocked || !this.#hasCredit(flow)
    ) {
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

  #hasCredit(flow: Flow): boolean {
    if (flow.credit.left > 0 && flow.session.creditLeft > 0) return true;
    block(flow);
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
    if (!isUsable(flow, this.#state)) return false;
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
    const results = await this.#read(wants, bytes);
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
    if (!isUsable(flow, this.#state) || flow.isBlocked) return false;
    if (this.#wants(flow).length > 0) {
      flow.isBlocked = results.length === 0;
      return !flow.isBlocked;
    }
    flow.isLive = true;
    return false;
  }

  /** Reads; what comes at the end of it is no torn bundle. */
  async #read(
    wants: readonly Want[],
    bytes: number,
  ): Promise<readonly ReadResult[]> {
    const { store } = this.#state;
    const results = store.readCached(wants, bytes) ??
      await store.readInOrder(wants, bytes);
    const whole = tornFrom(results);
    if (whole === results.length) return results;
    // The rest of it comes with the next read.
    if (whole > 0) return results.slice(0, whole);
    // It is all there is: more is read, so that it is whole, and may end with another.
    return bytes >= BUNDLE_READ_BYTES
      ? results
      : await this.#read(wants, BUNDLE_READ_BYTES);
  }

  async #takeAll(
    flow: Flow,
    wants: readonly Want[],
    results: readonly ReadResult[],
    upTo: number,
  ): Promise<void> {
    const nexts = new Map(wants.map(({ log, next }) => [log, next]));
    for (let at = 0; at < results.length;) {
      const result = results[at];
      // Anything may have happened during a pause: a new flow of the user, say.
      if (!isUsable(flow, this.#state) || flow.isBlocked) return;
      if (!("damaged" in result) && result.position > upTo) return;
      const end = bundleEnd(results, at);
      const items: { reader: Reader; item: ReadResult }[] = [];
      for (; at < end; at++) {
        const item = results[at];
        const reader = flow.user.readers.get(item.log);
        // A subscription that began meanwhile may reach back behind what was read.
        if (reader === undefined || reader.next < nexts.get(item.log)!) {
          continue;
        }
        items.push({ reader, item });
      }
      const taken = this.#take(flow, items);
      // No pause without need: a turn per batch is slow.
      if (taken instanceof Promise) await taken;
      // What waits for credit is passed by nothing, also if some has come meanwhile.
      if (items.some(isLeft)) return;
      for (const { item } of items) nexts.set(item.log, item.base + item.count);
    }
  }

  #take(
    flow: Flow,
    items: readonly { reader: Reader; item: ReadResult }[],
  ): void | Promise<void> {
    if (items.length > 1) {
      return this.#sending.takeBundle(flow, items as BundledItem[]);
    }
    for (const { reader, item } of items) {
      return this.#sending.take(flow, reader, item);
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

/** Whether a reader has not passed an item that it was given. */
function isLeft(
  { reader, item }: { reader: Reader; item: ReadResult },
): boolean {
  return reader.next < Math.min(item.base + item.count, reader.claimEnd);
}
