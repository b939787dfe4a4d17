/**
 * What the broker has for users who are attached goes to them, within the credit of
 * the link.
 *
 * @module
 */

import { deliveriesOf, type Ranks, ranksOf } from "../../protocol/bundle.ts";
import {
  type Attributes,
  remainingMs,
  withRemaining,
} from "../../protocol/attributes.ts";
import { checkDeliver } from "../../protocol/deliver_check.ts";
import { MomError } from "../../protocol/errors.ts";
import { epochOf } from "../../protocol/log_id.ts";
import {
  type Deliver,
  type DeliverBundle,
  type Gap,
  type MessageNamed,
  TARGET_FLAG,
} from "../../protocol/messages.ts";
import type { Base } from "../base.ts";
import type { Commits } from "../commits.ts";
import { costOf, costOfAll, type Delivery } from "../user/delivery.ts";
import type { User } from "../user/user.ts";
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
    const { targets, logId, count, batch } = message;
    this.#checkLog(logId);
    const deadlineMs = this.#deadlineOf(message);
    const delivery = toDelivery(message, null, deadlineMs);
    for (let i = 0; i < targets.length; i += 2) {
      const user = this.#userOf(targets[i]);
      if (user === null) continue;
      user.flow.receive(costOf(batch.length), count);
      user.deliveries.receive(withFlags(delivery, targets[i + 1]));
    }
    this.#release(costOf(batch.length));
  }

  /**
   * DELIVER_BUNDLE.
   *
   * @throws {MomError} `bad_message`: as of DELIVER, or it contradicts itself.
   */
  onDeliverBundle(message: DeliverBundle): void {
    const parts = deliveriesOf(message);
    for (const part of parts) {
      checkDeliver(part);
      this.#checkLog(part.logId);
    }
    const ranks = ranksOf(message.order, parts.map(({ count }) => count));
    const deadlineMs = this.#deadlineOf(message);
    const deliveries = parts.map((part, i) =>
      withFlags(toDelivery(part, ranks[i], deadlineMs), part.flags)
    );
    for (const ref of message.refs) {
      const user = this.#userOf(ref);
      if (user === null) continue;
      for (const { batch, count } of deliveries) {
        user.flow.receive(costOf(batch.length), count);
      }
      user.deliveries.receiveBundle(deliveries);
    }
    this.#release(costOfAll(deliveries));
  }

  /** `null`: an older flow's, whose messages the broker sends again (PROTOCOL 5.5). */
  #userOf(ref: number): User | null {
    const user = this.#context.users.byKey(ref);
    return user?.flow.state === "attached" ? user : null;
  }

  /** Until when messages with these attributes may be delivered, in steady time. */
  #deadlineOf({ attributes }: { attributes: Attributes }): number | null {
    const left = remainingMs(attributes);
    const { timeline } = this.#context.commits.store;
    return left === null ? null : timeline.nowMs() + left;
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

/** For one of its users; whether it may have been handed over before is known better here. */
function withFlags(delivery: Delivery, flags: number): Delivery {
  const manual = flags & TARGET_FLAG.manual;
  return manual === delivery.flags ? delivery : { ...delivery, flags: manual };
}

function toDelivery(
  message: Omit<Deliver, "targets">,
  ranks: Ranks | null,
  deadlineMs: number | null,
): Delivery {
  const { logId, topic, baseOffset, count, position, time, sender, batch } =
    message;
  return {
    logId,
    topic,
    base: baseOffset,
    count,
    position,
    time,
    sender,
    flags: 0,
    attributes: withRemaining(message.attributes, null),
    deadlineMs,
    batch,
    ranks,
  };
}
