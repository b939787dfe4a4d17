/**
 * A broker's core on a real store, with connections that are mere arrays of
 * messages. Time stands still unless moved.
 *
 * @module
 */

import assert from "node:assert/strict";
import { Core } from "../../broker/core/core.ts";
import {
  RETENTION_LIMITS,
  type RetentionLimits,
} from "../../broker/core/retention.ts";
import type { Session } from "../../broker/core/session.ts";
import { silentLogger } from "../../program/log.ts";
import {
  findWrongSums,
  type StatusQuery,
  type StatusReport,
} from "../../program/status.ts";
import { systemClock, systemEntropy } from "../../protocol/clock.ts";
import { MomError } from "../../protocol/errors.ts";
import { LIMITS } from "../../protocol/limits.ts";
import type { Message, MessageNamed } from "../../protocol/messages.ts";
import { Store } from "../../storage/store.ts";
import { FaultyKv } from "../storage/_faulty_kv.ts";

/** A message of one type. */
export type Of<T extends Message["type"]> = MessageNamed<T>;

/** Options of {@linkcode World.open}. */
export interface WorldOptions {
  /** @default {":memory:"} */
  data?: string;
  retention?: Partial<RetentionLimits>;
  /** Wall time to begin with, ms. @default {now} */
  nowMs?: number;
}

/** One end of a connection to the core. */
export class Wire {
  /** What came, oldest first. */
  readonly inbox: Message[] = [];
  /** Called with each message as it comes. */
  onMessage: (message: Message) => void = () => {};
  isClosed = false;
  readonly #world: World;
  readonly #session: Session;
  /** Promises that the core gave: what follows would wait for them. */
  readonly pending = new Set<Promise<void>>();

  constructor(world: World, role: "app" | "daemon", options: WireOptions) {
    this.#world = world;
    this.#session = world.core.openSession(
      {
        role,
        machine: options.machine ?? "direct",
        remote: "test",
        credit: options.credit ?? 1 << 30,
      },
      role === "daemon" ? options.machineKey ?? new Uint8Array(16) : null,
      {
        send: (message) => this.#receive(message),
        abort: () => this.cut(),
        takesBundles: options.takesBundles,
      },
    );
  }

  get session(): Session {
    return this.#session;
  }

  /** Gives the core a message; a refusal arrives as ERROR. */
  send(message: Message): void {
    if (this.isClosed) return;
    const refuse = (error: unknown) => {
      if (!(error instanceof MomError)) throw error;
      this.#receive({
        type: "ERROR",
        request: "request" in message ? message.request : null,
        code: error.code,
        message: error.message,
        details: null,
      });
    };
    try {
      const pending = this.#world.core.take(this.#session, message);
      if (!(pending instanceof Promise)) return;
      const owned = pending.catch(refuse).finally(() =>
        this.pending.delete(owned)
      );
      this.pending.add(owned);
    } catch (error) {
      refuse(error);
    }
  }

  /** The connection is gone. */
  cut(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.#world.core.sessionLost(this.#session);
  }

  /** What came of one type. */
  all<T extends Message["type"]>(type: T): Of<T>[] {
    return this.inbox.filter((each): each is Of<T> => each.type === type);
  }

  /** The answer to a request. */
  answer(request: number): Message | undefined {
    return this.inbox.find((each) =>
      "request" in each && each.request === request
    );
  }

  /** Forgets what came. */
  clear(): void {
    this.inbox.length = 0;
  }

  #receive(message: Message): void {
    if (this.isClosed) return;
    this.inbox.push(message);
    this.onMessage(message);
  }
}

/** Options of {@linkcode World.connect}. */
export interface WireOptions {
  /** @default {"direct"} */
  machine?: string;
  machineKey?: Uint8Array;
  /** Credit of the session. @default {1 << 30} */
  credit?: number;
  /** Whether BUNDLE and DELIVER_BUNDLE were agreed. @default {as of an outlet} */
  takesBundles?: boolean;
}

/** A core on a store. */
export class World implements AsyncDisposable {
  readonly core: Core;
  readonly store: Store;
  readonly faults: FaultyKv;
  /** What the core could not go on from. */
  readonly defects: unknown[];
  /** Passing time, ms, and how far somebody set the wall clock from it. */
  readonly time: { nowMs: number; stepMs: number };

  private constructor(
    core: Core,
    store: Store,
    faults: FaultyKv,
    defects: unknown[],
    time: { nowMs: number; stepMs: number },
  ) {
    this.core = core;
    this.store = store;
    this.faults = faults;
    this.defects = defects;
    this.time = time;
  }

  /** Opens a store and loads a core from it. */
  static async open(options: WorldOptions = {}): Promise<World> {
    const faults = new FaultyKv(Infinity);
    const defects: unknown[] = [];
    const time = { nowMs: options.nowMs ?? systemClock.wallMs(), stepMs: 0 };
    let core: Core | null = null;
    const store = await Store.open({
      data: options.data ?? ":memory:",
      role: "broker",
      clock: {
        ...systemClock,
        wallMs: () => time.nowMs + time.stepMs,
        monotonicMs: () => time.nowMs,
      },
      entropy: systemEntropy,
      onFailed: () => core?.fail(),
      onSeal: () => core?.seal() ?? null,
      openKv: (path) => faults.open(path),
      limits: { reserveBytes: 0, freeBytesMin: 0 },
    });
    core = new Core({
      store,
      maxMessageBytes: LIMITS.messageBytes,
      retention: { ...RETENTION_LIMITS, ...options.retention },
      logger: silentLogger,
      onDefect: (error) => defects.push(error),
    });
    return new World(core, store, faults, defects, time);
  }

  /** An app that comes directly. */
  connect(options: WireOptions = {}): Wire {
    return new Wire(this, "app", options);
  }

  /** A daemon. */
  connectDaemon(machine: string, options: WireOptions = {}): Wire {
    return new Wire(this, "daemon", { ...options, machine });
  }

  /** Resolves when nothing is under way any more. */
  async settle(): Promise<void> {
    for (let round = 0; round < 4; round++) {
      await this.store.committed();
      await this.core.idle();
    }
    this.check();
  }

  /** Asserts what has to hold at every moment. */
  check(query: StatusQuery = {}): StatusReport {
    if (this.defects.length > 0) throw this.defects[0];
    const report = this.core.status(query);
    assert.deepEqual(findWrongSums(report), []);
    return report;
  }

  /** Ends core and store; what was accepted is on disk. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.core.stop();
    await this.store.close();
  }

  /** The disk goes away: what is not on it is lost. */
  async crash(): Promise<void> {
    this.faults.crashNow();
    this.core.fail();
    await this.core.stop();
    await this.store.close();
  }
}
