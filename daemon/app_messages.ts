/**
 * What the messages of apps mean: which of them is for the outbox, which for the
 * broker, and what is settled here. ATTACH is in `attached_apps.ts`.
 *
 * @module
 */

import { publishesOf, ranksOf } from "../protocol/bundle.ts";
import { MomError } from "../protocol/errors.ts";
import { FEATURE, notAgreed } from "../protocol/features.ts";
import type {
  Bundle,
  Message,
  MessageNamed,
  Outcome,
  Publish,
} from "../protocol/messages.ts";
import { checkNoCustody } from "../protocol/outcomes_check.ts";
import { checkBatch, checkPublishTopic } from "../protocol/publish_check.ts";
import type { AttachedApps } from "./attached_apps.ts";
import type { Commits } from "./commits.ts";
import type { Outbox } from "./outbox/outbox.ts";
import type { Producer } from "./outbox/producers.ts";
import type { Port } from "./port.ts";
import { sameBytes } from "./same_bytes.ts";
import type { Upstream } from "./upstream/upstream.ts";
import type { User } from "./user/user.ts";
import type { Users } from "./users.ts";

/** What they stand on. */
export interface AppMessagesContext {
  readonly commits: Commits;
  readonly maxMessageBytes: number;
  readonly outbox: Outbox;
  readonly upstream: Upstream;
  readonly users: Users;
  readonly apps: AttachedApps;
}

/** Takes the messages of apps. */
export class AppMessages {
  readonly #context: AppMessagesContext;

  constructor(context: AppMessagesContext) {
    this.#context = context;
  }

  /** Takes one. A promise: the connection is not read until it settles. */
  onMessage(port: Port, message: Message): void | Promise<void> {
    const pending = this.#take(port, message);
    if (pending !== undefined) return pending;
    const { apps, outbox, upstream } = this.#context;
    // What the broker does not take goes to the outbox.
    const isPublish = message.type === "PUBLISH" || message.type === "BUNDLE";
    const producer = isPublish ? apps.find(port)?.app?.producer : undefined;
    const room = producer === undefined
      ? upstream.room()
      : outbox.room(producer);
    return room ?? undefined;
  }

  #take(port: Port, message: Message): void | Promise<void> {
    const { apps, upstream } = this.#context;
    switch (message.type) {
      case "PUBLISH":
        return this.#publish(port, message);
      case "BUNDLE":
        return this.#publishBundle(port, message);
      case "ACK":
        return this.#acknowledge(apps.userOf(port), message);
      case "CREDIT":
        return this.#grant(apps.userOf(port), message);
      case "ATTACH":
        return apps.attach(port, message);
      case "DETACH":
        return this.#detach(port, message);
      case "DESTROY":
        return this.#destroy(port, message);
      case "SUBSCRIBE":
      case "UNSUBSCRIBE":
        return upstream.forward(
          apps.userAt(port, message.ref),
          port,
          message,
        );
      case "ERROR":
        // What an app thinks of us is told when it ends the conversation.
        return;
      default:
        throw new MomError(
          "bad_message",
          `Cannot handle ${message.type} of an app`,
        );
    }
  }

  #publish(port: Port, message: Publish): void {
    const producer = this.#producerOf(port, message.producer);
    this.#checkPublish(message);
    this.#context.outbox.publish(port, producer, message);
  }

  #publishBundle(port: Port, message: Bundle): void {
    if (!port.features.has(FEATURE.bundles)) throw notAgreed("BUNDLE");
    const producer = this.#producerOf(port, message.producer);
    const parts = publishesOf(message);
    const ranks = ranksOf(message.order, parts.map(({ count }) => count));
    // What is wrong with a part is that part's alone.
    const isFit = parts.map((part) => {
      try {
        this.#checkPublish(part);
        return true;
      } catch (error) {
        if (!(error instanceof MomError)) throw error;
        port.refuse(error, part.request);
        return false;
      }
    });
    this.#context.outbox.publishBundle(
      port,
      producer,
      parts.filter((_, i) => isFit[i]),
      ranks.filter((_, i) => isFit[i]),
    );
  }

  #producerOf(port: Port, id: Uint8Array): Producer {
    const { app } = this.#context.apps.userOf(port);
    if (app !== null && sameBytes(app.handle, id)) return app.producer;
    throw new MomError(
      "bad_message",
      "Cannot publish: the producer is not the handle",
    );
  }

  #checkPublish(message: Publish): void {
    checkPublishTopic(message.topic);
    checkBatch(message, this.#context.maxMessageBytes);
  }

  #grant(user: User, { ref, total }: MessageNamed<"CREDIT">): void {
    if (ref === user.app?.ref) user.grant(total);
  }

  /** Only what is with the app: it cannot know anything of other messages. */
  #acknowledge(
    user: User,
    { ref, number, outcomes, awaited }: MessageNamed<"ACK">,
  ): void {
    const { app } = user;
    if (app === null || app.ref !== ref) return;
    checkNoCustody(outcomes);
    if (awaited === 1) user.flow.hurry();
    const ack = app.openAck(number, 0);
    for (let i = 0; i < outcomes.length; i += 4) {
      const [outcome, logId, from, to] = outcomes.slice(i, i + 4);
      for (const [a, b] of app.inHand(logId, from, to)) {
        const upstream = user.outcomes.settle(outcome as Outcome, logId, a, b);
        ack.upstream = Math.max(ack.upstream, upstream);
      }
    }
    this.#context.commits.whenDone(() => {
      ack.local = true;
      user.confirmToApp();
    });
  }

  #detach(port: Port, { request, ref }: MessageNamed<"DETACH">): void {
    const { apps, commits, upstream, users } = this.#context;
    const user = apps.userAt(port, ref);
    const wasHolding = apps.leave(user);
    if (!user.named) users.end(user);
    else if (wasHolding) upstream.attach(user);
    commits.whenDone(() => port.send({ type: "OK", request }));
  }

  #destroy(
    port: Port,
    { name, incarnation, request }: MessageNamed<"DESTROY">,
  ): void {
    const { apps, commits, users } = this.#context;
    const user = users.byName(name);
    if (
      user !== undefined &&
      (incarnation === null || sameBytes(user.incarnation, incarnation))
    ) {
      const { app } = user;
      apps.leave(user);
      if (app !== null && app.port !== port) {
        app.port.fail(
          new MomError("user_expired", `User "${name}" was destroyed`),
        );
      }
      users.end(user);
    }
    commits.whenDone(() => port.send({ type: "OK", request }));
  }
}
