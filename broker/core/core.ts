/**
 * The core of the broker: decides who gets what, what is acknowledged, what is
 * kept. Events come in as method calls, effects go out through the sessions'
 * outlets, and everything durable rests on the store. It opens no socket and
 * reads no clock of its own.
 *
 * @module
 */

import type { Logger } from "../../program/log.ts";
import type { StatusQuery, StatusReport } from "../../program/status.ts";
import { MomError } from "../../protocol/errors.ts";
import { notAgreed } from "../../protocol/features.ts";
import { LIMITS } from "../../protocol/limits.ts";
import type { Ack, Attach, Message } from "../../protocol/messages.ts";
import { checkName, splitUser, userOf } from "../../protocol/names.ts";
import { Acknowledging } from "./acknowledging.ts";
import { type AbsenceLimits, Attaching } from "./attaching.ts";
import type { BrokerStore } from "./broker_store.ts";
import { Deliveries } from "./deliveries.ts";
import type { Producer } from "./producers.ts";
import { Publishing } from "./publishing.ts";
import { purge, type PurgeReport, type PurgeWish } from "./purging.ts";
import { Retention, type RetentionLimits } from "./retention.ts";
import { type Outlet, Session, type SessionOptions } from "./session.ts";
import { State } from "./state.ts";
import { reportStatus } from "./status.ts";
import { Subscribing } from "./subscribing.ts";

/** What the core stands on. */
export interface CoreOptions {
  readonly store: BrokerStore;
  readonly maxMessageBytes: number;
  readonly retention: RetentionLimits;
  readonly logger: Logger;
  /** A defect after which nothing can be trusted. */
  onDefect(error: unknown): void;
}

/** A look at the time that comes so late: this process stood still. */
const STOOD_STILL_MS = 1_000;

/** How long unnamed users last without their handle. */
const ABSENCE: AbsenceLimits = {
  directMs: LIMITS.unnamedGoneMs,
  machineMs: 7 * 24 * 60 * 60 * 1000,
};

/** The core. */
export class Core {
  readonly #state: State;
  readonly #deliveries: Deliveries;
  readonly #acknowledging: Acknowledging;
  readonly #attaching: Attaching;
  readonly #subscribing: Subscribing;
  readonly #publishing: Publishing;
  readonly #retention: Retention;
  readonly #sessions = new Set<Session>();
  readonly #startMs: number;

