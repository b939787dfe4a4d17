/**
 * The way out of an inbox: what is read of its log and has no outcome yet stands
 * ready, in order, until it is handed out.
 *
 * @module
 */

import { bundleEnd, tornFrom } from "../../storage/bundle_place.ts";
import type { ReadResult } from "../../storage/store.ts";
import type { Commits } from "../commits.ts";
import {
  decodeDeliveryMeta,
  type Delivery,
  runsOfBundle,
  sliceDelivery,
} from "./delivery.ts";
import type { InboxOwner } from "./inbox.ts";
import { bodyOf } from "./item_body.ts";

/** How much is read from the disk at a time. */
const READ_BYTES = 256 * 1024;

/** What is handed out in its turn. */
export interface Ready {
  /** `null`: nothing to hand out, only to be given up in its turn. */
  delivery: Delivery | null;
  /** Where what it gives up ends in the inbox's log; 0: it gives nothing up. */
  end: number;
  /** The app has it already, from before its connection was lost. */
  isHeld: boolean;
}

/** What has a delivery. */
type ReadyPart = Ready & { delivery: Delivery };

/** Parts of a bundle, given up together. */
export interface ReadyBundle {
  readonly parts: readonly ReadyPart[];
  readonly end: number;
}

/** What reading stands on. */
export interface InboxReadingContext {
  readonly commits: Commits;
  /** The inbox's log. */
  readonly log: number;
  readonly owner: InboxOwner;
  /** Something stands ready. */
  onReady(): void;
  /** Nothing is read any more. */
  onIdle(): void;
}

/** Reads one inbox. */
export class InboxReading {
  readonly #context: InboxReadingContext;
  #ready: (Ready | ReadyBundle)[] = [];
  #next: number;
  /** Rises when reading begins anew; what an older read brings is dropped. */
  #generation = 0;
  #running: Promise<void> | null = null;
  /** The store could not be read: the daemon ends. */
  #isFailed = false;
  #isDropped = false;

  constructor(context: InboxReadingContext) {
    this.#context = context;
    this.#next = context.commits.store.begin(context.log);
  }

  /** Whether everything in the log was read and handed out. */
  get isPassed(): boolean {
    const { commits, log } = this.#context;
    return this.#ready.length === 0 && this.#next >= commits.store.end(log);
  }

  /** What is to be handed out next. */
  get first(): Ready | ReadyBundle | undefined {
    return this.#ready[0];
  }

  /** The first was handed out. */
  shift(): void {
    this.#ready.shift();
  }

  /** Something else stands in the place of the first. */
  replaceFirst(...others: readonly Ready[]): void {
    this.#ready.splice(0, 1, ...others);
  }

  /** Reads on, if there is more and somebody takes it. */
  readOn(): void {
    if (this.#running !== null || !this.#wantsMore()) return;
    this.#running = this.#run()
      .catch((error) => {
        // What is read of a log that is gone meanwhile is nobody's.
        if (this.#isDropped) return;
        this.#isFailed = true;
        this.#context.commits.fail(error);
      })
      .finally(() => {
        this.#running = null;
        this.#context.onIdle();
      });
  }

  /** Begins anew at the start. */
  restart(): void {
    this.#generation++;
    this.#ready = [];
    const { commits, log } = this.#context;
    this.#next = commits.store.begin(log);
  }

  /** What a read under way brings is dropped. */
  stop(): void {
    this.#generation++;
  }

  /** Reads nothing any more: the log is gone. */
  drop(): void {
    this.#isDropped = true;
    this.#generation++;
    this.#ready = [];
    this.#next = Infinity;
  }

  /** Settles with the read under way; `null`: there is none. */
  get running(): Promise<void> | null {
    return this.#running;
  }

  #wantsMore(): boolean {
    const { commits, log, owner } = this.#context;
    return !this.#isFailed && !this.#isDropped && this.#ready.length === 0 &&
      owner.app?.hasRoom === true &&
      this.#next < commits.store.committedEnd(log);
  }

  async #run(): Promise<void> {
    const { commits, log, onReady } = this.#context;
    const { store } = commits;
    while (this.#wantsMore()) {
      const generation = this.#generation;
      const end = store.committedEnd(log);
      const wants = [{ log, next: this.#next }];
      const results = await store.readInOrder(wants, READ_BYTES);
      // A bundle is smaller than a read: what is torn at its end begins the next one.
      const whole = tornFrom(results);
      for (let at = 0; at < whole && generation === this.#generation;) {
        const behind = bundleEnd(results, at);
        await this.#takeAll(results.slice(at, behind), generation);
        at = behind;
      }
      if (generation !== this.#generation) continue;
      // What was trimmed meanwhile needs no reading.
      if (results.length === 0) this.#next = Math.max(this.#next, end);
      onReady();
    }
  }

  /** Takes what was read: one item, or those of a bundle. */
  async #takeAll(
    results: readonly ReadResult[],
    generation: number,
  ): Promise<void> {
    const parts: ReadyPart[] = [];
    for (const result of results) {
      const open = await this.#openParts(result);
      if (generation !== this.#generation) return;
      // Its head is lost with it: the user finds what it named by what is missing.
      if (open === null) this.#context.owner.onDamaged();
      else parts.push(...open);
    }
    const { base, count } = results.at(-1)!;
    const end = base + count;
    const last = parts.at(-1);
    this.#next = end;
    // Nothing is left of it: it goes when all before it has gone.
    if (last === undefined) {
      this.#ready.push({ delivery: null, end, isHeld: false });
    } else if (results.length > 1) this.#ready.push({ parts, end });
    else {
      // Only the last part of an item gives the item up.
      last.end = end;
      this.#ready.push(...parts);
    }
  }

  /** What of an item has no outcome yet; `null`: it is damaged. */
  async #openParts(result: ReadResult): Promise<ReadyPart[] | null> {
    if ("damaged" in result) return null;
    const { commits, owner } = this.#context;
    const { store } = commits;
    const body = await bodyOf(store, result);
    if (body === null) return null;
    const delivery = decodeDeliveryMeta(result, body, store.timeline);
    const from = delivery.base;
    const to = from + delivery.count;
    const parts: ReadyPart[] = [];
    // What is settled, or no longer known here, has had its outcome.
    const open = owner.marks.find(delivery.logId)?.open(from, to) ?? [];
    const held = owner.app?.pushed.get(delivery.logId);
    for (const [a, b] of open) {
      let at = a;
      for (const [x, y] of held?.missing(a, b) ?? [[a, b]]) {
        if (at < x) parts.push(readyOf(delivery, at, x, true));
        parts.push(readyOf(delivery, x, y, false));
        at = y;
      }
      if (at < b) parts.push(readyOf(delivery, at, b, true));
    }
    return parts;
  }
}

function readyOf(
  delivery: Delivery,
  from: number,
  to: number,
  isHeld: boolean,
): ReadyPart {
  return { delivery: sliceDelivery(delivery, from, to), end: 0, isHeld };
}

/** A bundle as what is handed out one by one; the last of it gives all of it up. */
export function apart({ parts, end }: ReadyBundle): Ready[] {
  const open = parts.filter(({ isHeld }) => !isHeld)
    .map(({ delivery }) => delivery);
  const runs = runsOfBundle(open)
    .map((delivery): Ready => ({ delivery, end: 0, isHeld: false }));
  const all: Ready[] = [...parts.filter(({ isHeld }) => isHeld), ...runs];
  all.at(-1)!.end = end;
  return all;
}
