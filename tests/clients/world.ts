/**
 * Where a behaviour is tried: a broker, two daemons, and a client of one language
 * at each, the one that is looked at (the subject) and the one it deals with.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { Receipt } from "../../mod.ts";
import { Cluster } from "../process/cluster.ts";
import { DriverProcess, type Language, ToldError } from "./driver_process.ts";
import type { Python } from "./python.ts";

/** How a message is told; values as in `told_values.ts`. */
export interface ToldMessage {
  readonly key: number;
  readonly topic: string;
  readonly sender: string;
  readonly offset: number;
  readonly time: number;
  readonly headers: readonly (readonly [string, unknown])[];
  readonly value: unknown;
  readonly redelivered: boolean;
}

type Options = Record<string, unknown>;

let handles = 0;

/** A handle in a driver. Values are told as in `told_values.ts`. */
export class Client {
  /** `name@machine`. */
  readonly user: string;
  readonly #driver: DriverProcess;
  readonly #handle: number;

  private constructor(driver: DriverProcess, handle: number, user: string) {
    this.#driver = driver;
    this.#handle = handle;
    this.user = user;
  }

  /** Opens one. */
  static async connect(
    driver: DriverProcess,
    options: Options,
  ): Promise<Client> {
    const handle = ++handles;
    const user = await driver.ask("connect", { handle, ...options });
    return new Client(driver, handle, user as string);
  }

  async publish(
    topic: string,
    value: unknown,
    options: Options = {},
  ): Promise<Receipt> {
    return await this.#ask("publish", { topic, value, ...options }) as Receipt;
  }

  async publishMany(
    topic: string,
    values: unknown,
    options: Options = {},
  ): Promise<Receipt[]> {
    const asked = { topic, values, ...options };
    return await this.#ask("publishMany", asked) as Receipt[];
  }

  async subscribe(filter: string, options: Options = {}): Promise<boolean> {
    return await this.#ask("subscribe", { filter, ...options }) as boolean;
  }

  async unsubscribe(filter: string): Promise<void> {
    await this.#ask("unsubscribe", { filter });
  }

  async receive(timeoutMs?: number): Promise<ToldMessage | null> {
    const limit = timeoutMs === undefined ? {} : { timeoutMs };
    return await this.#ask("receive", limit) as ToldMessage | null;
  }

  /** The next `count` messages; fails when they do not come. */
  async take(count: number): Promise<ToldMessage[]> {
    const taken: ToldMessage[] = [];
    while (taken.length < count) {
      const max = count - taken.length;
      const more = await this.#ask("receiveMany", { max, timeoutMs: 10_000 });
      const messages = more as ToldMessage[];
      assert.ok(messages.length > 0, `${taken.length} of ${count} came`);
      taken.push(...messages);
    }
    return taken;
  }

  /** The values of the next `count` messages. */
  async takeValues(count: number): Promise<unknown[]> {
    return (await this.take(count)).map(({ value }) => value);
  }

  /** Nothing waits and nothing comes. */
  async takesNothing(): Promise<void> {
    assert.deepEqual(await this.receive(100), null);
  }

  async ack(message: ToldMessage): Promise<void> {
    await this.#ask("ack", { key: message.key });
  }

  async close(): Promise<void> {
    await this.#ask("close", {});
  }

  async destroy(): Promise<void> {
    await this.#ask("destroy", {});
  }

  async #ask(op: string, fields: Options): Promise<unknown> {
    return await this.#driver.ask(op, { handle: this.#handle, ...fields });
  }
}

/** Asserts that a call fails with a code. */
export async function failsWith(
  code: string,
  promise: Promise<unknown>,
): Promise<void> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof ToldError && error.code === code) return;
    throw error;
  }
  assert.fail(`Expected ${code}`);
}

/** Options of {@linkcode World.start}. */
export interface WorldOptions {
  readonly subject: Language;
  readonly partner: Language;
  readonly python: Python | null;
}

/** The system, and both clients. */
export class World implements AsyncDisposable {
  readonly cluster: Cluster;
  readonly #options: WorldOptions;
  #subject: DriverProcess;
  readonly #partner: DriverProcess;
  /** Names of one behaviour are not those of another. */
  #prefix = "";

  private constructor(cluster: Cluster, options: WorldOptions) {
    this.cluster = cluster;
    this.#options = options;
    const { subject, partner, python } = options;
    this.#subject = new DriverProcess(subject, python, cluster.env);
    this.#partner = new DriverProcess(partner, python, cluster.env);
  }

  static async start(options: WorldOptions): Promise<World> {
    const machines = ["north", "south"];
    return new World(await Cluster.start({ machines }), options);
  }

  /** A behaviour begins. */
  begin(prefix: string): void {
    this.#prefix = prefix;
  }

  /** A topic, filter or name of this behaviour. */
  name(text: string): string {
    return `${this.#prefix}-${text}`;
  }

  /** A handle of the subject: at the daemon in the north unless it is told. */
  async subject(name?: string, options: Options = {}): Promise<Client> {
    return await Client.connect(this.#subject, {
      daemon: this.cluster.daemonAddress("north"),
      ...this.#named(name),
      ...options,
    });
  }

  /** A handle of the partner, at the daemon in the south. */
  async partner(name?: string): Promise<Client> {
    return await Client.connect(this.#partner, {
      daemon: this.cluster.daemonAddress("south"),
      ...this.#named(name),
    });
  }

  /** SIGKILL of the subject's process; another one takes its place. */
  async killSubject(): Promise<void> {
    await this.#subject.kill();
    const { subject, python } = this.#options;
    this.#subject = new DriverProcess(subject, python, this.cluster.env);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#subject[Symbol.asyncDispose]();
    await this.#partner[Symbol.asyncDispose]();
    await this.cluster[Symbol.asyncDispose]();
  }

  #named(name: string | undefined): { name?: string } {
    return name === undefined ? {} : { name: this.name(name) };
  }
}
