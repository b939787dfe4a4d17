/**
 * Deliveries: what was committed goes out at once to every user whose flow is live
 * and has credit; all others read it later from the store.
 *
 * @module
 */

import {
  type Batch,
  flagsOf,
  isExpired,
  isOwn,
  toBundleFields,
  toDeliverFields,
} from "./batch.ts";
import { CatchUp } from "./catch_up.ts";
import { RESULTS } from "./counts.ts";
import { costOf, type Flow } from "./flow.ts";
import type { Reader } from "./readers.ts";
import type { Session } from "./session.ts";
import type { State } from "./state.ts";

/** A part of a bundle that a reader may get. */
interface Offer {
  readonly part: number;
  readonly batch: Batch;
  readonly reader: Reader;
}

/** Parts of a bundle for those users of a session who get the same. */
interface Outbound {
  readonly offers: readonly Offer[];
  readonly flags: readonly number[];
  readonly refs: number[];
}

/** Sends batches to users. */
export class Deliveries {
  readonly #state: State;
  readonly #catchUp: CatchUp;
  /** Sessions that get the batch that is being fanned out. */
  readonly #sessions: Session[] = [];

  constructor(state: State) {
    this.#state = state;
    this.#catchUp = new CatchUp(state);
  }

  /** A batch is on disk: whoever waits for it gets it. */
  release(batch: Batch): void {
    const { topic, base, count } = batch;
    // A reader that ends while the list is walked takes itself out of it.
    for (let i = topic.readers.length - 1; i >= 0; i--) {
      const reader = topic.readers[i];
      const { flow } = reader.user;
      if (flow === null || !flow.isOpen) continue;
      if (base + count <= reader.next || base >= reader.claimEnd) continue;
      if (flow.isLive && reader.next === base) this.#offer(batch, reader, flow);
      else this.#fallBehind(flow, reader);
    }
    this.#flush(batch);
    // What turned out to be the user's own, or too late, is settled now.
    this.#state.commits.finishSoon();
  }

  /** The parts of a bundle are on disk: who waits for several gets them together. */
  releaseBundle(batches: readonly Batch[]): void {
    const byFlow = new Map<Flow, Offer[]>();
    for (const [part, batch] of batches.entries()) {
      const { topic, base, count } = batch;
      for (const reader of topic.readers) {
        const { flow } = reader.user;
        if (flow === null || !flow.isOpen) continue;
        if (base + count <= reader.next || base >= reader.claimEnd) continue;
        const offer = { part, batch, reader };
        const offers = byFlow.get(flow);
        if (offers === undefined) byFlow.set(flow, [offer]);
        else offers.push(offer);
      }
    }
    const outbound = new Map<Session, Outbound[]>();
    for (const [flow, offers] of byFlow) {
      this.#offerBundle(flow, offers, outbound);
    }
    for (const [session, bundles] of outbound) {
      for (const bundle of bundles) this.#sendBundle(session, bundle);
    }
    this.#state.commits.finishSoon();
  }

  /** The flow's user has been told that it is attached: everything open is sent. */
  open(flow: Flow): void {
    flow.isOpen = true;
    flow.isLive = false;
    for (const reader of flow.user.readers.values()) {
      reader.next = reader.settled.floor;
      reader.sent = null;
      flow.behind.add(reader);
    }
    this.#catchUp.wake(flow);
  }

  /** A flow has more credit. */
  grant(flow: Flow, total: number): void {
    flow.credit.grant(total);
    this.#unblock(flow);
  }

  /** A session has more credit. */
  grantSession(session: Session, total: number): void {
    session.credit.grant(total);
    this.unblockSession(session);
  }

  /** A session can take more. */
  unblockSession(session: Session): void {
    for (const flow of [...session.waiting]) {
      session.waiting.delete(flow);
      this.#unblock(flow);
    }
  }

