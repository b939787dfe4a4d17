/**
 * What a handle subscribed to, and what it ended: asked for, and told again to a
 * store that knows nothing of it.
 *
 * @module
 */

import { type ErrorCode, MomError } from "../../protocol/errors.ts";
import type { Message } from "../../protocol/messages.ts";
import type { Calls } from "./calls.ts";
import { USER_REF } from "./connection/attaching.ts";
import type { SubscribeSettings } from "./option_checks.ts";
import { toSubscribe } from "./to_subscribe.ts";

/** The subscriptions of one handle. */
export class Subscriptions {
  readonly #calls: Calls;
  /** By filter; `null`: it was ended. */
  readonly #told = new Map<string, SubscribeSettings | null>();

  constructor(calls: Calls) {
    this.#calls = calls;
  }

  /**
   * Subscribes.
   *
   * @returns `true`; `false` where `ifNew` is set and there was such a subscription.
   */
  async begin(filter: string, settings: SubscribeSettings): Promise<boolean> {
    try {
      await this.#calls.call(
        (request) => toSubscribe(request, USER_REF, filter, settings),
        "already_subscribed",
      );
      this.#told.set(filter, settings);
      return true;
    } catch (error) {
      if (hasCode(error, "already_subscribed")) {
        this.#told.set(filter, settings);
        if (settings.ifNew) return false;
      }
      throw error;
    }
  }

  /** Ends a subscription. */
  async end(filter: string): Promise<void> {
    this.#told.set(filter, null);
    await this.#calls.call(
      (request) => toUnsubscribe(request, filter),
      "not_subscribed",
    );
  }

  /**
   * There is another store, which may not have them.
   *
   * @param from Where they begin in it.
   * @param onFailed One could not be told.
   */
  renew(from: "epoch" | "now", onFailed: (reason: string) => void): void {
    for (const [filter, settings] of this.#told) {
      const code = settings === null ? "not_subscribed" : "already_subscribed";
      this.#calls.call(
        (request) => toRenew(request, filter, settings, from),
        code,
      ).catch((error) => {
        if (hasCode(error, code)) return;
        onFailed(`cannot tell again of "${filter}": ${error}`);
      });
    }
  }
}

/** A subscription, or its end, as it is told to another store. */
function toRenew(
  request: number,
  filter: string,
  settings: SubscribeSettings | null,
  from: "epoch" | "now",
): Message {
  if (settings === null) return toUnsubscribe(request, filter);
  const again = toSubscribe(request, USER_REF, filter, settings);
  return { ...again, from, fromValue: 0 };
}

function toUnsubscribe(request: number, filter: string): Message {
  return { type: "UNSUBSCRIBE", request, ref: USER_REF, filter };
}

function hasCode(error: unknown, code: ErrorCode): boolean {
  return error instanceof MomError && error.code === code;
}
