/**
 * Which connection of an app speaks for which user. A name has one handle at a time
 * (PROTOCOL 5.4): another one gets it when the one before is gone.
 *
 * @module
 */

import { MomError } from "../protocol/errors.ts";
import { LIMITS } from "../protocol/limits.ts";
import type { Attach } from "../protocol/messages.ts";
import { checkName, userOf } from "../protocol/names.ts";
import { checkKnown, checkNoCustody } from "../protocol/outcomes_check.ts";
import type { Base } from "./base.ts";
import type { Commits } from "./commits.ts";
import type { Outbox } from "./outbox/outbox.ts";
import type { Port } from "./port.ts";
import { sameBytes } from "./same_bytes.ts";
import type { Upstream } from "./upstream/upstream.ts";
import { AppBinding } from "./user/app_binding.ts";
import type { User } from "./user/user.ts";
import type { Users } from "./users.ts";

/** What they stand on. */
export interface AttachedAppsContext {
  readonly commits: Commits;
  /** Where this machine's name is kept. */
  readonly base: Base;
  readonly outbox: Outbox;
  readonly upstream: Upstream;
  readonly users: Users;
}

/** The apps that are attached. */
export class AttachedApps {
  readonly #context: AttachedAppsContext;
  readonly #byPort = new Map<Port, User>();

  constructor(context: AttachedAppsContext) {
    this.#context = context;
  }

  /** The connections of all of them. */
  ports(): Iterable<Port> {
    return this.#byPort.keys();
  }

  /** The user of a connection, if one is attached. */
  find(port: Port): User | undefined {
    return this.#byPort.get(port);
  }

  /**
   * The user of a connection.
   *
   * @throws {MomError} `bad_message`: none is attached.
   */
  userOf(port: Port): User {
    const user = this.#byPort.get(port);
    if (user === undefined) {
      throw new MomError(
        "bad_message",
        "Cannot handle message: no user is attached",
      );
    }
    return user;
  }

  /** As `userOf`, of the one that the connection calls `ref`. */
  userAt(port: Port, ref: number): User {
    const user = this.userOf(port);
    if (user.app?.ref === ref) return user;
    throw new MomError(
      "bad_message",
      `Cannot handle message: no user is attached at ref ${ref}`,
    );
  }

  /**
   * ATTACH.
   *
   * @throws {MomError} `bad_message`, `name_in_use`, `user_expired`, `storage_full`.
   */
  async attach(port: Port, message: Attach): Promise<void> {
    checkName("user", message.name);
    checkNoCustody(message.known);
    checkKnown(message.known);
    await this.#makeWay(port, message);
    if (port.isClosed) return;
    const { commits, base, outbox, upstream } = this.#context;
    const user = this.#findOrMake(message, message.known.length / 4);
    const { handle } = user;
    if (handle !== null && !sameBytes(handle, message.handle)) {
      outbox.endProducer(handle);
    }
    if (user.app !== null) {
      this.#byPort.delete(user.app.port);
      if (user.unbind(false)) upstream.attach(user);
    }
    this.#byPort.set(port, user);
    const app = new AppBinding(
      port,
      message.ref,
      outbox.producer(message.handle, user.name),
      message.credit,
    );
    user.bind(app, message.known);
    commits.whenDone(() => {
      port.send({
        type: "ATTACHED",
        request: message.request,
        ref: message.ref,
        user: userOf(user.name, base.machine),
        incarnation: user.incarnation,
        suspect: user.suspect,
        epoch: upstream.epoch,
      });
      user.open(app);
    });
    if (user.flow.state === "down") upstream.attach(user);
  }

  /** One handle at a time. */
  async #makeWay(port: Port, message: Attach): Promise<void> {
    const mine = this.#byPort.get(port);
    if (mine !== undefined && mine.name !== message.name) {
      throw new MomError(
        "bad_message",
        "Cannot attach: the connection has a user already",
      );
    }
    const older = this.#context.users.byName(message.name)?.app;
    if (older === undefined || older === null || older.port === port) return;
    if (older.port.isClosed) return;
    if (!sameBytes(older.handle, message.handle)) {
      if (await older.port.ping(LIMITS.takeoverPingMs)) {
        throw new MomError(
          "name_in_use",
          `Cannot attach "${message.name}": another handle uses that name`,
        );
      }
    }
    older.port.abort();
    this.lost(older.port);
  }

  #findOrMake(message: Attach, ranges: number): User {
    const { users } = this.#context;
    const known = users.byName(message.name);
    if (ranges > 0) known?.marks.checkRoomFor(ranges);
    if (!message.create) {
      if (
        known === undefined ||
        !sameBytes(known.incarnation, message.incarnation)
      ) {
        throw new MomError(
          "user_expired",
          `Cannot attach "${message.name}": the user ended while its handle was away`,
        );
      }
      // Its producer has ended with it: what it sent would not be known again.
      if (known.handle === null || !sameBytes(known.handle, message.handle)) {
        throw new MomError(
          "user_expired",
          `Cannot attach "${message.name}": another handle took the name while this one was away`,
        );
      }
      return known;
    }
    return known ?? users.make(message);
  }

  /** A connection is gone; its handle may come back over another one. */
  lost(port: Port): void {
    const user = this.#byPort.get(port);
    if (user === undefined) return;
    this.#byPort.delete(port);
    if (user.app?.port === port && user.unbind(false)) {
      this.#context.upstream.attach(user);
    }
  }

  /**
   * A user's handle is gone for good.
   *
   * @returns As {@link User.unbind}.
   */
  leave(user: User): boolean {
    const { app } = user;
    if (app === null) return false;
    this.#byPort.delete(app.port);
    const wasHolding = user.unbind(true);
    this.#context.outbox.endProducer(app.handle);
    return wasHolding;
  }
}
