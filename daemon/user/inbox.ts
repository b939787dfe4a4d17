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
 * @module
 */

import type { OffsetRange, OffsetSet } from "../../protocol/offset_set.ts";
import type { Item } from "../../storage/store.ts";
import { bodyOf } from "./item_body.ts";
import type { AppBinding } from "./app_binding.ts";
import { Appender, cutPieces } from "../appender.ts";
import {
  costOf,
  decodeDeliveryMeta,
  type Delivery,
  encodeDeliveryMeta,
  sliceDelivery,
} from "./delivery.ts";
import type { Commits } from "../commits.ts";
import { OffsetsByLog } from "./offsets_by_log.ts";
import type { UserMarks } from "./marks.ts";

/** How much is read from the disk at a time. */
const READ_BYTES = 256 * 1024;

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

interface Ready {
  /** `null`: nothing to hand out, only to be given up in its turn. */
  delivery: Delivery | null;
  end: number;
  /** The app has it already, from before its connection was lost. */
  isHeld: boolean;
}

/** One user's inbox. */
export class Inbox {
  readonly log: number;
  #commits: Commits;
  #owner: InboxOwner;
  #appender: Appender;
  #segments: Segment[] = [];
  #ready: Ready[] = [];
  #next: number;
  /** Waiting to be appended, behind a large record or as one. */
  #coming = new OffsetsByLog();
  /** Settled while they waited to be appended. */
  #overtaken = new OffsetsByLog();
  /** Rises when reading begins anew; what an older read brings is dropped. */
  #generation = 0;
  #reading: Promise<void> | null = null;
  /** The store could not be read: the daemon ends. */
  #isFailed = false;
  /** Its user has ended, and its log with it. */
  #isDropped = false;

  constructor(commits: Commits, owner: InboxOwner, log: number) {
    this.#commits = commits;
    this.#owner = owner;
    this.log = log;
    this.#appender = new Appender(commits, log);
    this.#next = commits.store.begin(log);
  }

  /** Bytes on disk. */
  get bytes(): number {
    return this.#isDropped ? 0 : this.#commits.store.bytes(this.log);
  }

  /** Whether everything in it has been pushed: what comes now may pass it by. */
  get isPassed(): boolean {
    return this.#isDropped ||
      !this.#appender.isBusy && this.#ready.length === 0 &&
        this.#next >= this.#commits.store.end(this.log);
  }

  /** Stores a delivery behind the others. */
  append(delivery: Delivery): void {
    if (this.#isDropped) return;
    for (const { bytes, count, index } of cutPieces(delivery.batch)) {
      const part: Delivery = {
        ...delivery,
        base: delivery.base + index,
        count,
        batch: bytes,
      };
      const { logId, base } = part;
      const end = base + count;
      this.#coming.add(logId, base, end);
      this.#appender.append({
        count,
        body: bytes,
        meta: () => encodeDeliveryMeta(part, this.#commits.store.timeline),
        done: () => {
          this.#coming.remove(logId, base, end);
          this.#owner.marks.take(logId, this.#notOvertaken(part));
          this.#owner.onStored(part);
          this.#commits.whenDone(() => {
            // The user may have ended while this went to the disk.
            if (this.#isDropped) return;
            this.#owner.onCommitted(part, costOf(bytes.length));
            this.pump();
          });
        },
      });
    }
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

