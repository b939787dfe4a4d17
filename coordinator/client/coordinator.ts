/**
 * `Coordinator`: an app's way to the semaphores and values that it shares with
 * others.
 *
 * @module
 */

import {
  type Clock,
  type Mom,
  MomError,
  type StandardSchema,
} from "../../mod.ts";
import { COORDINATOR_LIMITS } from "../limits.ts";
import { utf8Bytes } from "../records.ts";
import { readReply } from "../replies.ts";
import { pause, systemClock, systemEntropy } from "../system.ts";
import {
  canonicalName,
  CLIENT_ID_BYTES,
  shardOf,
  TopicNames,
} from "../topics.ts";
import type { OperationFields } from "./call.ts";
import type { Caller } from "./caller.ts";
import { Link } from "./link.ts";
import {
  type CoordinatorOptions,
  type CoordinatorSettings,
  readCoordinatorOptions,
} from "./options.ts";
import { Semaphore } from "./semaphore.ts";
import { ShardLine } from "./shard_line.ts";
import { SharedValue } from "./shared_value.ts";

/** Only this module makes clients. */
const MAKE = Symbol("make");
/** Between two attempts to get a handle. */
const RETRY_MS = 200;

/**
 * A client of the coordinators. It speaks over a mom handle of its own beside the
 * app's, takes nothing that is for the app, and ends on its own. Several in one
 * process are several clients.
 *
 * While coordinators die and come back its calls wait; none is executed twice. A
 * client that is not heard of for its lease has lost its permits: they go to others.
 *
 * @example
 * ```ts ignore
 * await using mom = await Mom.connect({ name: "ana" });
 * await using coordinator = await Coordinator.connect(mom, { of: 3 });
 * await using permit = await coordinator.semaphore("door").wait();
 * ```
 */
export class Coordinator implements AsyncDisposable {
  readonly #settings: CoordinatorSettings;
  readonly #clock: Clock;
  readonly #client: string;
  readonly #topics: TopicNames;
  readonly #lines = new Map<number, ShardLine>();
  readonly #caller: Caller;
  #link: Link | null = null;
  #requests = 0;
  #refusal: unknown = null;
  #closing: Promise<void> | null = null;

  /** Use {@linkcode Coordinator.connect}. */
  constructor(make: symbol, settings: CoordinatorSettings) {
    if (make !== MAKE) {
      throw new TypeError(
        "Cannot construct Coordinator: use Coordinator.connect()",
      );
    }
    this.#settings = settings;
    this.#clock = settings.clock ?? systemClock;
    const entropy = settings.entropy ?? systemEntropy;
    this.#client = entropy.bytes(CLIENT_ID_BYTES).toHex();
    this.#topics = new TopicNames(settings.of, settings.group);
    this.#caller = {
      call: (fields, timeoutMs, signal) =>
        this.#call(fields, timeoutMs, signal),
    };
  }

  /**
   * Opens a client. No coordinator need be there yet: operations wait for them.
   *
   * @param mom The app's handle: the client connects where that is connected.
   * @param options `of`: how many coordinators there are.
   * @throws {MomError} `option_invalid`; `closed` if `mom` is;
   *   `broker_unavailable`, `daemon_unavailable` if they are away for longer than
   *   `timeoutMs`.
   * @throws {TypeError} If an option is of the wrong type.
   */
  static async connect(
    mom: Mom,
    options: CoordinatorOptions,
  ): Promise<Coordinator> {
    const settings = readCoordinatorOptions(options);
    const coordinator = new Coordinator(MAKE, settings);
    await coordinator.#open(mom);
    return coordinator;
  }

  /** The client's id, as coordinators and logs know it. */
  get client(): string {
    return this.#client;
  }

  /**
   * A semaphore by its name, which has at most 200 bytes; case does not count.
   *
   * @throws {MomError} `name_invalid`.
   */
  semaphore(name: string): Semaphore {
    return new Semaphore(checkedName("semaphore", name), this.#caller);
  }

  /**
   * A value by its name, which has at most 200 bytes; case does not count.
   *
   * @param schema Checks what is written and what is read: any Standard Schema.
   * @throws {MomError} `name_invalid`.
   */
  value<T = unknown>(name: string, schema?: StandardSchema<T>): SharedValue<T> {
    return new SharedValue(checkedName("value", name), this.#caller, schema);
  }

  /**
   * Leaves: permits are given back, calls that wait reject with `closed`. May be
   * called twice.
   */
  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  /** The same as {@linkcode Coordinator.close}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #open(mom: Mom): Promise<void> {
    const endMs = this.#clock.monotonicMs() + this.#settings.timeoutMs;
    while (true) {
      try {
        this.#link = await Link.open({
          mom,
          clock: this.#clock,
          topic: this.#topics.reply(this.#client),
          onValue: (value) => this.#onValue(value),
          onReopened: () => {
            for (const line of this.#lines.values()) line.resend();
          },
          onFailed: (error) => {
            this.#refusal ??= error;
            this.close();
          },
        });
        return;
      } catch (error) {
        const mayPass = error instanceof MomError && error.retriable;
        if (!mayPass || this.#clock.monotonicMs() > endMs) throw error;
        await pause(this.#clock, RETRY_MS);
      }
    }
  }

  async #close(): Promise<void> {
    const lines = [...this.#lines.values()];
    this.#refusal ??= new MomError(
      "closed",
      "Cannot use the coordinators: the client is closed",
    );
    await Promise.all(lines.map((line) => line.close()));
    await this.#link?.close();
  }

  async #call(
    fields: OperationFields & { readonly name: string },
    timeoutMs = this.#settings.timeoutMs,
    signal?: AbortSignal,
  ): Promise<unknown> {
    if (this.#refusal !== null) throw this.#refusal;
    signal?.throwIfAborted();
    const name = canonicalName(fields.name);
    const line = this.#lineOf(shardOf(name, this.#settings.of));
    return await line.call({ ...fields, name }, timeoutMs, signal);
  }

  #lineOf(shard: number): ShardLine {
    let line = this.#lines.get(shard);
    if (line === undefined) {
      const { leaseMs, timeoutMs } = this.#settings;
      line = new ShardLine({
        clock: this.#clock,
        shard,
        client: this.#client,
        leaseMs,
        timeoutMs,
        nextRequest: () => ++this.#requests,
        publish: (record) => this.#publish(shard, record),
      });
      this.#lines.set(shard, line);
    }
    return line;
  }

  async #publish(shard: number, record: unknown): Promise<void> {
    await this.#link?.publish(this.#topics.log(shard), record);
  }

  #onValue(value: unknown): void {
    const reply = readReply(value);
    // Anybody can publish to the topic: what is no reply is none.
    if (reply !== null) this.#lines.get(reply.shard)?.onReply(reply);
  }
}

function checkedName(kind: string, name: string): string {
  if (typeof name !== "string") {
    throw new TypeError(`Cannot use ${kind} name: expected a string`);
  }
  const bytes = utf8Bytes(canonicalName(name));
  const { nameBytes } = COORDINATOR_LIMITS;
  if (name !== "" && bytes <= nameBytes && name.isWellFormed()) return name;
  throw new MomError(
    "name_invalid",
    `Cannot use ${kind} name ${JSON.stringify(name)}: expected 1 to ` +
      `${nameBytes} bytes of well-formed text, got ${bytes}`,
  );
}
