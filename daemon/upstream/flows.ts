/**
 * What the broker has for users who are attached goes to them, within the credit of
 * the link.
 *
 * @module
 */

import { remainingMs, withRemaining } from "../../protocol/attributes.ts";
import { checkDeliver } from "../../protocol/deliver_check.ts";
import { MomError } from "../../protocol/errors.ts";
import { epochOf } from "../../protocol/log_id.ts";
import {
  type Deliver,
  type Gap,
  type MessageNamed,
  TARGET_FLAG,
} from "../../protocol/messages.ts";
import type { Base } from "../base.ts";
import type { Commits } from "../commits.ts";
import { costOf, type Delivery } from "../user/delivery.ts";
import type { LinkedUsers } from "./linked_users.ts";
import type { UpstreamLink } from "./upstream_link.ts";

/** Credit for all deliveries of the link together. */
export const LINK_WINDOW_BYTES: number = 32 * 1024 * 1024;

/** What flows stand on. */
export interface FlowsContext {
  readonly commits: Commits;
  /** Where the broker's epoch is kept. */
  readonly base: Base;
  readonly link: UpstreamLink;
  readonly users: LinkedUsers;
}

/** The flows of all users over the link. */
export class UpstreamFlows {
  readonly #context: FlowsContext;
  #released = 0;
  #granted = 0;

  constructor(context: FlowsContext) {
    this.#context = context;
  }

  /** There is a link; HELLO has given the broker its credit. */
  linkUp(): void {
    this.#released = 0;
    this.#granted = LINK_WINDOW_BYTES;
  }

  /**
   * DELIVER.
   *
   * @throws {MomError} `bad_message`: it makes no sense, or is more than may come.
   */
  onDeliver(message: Deliver): void {
    checkDeliver(message);
    const {
      targets,
      logId,
      topic,
      baseOffset,
      count,
      position,
      time,
      sender,
      batch,
    } = message;
    const { commits, users } = this.#context;
    this.#checkLog(logId);
    const left = remainingMs(message.attributes);
    const deadlineMs = left === null
      ? null
      : commits.store.timeline.nowMs() + left;
    const attributes = withRemaining(message.attributes, null);
    for (let i = 0; i < targets.length; i += 2) {
      const user = users.byKey(targets[i]);
      // An older flow's: the broker sends it again (PROTOCOL 5.5).
      if (user === undefined || user.flow.state !== "attached") continue;
      user.flow.receive(costOf(batch.length), count);
      // Whether it may have been handed over before is known better here.
      const flags = targets[i + 1] & TARGET_FLAG.manual;
      const delivery: Delivery = {
        logId,
        topic,
        base: baseOffset,
        count,
        position,
        time,
        sender,
        flags,
        attributes,
        deadlineMs,
        batch,
      };
      user.deliveries.receive(delivery);
    }
    this.#release(costOf(batch.length));
  }

  /** GAP: the apps are told what will not come. */
  onGap(message: Gap): void {
    this.#checkLog(message.logId);
    for (let i = 0; i < message.targets.length; i += 2) {
      const app = this.#context.users.byKey(message.targets[i])?.app;
      // News, no more: what it tells of is settled. Who does not read goes without.
      if (app?.isReceiving && !app.port.isClogged) {
        app.port.send({ ...message, targets: [app.ref, 0] });
      }
    }
  }

  /** CONFIRM: the broker has committed ACKs of a user. */
  onConfirm({ ref, number }: MessageNamed<"CONFIRM">): void {
    const user = this.#context.users.byKey(ref);
    if (user === undefined || user.flow.state !== "attached") return;
    for (const ack of user.flow.confirm(number)) {
      user.outcomes.confirmed(ack.outcomes);
    }
    user.confirmToApp();
  }

  #release(cost: number): void {
    this.#released += cost;
    const total = this.#released + LINK_WINDOW_BYTES;
    if (total - this.#granted < LINK_WINDOW_BYTES / 4) return;
    this.#granted = total;
    this.#context.link.port?.send({ type: "CREDIT", ref: null, total });
  }

  /** A mark of another epoch would be kept, and tell the next broker nonsense. */
  #checkLog(logId: number): void {
    const epoch = this.#context.base.brokerEpoch;
    if (epochOf(logId) === epoch) return;
    throw new MomError(
      "bad_message",
      `Cannot take log ${logId}: it is not of epoch ${epoch}`,
    );
  }
}