  /** Another handle, or none: what is undecided is handed out from the start. */
  restart(): void {
    if (this.#isDropped) return;
    this.#generation++;
    this.#segments = [];
    this.#ready = [];
    this.#next = this.#commits.store.begin(this.log);
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
    if (this.#reading !== null || !this.#wantsMore()) return;
    this.#reading = this.#run()
      .catch((error) => {
        // What is read of a log that is gone meanwhile is nobody's.
        if (this.#isDropped) return;
        this.#isFailed = true;
        this.#commits.fail(error);
      })
      .finally(() => {
        this.#reading = null;
        // Something may have come between the last look and here.
        this.pump();
      });
  }

  /** Ends it with everything in it. */
  async drop(): Promise<void> {
    this.#isDropped = true;
    this.#generation++;
    this.#ready = [];
    this.#segments = [];
    this.#next = Infinity;
    await this.#appender.end();
    await this.#reading;
  }

  /** Waits for reads and writes under way. */
  async settle(): Promise<void> {
    this.#generation++;
    await this.#appender.end();
    await this.#reading;
  }

  #wantsMore(): boolean {
    return !this.#isFailed && !this.#isDropped && this.#ready.length === 0 &&
      this.#owner.app?.hasRoom === true &&
      this.#next < this.#commits.store.committedEnd(this.log);
  }

  async #run(): Promise<void> {
    while (this.#wantsMore()) {
      const generation = this.#generation;
      const end = this.#commits.store.committedEnd(this.log);
      const wants = [{ log: this.log, next: this.#next }];
      const results = await this.#commits.store.readInOrder(wants, READ_BYTES);
      for (const result of results) {
        if (generation !== this.#generation) break;
        if ("damaged" in result) this.#skip(result.base + result.count);
        else await this.#take(result, generation);
      }
      if (generation !== this.#generation) continue;
      // What was trimmed meanwhile needs no reading.
      if (results.length === 0) this.#next = Math.max(this.#next, end);
      this.#pushReady();
    }
  }

  async #take(item: Item, generation: number): Promise<void> {
    const body = await bodyOf(this.#commits.store, item);
    if (generation !== this.#generation) return;
    if (body === null) return this.#skip(item.base + item.count);
    const delivery = decodeDeliveryMeta(
      item,
      body,
      this.#commits.store.timeline,
    );
    const from = delivery.base;
    const to = from + delivery.count;
    const parts: Ready[] = [];
    // What is settled, or no longer known here, has had its outcome.
    const open = this.#owner.marks.find(delivery.logId)?.open(from, to) ?? [];
    const held = this.#owner.app?.pushed.get(delivery.logId);
    for (const [a, b] of open) {
      let at = a;
      for (const [x, y] of held?.missing(a, b) ?? [[a, b]]) {
        if (at < x) {
          parts.push({ ...this.#part(delivery, at, x), isHeld: true });
        }
        parts.push(this.#part(delivery, x, y));
        at = y;
      }
      if (at < b) parts.push({ ...this.#part(delivery, at, b), isHeld: true });
    }
    // Only the last part of an item gives the item up.
    const end = item.base + item.count;
    const last = parts.at(-1);
    if (last === undefined) return this.#pass(end);
    last.end = end;
    this.#ready.push(...parts);
    this.#next = end;
  }

  /** Nothing is left of what ends here: it goes when all before it has gone. */
  #pass(end: number): void {
    this.#ready.push({ delivery: null, end, isHeld: false });
    this.#next = end;
  }

  #part(delivery: Delivery, from: number, to: number): Ready {
    return {
      delivery: sliceDelivery(delivery, from, to),
      end: 0,
      isHeld: false,
    };
  }

  #skip(end: number): void {
    // Its head is lost with it: the user finds what it named by what is missing.
    this.#owner.onDamaged();
    this.#pass(end);
  }

  #pushReady(): void {
    while (this.#ready.length > 0) {
      const { delivery, end, isHeld } = this.#ready[0];
      if (delivery === null) {
        this.#segments.push({ logId: 0, from: 0, to: 0, end, left: 0 });
        this.#ready.shift();
        continue;
      }
      const count = isHeld ? delivery.count : this.#owner.push(delivery);
      if (count === 0) return;
      const { logId, base } = delivery;
      const isWhole = count === delivery.count;
      this.#segments.push({
        logId,
        from: base,
        to: base + count,
        end: isWhole ? end : 0,
        left: count,
      });
      if (isWhole) this.#ready.shift();
      else {
        const rest = sliceDelivery(
          delivery,
          base + count,
          base + delivery.count,
        );
        this.#ready[0] = { delivery: rest, end, isHeld: false };
      }
    }
    this.#advance();
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
