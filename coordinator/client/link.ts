/**
 * A client's own handle: replies come in by it, requests go out. When its user has
 * ended because the daemon was away for too long, another one takes its place.
 *
 * @module
 */

import {
  type Clock,
  type Message,
  type Mom,
  MomError,
  type Timer,
} from "../../mod.ts";
import { COORDINATOR_LIMITS } from "../limits.ts";
import { pause } from "../system.ts";

/** Between two attempts to open a handle. */
const REOPEN_MS = 250;
const RECEIVED_AT_ONCE = 1_000;
/**
 * Replies are acknowledged together: one by one each would cost the broker a commit
 * more. Those that come again after a lost connection are dropped as second ones.
 */
const ACKNOWLEDGED_AT_ONCE = 256;
const ACKNOWLEDGE_MS = 1_000;

/** What a link stands on. */
export interface LinkOptions {
  /** The app's handle. */
  readonly mom: Mom;
  readonly clock: Clock;
  /** Where replies come. */
  readonly topic: string;
  /** Takes what came. */
  onValue(value: unknown): void;
  /** Replies may have been lost: there was no handle for some time. */
  onReopened(): void;
  /** There will be no more. */
  onFailed(error: unknown): void;
}

/** A handle that is always there, or comes back. */
export class Link {
  readonly #options: LinkOptions;
  #handle: Mom;
  #isClosed = false;
  #received: Message[] = [];
  #acknowledging: Timer | null = null;
  readonly #living: Promise<void>;

  private constructor(options: LinkOptions, handle: Mom) {
    this.#options = options;
    this.#handle = handle;
    this.#living = this.#live();
  }

  /** Opens a handle and subscribes to the replies. */
  static async open(options: LinkOptions): Promise<Link> {
    return new Link(options, await openHandle(options));
  }

  /** Publishes to a log. Resolves when the broker has it. */
  async publish(topic: string, record: unknown): Promise<void> {
    const { expiresMs } = COORDINATOR_LIMITS;
    await this.#handle.publish(topic, record, { level: "broker", expiresMs });
  }

  /** Ends it. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#acknowledge();
    await this.#handle.close();
    await this.#living;
  }

  async #live(): Promise<void> {
    while (!this.#isClosed) {
      try {
        await this.#receive();
      } catch (error) {
        if (this.#isClosed || isPassing(error)) continue;
        await this.#reopen();
      }
    }
  }

  async #receive(): Promise<void> {
    const max = RECEIVED_AT_ONCE;
    const messages = await this.#handle.receiveMany({ max });
    for (const message of messages) {
      this.#received.push(message);
      this.#options.onValue(message.value);
    }
    if (this.#received.length >= ACKNOWLEDGED_AT_ONCE) this.#acknowledge();
    else if (!this.#isClosed) {
      this.#acknowledging ??= this.#options.clock.setTimer(
        ACKNOWLEDGE_MS,
        () => this.#acknowledge(),
      );
    }
  }

  #acknowledge(): void {
    this.#acknowledging?.cancel();
    this.#acknowledging = null;
    // Whatever becomes of it: at worst they come again.
    for (const message of this.#received) message.ack().catch(() => {});
    this.#received = [];
  }

  async #reopen(): Promise<void> {
    const { clock } = this.#options;
    this.#acknowledge();
    await this.#handle.close();
    while (!this.#isClosed) {
      try {
        const handle = await openHandle(this.#options);
        if (this.#isClosed) return await handle.close();
        this.#handle = handle;
        return this.#options.onReopened();
      } catch (error) {
        if (error instanceof MomError && error.code === "closed") {
          this.#isClosed = true;
          return this.#options.onFailed(error);
        }
        await pause(clock, REOPEN_MS);
      }
    }
  }
}

async function openHandle({ mom, topic }: LinkOptions): Promise<Mom> {
  const handle = await mom.another();
  try {
    await handle.subscribe(topic, { ack: "manual" });
    return handle;
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** Whether the handle goes on by itself. */
function isPassing(error: unknown): boolean {
  return error instanceof MomError && error.code === "daemon_unavailable";
}
