/**
 * A user's messages on this machine's disk: those that arrived while nobody
 * waited for them. One log per user; its records are handed out in order, and
 * trimmed from the front as they are settled.
 *
 * ```text
 *   begin          pushed, undecided           next             end
 *     │  segments: [log 4: 10…60] [log 9: 3…4]  │  not pushed yet  │
 * ```
 *
 * Here is what was handed out, until it is trimmed. `inbox_storing.ts` is the way into
 * the log, `inbox_reading.ts` the way out of it.
 *
 * @module
 */

import type { OffsetSet } from "../../protocol/offset_set.ts";
import type { AppBinding } from "./app_binding.ts";
import { type Delivery, sliceDelivery } from "./delivery.ts";
import type { Commits } from "../commits.ts";
import {
  apart,
  InboxReading,
  type Ready,
  type ReadyBundle,
} from "./inbox_reading.ts";
import { InboxStoring } from "./inbox_storing.ts";
import type { UserMarks } from "./marks.ts";

/** What an inbox needs of its user. */
export interface InboxOwner {
  /** The handle that takes, if there is one. */
  readonly app: AppBinding | null;
  /** What this daemon answers for. */
  readonly marks: UserMarks;
  /** A piece of a delivery is in the open group. */
  onStored(delivery: Delivery): void;
  /** It is on disk, `cost` of it. */
  onCommitted(delivery: Delivery, cost: number): void;
  /** Hands over what there is room for; gives the number of records. */
  push(delivery: Delivery): number;
  /** Hands over parts of a bundle, all or none; `null`: run by run only. */
  pushBundle(parts: readonly Delivery[]): boolean | null;
  /** A damaged item was passed over. */
  onDamaged(): void;
  /** The inbox has become smaller. */
  onTrimmed(): void;
}

interface Segment {
  readonly logId: number;
  readonly from: number;
  readonly to: number;
  /** Where it ends in the inbox's own log. */
  readonly end: number;
  /** Records that are undecided. */
  left: number;
}

/** One user's inbox. */
export class Inbox {
  readonly log: number;
  readonly #commits: Commits;
  readonly #owner: InboxOwner;
  readonly #storing: InboxStoring;
  readonly #reading: InboxReading;
  #segments: Segment[] = [];
  /** Its user has ended, and its log with it. */
  #isDropped = false;

  constructor(commits: Commits, owner: InboxOwner, log: number) {
    this.#commits = commits;
    this.#owner = owner;
    this.log = log;
    this.#storing = new InboxStoring({
      commits,
      log,
      owner,
      onCommitted: (delivery, cost) => this.#committed(delivery, cost),
    });
    this.#reading = new InboxReading({
      commits,
      log,
      owner,
      onReady: () => this.#pushReady(),
      // Something may have come between the last look and here.
      onIdle: () => this.pump(),
    });
  }

  /** Bytes on disk. */
  get bytes(): number {
    return this.#isDropped ? 0 : this.#commits.store.bytes(this.log);
  }

  /** Whether everything in it has been pushed: what comes now may pass it by. */
  get isPassed(): boolean {
    return this.#isDropped ||
      !this.#storing.isBusy && this.#reading.isPassed;
  }

  /** Stores a delivery behind the others. */
  append(delivery: Delivery): void {
    if (!this.#isDropped) this.#storing.append(delivery);
  }

  /** Stores parts of a bundle behind the others, in one commit. */
  appendBundle(parts: readonly Delivery[]): void {
    if (!this.#isDropped) this.#storing.appendBundle(parts);
  }

  #committed(delivery: Delivery, cost: number): void {
    // The user may have ended while this went to the disk.
    if (this.#isDropped) return;
    this.#owner.onCommitted(delivery, cost);
    this.pump();
  }

  /** What waits to be appended; see {@link InboxStoring.coming}. */
  coming(logId: number): OffsetSet | undefined {
    return this.#storing.coming(logId);
  }

  /** What may wait was settled; see {@link InboxStoring.overtake}. */
  overtake(logId: number, from: number, to: number): void {
    this.#storing.overtake(logId, from, to);
  }

  /** Another handle, or none: what is undecided is handed out from the start. */
  restart(): void {
    if (this.#isDropped) return;
    this.#segments = [];
    this.#reading.restart();
    this.pump();
  }

  /** Offsets have been settled. */
  settled(logId: number, from: number, to: number): void {
    for (const segment of this.#segments) {
      if (segment.logId !== logId) continue;
      const overlap = Math.min(to, segment.to) - Math.max(from, segment.from);
      if (overlap > 0) segment.left -= overlap;
    }
    this.#advance();
  }

  /** Pushes what there is room for. Called whenever there may be more to push. */
  pump(): void {
    if (this.#isDropped) return;
    this.#pushReady();
    this.#reading.readOn();
  }

  /** Ends it with everything in it. */
  async drop(): Promise<void> {
    this.#isDropped = true;
    this.#segments = [];
    this.#reading.drop();
    await this.#storing.end();
    await this.#reading.running;
  }

  /** Waits for reads and writes under way. */
  async settle(): Promise<void> {
    this.#reading.stop();
    await this.#storing.end();
    await this.#reading.running;
  }

  #pushReady(): void {
    const reading = this.#reading;
    while (reading.first !== undefined) {
      if (!this.#push(reading.first)) return;
    }
    this.#advance();
  }

  /** Pushes what stands first, or some of it; whether to go on. */
  #push(first: Ready | ReadyBundle): boolean {
    if ("parts" in first) return this.#pushBundle(first);
    const { delivery, end, isHeld } = first;
    if (delivery === null) {
      this.#segments.push({ logId: 0, from: 0, to: 0, end, left: 0 });
      this.#reading.shift();
      return true;
    }
    const count = isHeld ? delivery.count : this.#owner.push(delivery);
    if (count === 0) return false;
    const { logId, base } = delivery;
    const isWhole = count === delivery.count;
    this.#segments.push({
      logId,
      from: base,
      to: base + count,
      end: isWhole ? end : 0,
      left: count,
    });
    if (isWhole) this.#reading.shift();
    else {
      const rest = sliceDelivery(delivery, base + count, base + delivery.count);
      this.#reading.replaceFirst({ delivery: rest, end, isHeld: false });
    }
    return true;
  }

  /** Pushes the bundle in front, or takes it apart; whether to go on. */
  #pushBundle(bundle: ReadyBundle): boolean {
    const open = bundle.parts.filter(({ isHeld }) => !isHeld)
      .map(({ delivery }) => delivery);
    const isPushed = open.length > 1 ? this.#owner.pushBundle(open) : null;
    if (isPushed === false) return false;
    if (isPushed === null) {
      this.#reading.replaceFirst(...apart(bundle));
      return true;
    }
    const last = bundle.parts.length - 1;
    for (const [i, { delivery }] of bundle.parts.entries()) {
      const { logId, base, count } = delivery;
      this.#segments.push({
        logId,
        from: base,
        to: base + count,
        end: i === last ? bundle.end : 0,
        left: count,
      });
    }
    this.#reading.shift();
    return true;
  }

  /** Trims what is settled at the front. */
  #advance(): void {
    if (this.#isDropped) return;
    let end = 0;
    while (this.#segments.length > 0 && this.#segments[0].left <= 0) {
      end = Math.max(end, this.#segments.shift()!.end);
    }
    if (end <= this.#commits.store.begin(this.log)) return;
    this.#commits.trim(this.log, end);
    this.#owner.onTrimmed();
  }
}