  /**
   * A reader has something that was not sent: it is once the subscription is on
   * disk. Else a crash could make it a message that nobody had subscribed to.
   */
  reachBack(reader: Reader): void {
    const { flow } = reader.user;
    if (flow === null || !flow.isOpen) return;
    const { store, commits } = this.#state;
    flow.opensAt = store.openPosition;
    this.#fallBehind(flow, reader);
    commits.whenDone(() => this.#catchUp.wake(flow));
  }

  /** Resolves when no read is under way. */
  async idle(): Promise<void> {
    await this.#catchUp.idle();
  }

  /** Nothing is sent any more. */
  stop(): void {
    this.#catchUp.stop();
  }

  #offer(batch: Batch, reader: Reader, flow: Flow): void {
    const { session } = flow;
    const end = batch.base + batch.count;
    if (isOwn(reader, batch.meta, batch.base)) {
      reader.next = end;
      this.#state.settle(reader, batch.base, end, RESULTS.own);
      return;
    }
    const cost = costOf(batch.body.length);
    const isFirst = session.targets.length === 0;
    if (
      flow.credit.left < cost || (isFirst && session.creditLeft < cost)
    ) return this.#fallBehind(flow, reader);
    if (isExpired(batch.meta, this.#state.nowMs())) {
      reader.next = end;
      this.#state.settle(reader, batch.base, end, RESULTS.expired);
      return;
    }
    reader.next = end;
    flow.credit.spend(cost);
    flow.user.sentPosition = batch.position;
    if (isFirst) {
      session.credit.spend(cost);
      this.#sessions.push(session);
    }
    session.targets.push(flow.ref, flagsOf(reader, batch.base, batch.position));
  }

  /** All or nothing: a part that came later would be out of order. */
  #offerBundle(
    flow: Flow,
    offers: readonly Offer[],
    outbound: Map<Session, Outbound[]>,
  ): void {
    const isNext = flow.isLive &&
      offers.every(({ reader, batch }) => reader.next === batch.base);
    const wanted = isNext
      ? offers.filter((offer) => !this.#settleOffer(offer))
      : offers;
    if (wanted.length === 0) return;
    const { session } = flow;
    const cost = wanted.reduce(
      (sum, { batch }) => sum + costOf(batch.body.length),
      0,
    );
    const flags = wanted.map(({ reader, batch }) =>
      flagsOf(reader, batch.base, batch.position)
    );
    const bundles = outbound.get(session) ?? [];
    const same = bundles.find((each) => isSame(each, wanted, flags));
    const isSendable = isNext && flow.credit.left >= cost &&
      (same !== undefined || session.creditLeft >= cost) &&
      (wanted.length === 1 || session.takesBundles);
    if (!isSendable) {
      for (const { reader } of wanted) this.#fallBehind(flow, reader);
      return;
    }
    for (const { reader, batch } of wanted) {
      reader.next = batch.base + batch.count;
    }
    flow.credit.spend(cost);
    flow.user.sentPosition = wanted[0].batch.position;
    if (same !== undefined) return void same.refs.push(flow.ref);
    session.credit.spend(cost);
    bundles.push({ offers: wanted, flags, refs: [flow.ref] });
    outbound.set(session, bundles);
  }

  /** Settles what is not to be sent; whether that is so. */
  #settleOffer({ reader, batch }: Offer): boolean {
    const { base, count, meta } = batch;
    const isMine = isOwn(reader, meta, base);
    if (!isMine && !isExpired(meta, this.#state.nowMs())) return false;
    reader.next = base + count;
    const result = isMine ? RESULTS.own : RESULTS.expired;
    this.#state.settle(reader, base, base + count, result);
    return true;
  }

  #sendBundle(session: Session, { offers, flags, refs }: Outbound): void {
    const batches = offers.map(({ batch }) => batch);
    if (batches.length > 1) {
      const fields = toBundleFields(this.#state, batches, flags);
      return session.deliverBundle(refs, fields);
    }
    session.targets = refs.flatMap((ref) => [ref, flags[0]]);
    session.deliver(toDeliverFields(this.#state, batches[0]));
  }

  #flush(batch: Batch): void {
    if (this.#sessions.length === 0) return;
    const fields = toDeliverFields(this.#state, batch);
    for (const session of this.#sessions) session.deliver(fields);
    this.#sessions.length = 0;
  }

  #unblock(flow: Flow): void {
    flow.isBlocked = false;
    this.#catchUp.wake(flow);
  }

  #fallBehind(flow: Flow, reader: Reader): void {
    flow.isLive = false;
    flow.behind.add(reader);
    this.#catchUp.wake(flow);
  }
}

function isSame(
  bundle: Outbound,
  offers: readonly Offer[],
  flags: readonly number[],
): boolean {
  return bundle.offers.length === offers.length &&
    offers.every(({ part }, i) =>
      bundle.offers[i].part === part && bundle.flags[i] === flags[i]
    );
}
