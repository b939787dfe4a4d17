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
  toDeliverFields,
} from "./batch.ts";
import { CatchUp } from "./catch_up.ts";
import { RESULTS } from "./counts.ts";
import { costOf, type Flow } from "./flow.ts";
import type { Reader } from "./readers.ts";
import type { Session } from "./session.ts";
import type { State } from "./state.ts";

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
