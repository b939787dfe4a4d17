/**
 * Where a behaviour is tried: a broker, two daemons, and a client of one language
 * at each, the one that is looked at (the subject) and the one it deals with.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { Receipt } from "../../mod.ts";
import { Cluster } from "../process/cluster.ts";
import { taskCommand } from "../process/commands.ts";
import { Slot } from "../process/slot.ts";
import { DriverProcess, type Language, ToldError } from "./driver_process.ts";
import type { Python } from "./python.ts";

/** How a message is told; values as in `told_values.ts`. */
export interface ToldMessage {
  readonly key: number;
  readonly topic: string;
  readonly sender: string;
  readonly offset: number;
  readonly time: number;
  readonly epoch: number;
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

  /** A client of the coordinators, beside this handle. */
  async coordinate(leaseMs = LONG_LEASE_MS): Promise<CoordinatorClient> {
    const client = ++handles;
    await this.#ask("coordinator", { client, of: OF, leaseMs });
    return new CoordinatorClient(this.#driver, client);
  }

  async #ask(op: string, fields: Options): Promise<unknown> {
    return await this.#driver.ask(op, { handle: this.#handle, ...fields });
  }
}

/** How many coordinators there are. */
const OF = 2;
/** Of coordinators. */
const LEASE_MS = 600;
/** Of clients: who is not killed must not lose its place on a busy machine. */
const LONG_LEASE_MS = 5_000;

/** A permit that was granted in a driver. */
export interface ToldPermit {
  readonly key: number;
  readonly token: number;
}

/** A coordinators' client in a driver. */
export class CoordinatorClient {
  readonly #driver: DriverProcess;
  readonly #handle: number;

  /** Use {@linkcode Client.coordinate}. */
  constructor(driver: DriverProcess, handle: number) {
    this.#driver = driver;
    this.#handle = handle;
  }

  /** Calls a method of a semaphore; `wait` is one of its own. */
  async semaphore(
    name: string,
    method: "init" | "signal" | "destroy",
    ...values: unknown[]
  ): Promise<unknown> {
    return await this.#resource({ kind: "semaphore", name, method, values });
  }

  /** Waits for a permit. */
  async wait(name: string, options: Options = {}): Promise<ToldPermit> {
    const fields = { kind: "semaphore", name, method: "wait", values: [] };
    return await this.#resource({ ...fields, ...options }) as ToldPermit;
  }

  async release(permit: ToldPermit): Promise<void> {
    await this.#ask("release", { key: permit.key });
  }

  /** Calls a method of a value. */
  async value(
    name: string,
    method: "init" | "read" | "write" | "compareAndSet" | "destroy",
    ...values: unknown[]
  ): Promise<unknown> {
    return await this.#resource({ kind: "value", name, method, values });
  }

  async close(): Promise<void> {
    await this.#ask("close", {});
  }

  async #resource(fields: Options): Promise<unknown> {
    return await this.#ask("resource", fields);
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

/** Who is looked at, and whom it deals with. */
export interface Cast {
  readonly subject: Language;
  readonly partner: Language;
}

/** The system, and the clients. */
export class World implements AsyncDisposable {
  readonly cluster: Cluster;
  readonly #python: Python | null;
  readonly #drivers = new Map<string, DriverProcess>();
  readonly #coordinators: Slot[] = [];
  #cast: Cast = { subject: "TypeScript", partner: "TypeScript" };
  /** Names of one behaviour are not those of another. */
  #prefix = "";
  /** How many casts there were before this one. */
  round = 0;

  private constructor(cluster: Cluster, python: Python | null) {
    this.cluster = cluster;
    this.#python = python;
  }

  /** Starts the system. */
  static async start(python: Python | null): Promise<World> {
    const machines = ["north", "south"];
    return new World(await Cluster.start({ machines }), python);
  }

  /** A behaviour begins. */
  begin(cast: Cast, prefix: string): void {
    this.#cast = cast;
    this.#prefix = `${cast.subject}-${prefix}`;
  }

  /** The coordinators; the first call starts them. */
  async coordinators(): Promise<readonly Slot[]> {
    if (this.#coordinators.length > 0) return this.#coordinators;
    const machines = ["north", "south"];
    this.#coordinators.push(...machines.map((machine, index) => {
      const args = ["--id", `${index + 1}`, "--of", `${OF}`];
      args.push("--lease-ms", `${LEASE_MS}`);
      args.push("--daemon", this.cluster.daemonAddress(machine));
      return new Slot({
        name: `coordinator ${index + 1}`,
        command: taskCommand("coordinator"),
        args,
        env: this.cluster.env,
      });
    }));
    await Promise.all(this.#coordinators.map((slot) => slot.start()));
    return this.#coordinators;
  }

  /** A topic, filter or name of this behaviour. */
  name(text: string): string {
    return `${this.#prefix}-${text}`;
  }

  /** A handle of the subject: at the daemon in the north unless it is told. */
  async subject(name?: string, options: Options = {}): Promise<Client> {
    return await Client.connect(this.#driver("subject"), {
      daemon: this.cluster.daemonAddress("north"),
      ...this.#named(name),
      ...options,
    });
  }

  /** A handle of the partner, at the daemon in the south. */
  async partner(name?: string): Promise<Client> {
    return await Client.connect(this.#driver("partner"), {
      daemon: this.cluster.daemonAddress("south"),
      ...this.#named(name),
    });
  }

  /** SIGKILL of the subject's process; another one takes its place. */
  async killSubject(): Promise<void> {
    await this.#driver("subject").kill();
    this.#drivers.delete(this.#keyOf("subject"));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const all = [...this.#drivers.values(), ...this.#coordinators];
    await Promise.all(all.map((one) => one[Symbol.asyncDispose]()));
    await this.cluster[Symbol.asyncDispose]();
  }

  #driver(part: keyof Cast): DriverProcess {
    const key = this.#keyOf(part);
    const running = this.#drivers.get(key);
    if (running !== undefined) return running;
    const language = this.#cast[part];
    const driver = new DriverProcess(language, this.#python, this.cluster.env);
    this.#drivers.set(key, driver);
    return driver;
  }

  /** A language has one process, unless it deals with itself. */
  #keyOf(part: keyof Cast): string {
    const { subject, partner } = this.#cast;
    return subject === partner ? part : this.#cast[part];
  }

  #named(name: string | undefined): { name?: string } {
    return name === undefined ? {} : { name: this.name(name) };
  }
}