  /**
   * Loads what the store has.
   *
   * @throws {MomError} `data_damaged`.
   */
  constructor(options: CoreOptions) {
    this.#state = new State(options);
    this.#deliveries = new Deliveries(this.#state);
    this.#acknowledging = new Acknowledging(this.#state);
    this.#attaching = new Attaching(
      this.#state,
      this.#deliveries,
      this.#acknowledging,
    );
    this.#subscribing = new Subscribing(this.#state, this.#deliveries);
    this.#publishing = new Publishing(
      this.#state,
      this.#deliveries,
      options.maxMessageBytes,
    );
    this.#retention = new Retention(this.#state, options.retention);
    this.#startMs = this.#state.nowMs();
  }

  /** The sessions that are open. */
  get sessions(): ReadonlySet<Session> {
    return this.#sessions;
  }

  /** For the store's `onSeal`. */
  seal(): (() => void) | null {
    const done = this.#state.commits.seal();
    return () => {
      done?.();
      this.#publishing.relieve();
    };
  }

  /** The session of a daemon's machine, if there is one. */
  sessionOf(machine: string): Session | null {
    for (const session of this.#sessions) {
      if (session.role === "daemon" && session.machine === machine) {
        return session;
      }
    }
    return null;
  }

  /**
   * Opens a session.
   *
   * @param machineKey Of a daemon's data folder; a new one means that its disk is
   *   lost. `null` for apps.
   * @throws {MomError} `storage_full`: there are too many machines.
   */
  openSession(
    options: Omit<SessionOptions, "connectedMs">,
    machineKey: Uint8Array | null,
    outlet: Outlet,
  ): Session {
    if (machineKey !== null) this.#checkMachine(options.machine, machineKey);
    const connectedMs = this.#state.nowMs();
    const session = new Session({ ...options, connectedMs }, outlet);
    this.#sessions.add(session);
    return session;
  }

  /** A connection is gone. */
  sessionLost(session: Session): void {
    if (!this.#sessions.delete(session)) return;
    this.#attaching.lost(session);
  }

  /** What waited to be read by the other side has gone: deliveries go on. */
  sessionDrained(session: Session): void {
    this.#deliveries.unblockSession(session);
  }

  /** The session that has to be found dead before `message` can be taken. */
  rivalOf(session: Session, message: Attach): Session | null {
    return this.#attaching.rivalOf(session, message);
  }

  /**
   * Takes a message.
   *
   * @returns A promise when the next message has to wait.
   * @throws {MomError} The answer to the message.
   */
  take(session: Session, message: Message): void | Promise<void> {
    switch (message.type) {
      case "PUBLISH":
        return this.#publishing.publish(session, message);
      case "BUNDLE":
        if (!session.takesBundles) throw notAgreed("BUNDLE");
        return this.#publishing.publishBundle(session, message);
      case "ACK":
        return this.#acknowledge(session, message);
      case "CREDIT":
        return this.#credit(session, message.ref, message.total);
      case "ATTACH":
        return this.#attaching.attach(session, message);
      case "DETACH":
        return this.#attaching.detach(session, message.request, message.ref);
      case "DESTROY": {
        return this.#attaching.destroy(session, message);
      }
      case "SUBSCRIBE":
        return this.#subscribing.subscribe(session, message);
      case "UNSUBSCRIBE": {
        const { request, ref, filter } = message;
        return this.#subscribing.unsubscribe(session, request, ref, filter);
      }
      case "INTRODUCE":
        return this.#introduce(session, message.producer, message.user);
      case "ENDED":
        return this.#ended(session, message.request, message.producer);
      case "ERROR":
        // What a client thinks of us is told when it ends the conversation.
        return;
      default:
        throw new MomError(
          "bad_message",
          `Cannot take ${message.type}: a broker gets no such message`,
        );
    }
  }

  /**
   * Time has passed: users and messages whose time is up. Called about once a
   * second.
   *
   * @param lateMs How late the call is: for so long this process stood still, and
   *   no handle could come back.
   */
  tick(lateMs: number = 0): void {
    this.#state.store.timeline.look();
    if (lateMs >= STOOD_STILL_MS) this.#attaching.stoodStill(lateMs);
    this.#attaching.endAbsent(ABSENCE);
    this.#retention.tick();
  }

  /** Called about once an hour. */
  tickSlowly(): void {
    const present = new Set<string>();
    for (const session of this.#sessions) {
      for (const { id } of session.producers) present.add(id.toHex());
    }
    this.#retention.forgetProducers((id) => present.has(id));
  }

  /** How many users there are. */
  get userCount(): number {
    return this.#state.users.size;
  }

  /** The name of the topic whose log has that number; `null` if there is none. */
  topicOfLog(log: number): string | null {
    return this.#state.topics.ofLog(log)?.name ?? null;
  }

  /**
   * Removes stored messages.
   *
   * @throws {MomError} `option_invalid`.
   */
  purge(wish: PurgeWish): PurgeReport {
    return purge(this.#state, wish);
  }

  /** The report. */
  status(query: StatusQuery): StatusReport {
    const uptimeMs = this.#state.nowMs() - this.#startMs;
    return reportStatus(this.#state, this.#sessions, query, uptimeMs);
  }

  /** The store failed: nothing is true any more, nobody gets another answer. */
  fail(): void {
    this.#state.commits.end();
    this.#deliveries.stop();
    this.#publishing.stop();
  }

  /** Resolves when what was accepted is in the store's hands and no read is under way. */
  async idle(): Promise<void> {
    await this.#publishing.idle();
    await this.#deliveries.idle();
  }

  /** Ends all background work. */
  async stop(): Promise<void> {
    this.#deliveries.stop();
    this.#publishing.stop();
    await this.idle();
  }

  #checkMachine(machine: string, machineKey: Uint8Array): void {
    if (this.#state.machines.check(machine, machineKey) === "changed") {
      const messages = this.#acknowledging.loseMachine(machine);
      this.#state.logger.warn("machine_lost", { machine, messages });
    }
    this.#state.commits.finish();
  }

  #acknowledge(session: Session, message: Ack): void {
    const flow = session.flows.get(message.ref);
    // It was on its way when the flow ended; the next ATTACH tells it again.
    if (flow === undefined) return;
    this.#acknowledging.acknowledge(flow, message.number, message.outcomes);
    const { commits } = this.#state;
    if (message.awaited === 1) commits.finish();
    else commits.finishSoon();
  }

  #credit(session: Session, ref: number | null, total: number): void {
    if (ref === null) return this.#deliveries.grantSession(session, total);
    const flow = session.flows.get(ref);
    if (flow !== undefined) this.#deliveries.grant(flow, total);
  }

  #introduce(session: Session, id: Uint8Array, user: string): void {
    if (session.role !== "daemon") {
      throw new MomError("bad_message", "Cannot introduce: this is no daemon");
    }
    const name = user.includes("@") ? ownName(session, user) : user;
    checkName("user", name);
    const size = session.producerCount;
    const isNew = session.producer(id) === undefined;
    if (isNew && size >= LIMITS.producersPerLink) {
      throw new MomError(
        "storage_full",
        `Cannot introduce another producer: ${size} are, which is the most`,
      );
    }
    const sender = userOf(name, session.machine);
    const stampMs = this.#state.stampMs();
    const known = this.#state.producers.get(id);
    if (known !== undefined) checkOwner(session, known);
    else this.#state.producers.checkRoom(session.machine);
    const producer = this.#state.producers.introduce(id, sender, stampMs);
    session.admit(producer);
    this.#state.commits.finish();
  }

  #ended(session: Session, request: number, id: Uint8Array): void {
    if (session.role !== "daemon") {
      throw new MomError(
        "bad_message",
        "Cannot end a producer: an app's ends with DETACH",
      );
    }
    const producer = session.producer(id) ?? this.#state.producers.get(id);
    if (producer !== undefined) {
      checkOwner(session, producer);
      this.#state.producers.forget(producer);
    }
    session.dismiss(id);
    this.#state.commits.whenDone(() => session.send({ type: "OK", request }));
    this.#state.commits.finish();
  }
}

/** Whose producer it is may not be told by another machine. */
function checkOwner(session: Session, producer: Producer): void {
  const { machine } = splitUser(producer.sender);
  if (machine === session.machine) return;
  throw new MomError(
    "bad_message",
    `Cannot take the message: the producer belongs to machine "${machine}"`,
  );
}

function ownName(session: Session, user: string): string {
  const { name, machine } = splitUser(user);
  if (machine === session.machine) return name;
  throw new MomError(
    "bad_message",
    `Cannot introduce a producer of "${user}": the machine is "${session.machine}"`,
  );
}
