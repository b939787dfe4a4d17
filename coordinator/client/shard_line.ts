/**
 * A client's side of one shard: its session, and its calls until they are answered.
 * What PROTOCOL.md says of clients is kept here.
 *
 * @module
 */

import {
  type Clock,
  type ErrorCode,
  ERRORS,
  MomError,
  type Timer,
} from "../../mod.ts";
import { COORDINATOR_LIMITS } from "../limits.ts";
import { FORMAT } from "../records.ts";
import type { WireReply } from "../replies.ts";
import { Call, type OperationFields } from "./call.ts";
import { LineCalls } from "./line_calls.ts";
import { LineSession, RENEWALS } from "./line_session.ts";
import { LogTime } from "./log_time.ts";
import { Permit, type PermitOwner } from "./permit.ts";

/** What a line stands on. */
export interface ShardLineOptions {
  readonly clock: Clock;
  readonly shard: number;
  readonly client: string;
  readonly leaseMs: number;
  /** How long giving back a permit may take. */
  readonly timeoutMs: number;
  /** Gives each request of the client a number of its own. */
  nextRequest(): number;
  /** Into the shard's log; resolves when the broker has it. */
  publish(record: unknown): Promise<void>;
}

/** What a record has of its own. */
interface OutgoingRecord {
  readonly kind: string;
  readonly session: number;
  readonly request?: number;
  readonly [field: string]: unknown;
}

/** After so long without an answer a request is sent again for the first time. */
const RESEND_MS = 1_000;
/** A wait may be in its queue for long; who takes over answers it by itself. */
const RESEND_WAIT_MS = 4_000;

/** One shard, as a client sees it. */
export class ShardLine implements PermitOwner {
  readonly #options: ShardLineOptions;
  readonly #calls = new LineCalls();
  readonly #session: LineSession;
  readonly #logTime = new LogTime();
  #hello: Call | null = null;
  #upTo = 0;
  #tick: Timer | null = null;
  /** No more calls are taken. */
  #isClosed = false;
  /** Nothing is sent any more. */
  #isOver = false;

  constructor(options: ShardLineOptions) {
    this.#options = options;
    this.#session = new LineSession(options.leaseMs);
  }

  /** Makes a call; its result is what `done` says. */
  call(
    fields: OperationFields,
    timeoutMs: number,
    signal?: AbortSignal,
  ): Promise<unknown> {
    if (this.#isClosed) return Promise.reject(closed());
    const { clock } = this.#options;
    const call = new Call({
      clock,
      fields,
      timeoutMs,
      signal,
      onAbandoned: (call) => this.#onAbandoned(call),
    });
    this.#queue(call);
    return call.result;
  }

  async release(permit: Permit): Promise<void> {
    const { name, token } = permit;
    const fields = { op: "semaphore_release", name, token };
    try {
      await this.call(fields, this.#options.timeoutMs);
      this.#session.letGo(permit);
    } catch (error) {
      // Without an answer it may still be held, and then the session must live.
      if (!hasCode(error, "outcome_unknown")) this.#session.letGo(permit);
      throw error;
    }
  }

  /** A reply of this shard. */
  onReply(reply: WireReply): void {
    const { clock } = this.#options;
    this.#logTime.note(reply.time, clock.monotonicMs());
    if (reply.outcome === "ended" && reply.session === this.#session.number) {
      this.#loseSession();
    }
    const call = this.#calls.sentOf(reply.request);
    if (call === undefined || call.session !== reply.session) return;
    if (reply.outcome === "late") return this.#send(call);
    this.#calls.removeSent(reply.request);
    this.#settle(call, reply);
    this.#sendReady();
  }

  /** Replies may have been lost. */
  resend(): void {
    for (const call of this.#calls.sent()) this.#send(call);
  }

  /** Ends all calls, and tells the shard. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const isThere = this.#session.isOpen || this.#hello !== null;
    const error = closed();
    for (const call of this.#calls.takeAll()) call.reject(error);
    this.#session.losePermits();
    if (isThere) await this.#leave();
    this.#isOver = true;
    this.#tick?.cancel();
  }

  async #leave(): Promise<void> {
    const { clock } = this.#options;
    const call = new Call({
      clock,
      fields: { op: "leave" },
      timeoutMs: COORDINATOR_LIMITS.closeMs,
      onAbandoned: () => {},
    });
    this.#send(call);
    // Without an answer the session ends with its lease.
    await call.result.catch(() => {});
  }

  #queue(call: Call): void {
    this.#calls.queue(call);
    this.#requireSession();
    this.#sendReady();
    this.#keepTicking();
  }

  #sendReady(): void {
    if (!this.#session.isOpen) return;
    for (const call of this.#calls.takeReady()) this.#send(call);
  }

  #send(call: Call): void {
    const { clock, nextRequest } = this.#options;
    if (call.request === 0) {
      call.request = nextRequest();
      call.session = this.#session.number;
      this.#calls.addSent(call);
    }
    call.sent++;
    call.lastSentMs = clock.monotonicMs();
    const { request, session, fields } = call;
    const deadline = this.#deadlineOf(call);
    this.#publish({
      kind: "request",
      session,
      request,
      ...deadline !== null && { deadline },
      ...fields,
    }, call);
    this.#keepTicking();
  }

  #publish(record: OutgoingRecord, call?: Call): void {
    const { clock, client } = this.#options;
    this.#upTo = Math.max(this.#upTo, record.request ?? 0);
    const open = this.#calls.openRequests(record.session);
    if (record.session === this.#session.number) {
      this.#session.told(clock.monotonicMs());
    }
    const upTo = this.#upTo;
    this.#options.publish({ v: FORMAT, client, upTo, open, ...record }).catch(
      (error) => {
        // What may get better is sent again in time.
        if (call === undefined || !isForGood(error)) return;
        this.#calls.removeSent(call.request);
        call.reject(error);
      },
    );
  }

  /** In the log's time; none as long as that is not known. */
  #deadlineOf({ endsAtMs, fields }: Call): number | null {
    const nowMs = this.#options.clock.monotonicMs();
    const timeMs = this.#logTime.at(nowMs);
    if (timeMs === null || fields.op === "semaphore_cancel") return null;
    return timeMs + Math.min(endsAtMs - nowMs, COORDINATOR_LIMITS.requestMs);
  }

  #settle(call: Call, reply: WireReply): void {
    switch (reply.outcome) {
      case "done":
        return this.#onDone(call, reply.result);
      case "failed": {
        const { code, message } = reply;
        const known = Object.hasOwn(ERRORS, code) ? code : "internal";
        return call.reject(new MomError(known as ErrorCode, message));
      }
      case "ended":
        return this.#again(call);
      case "late":
        return;
      default:
        return reply satisfies never;
    }
  }

  #onDone(call: Call, result: unknown): void {
    const { op, name } = call.fields;
    if (op === "semaphore_signal") {
      // The shard has taken it as that permit's end.
      const permit = this.#session.oldestPermit(String(name));
      permit?.settle();
      if (permit !== null) this.#session.letGo(permit);
    }
    if (!call.isWait) return call.resolve(result);
    // What a session held that has ended is not held.
    if (!this.#isCurrent(call)) return this.#again(call);
    const permit = new Permit(String(name), Number(result), this);
    if (call.fields.consume === true) {
      permit.settle();
      this.#session.oweNews();
    } else this.#session.hold(permit);
    call.resolve(permit);
  }

  /** Of a session that has ended: once more, unless that may be once too often. */
  #again(call: Call): void {
    const { op } = call.fields;
    if (op === "leave") return call.resolve(null);
    if (op === "semaphore_cancel") return call.resolve(null);
    if (op === "hello") {
      this.#hello = null;
      return this.#requireSession();
    }
    if (op === "semaphore_release") return call.reject(leaseLost());
    if (!call.canBegin) {
      return call.reject(
        new MomError(
          "outcome_unknown",
          `Cannot tell what became of ${op}: the session ended meanwhile`,
        ),
      );
    }
    call.request = 0;
    call.sent = 0;
    if (!call.isOver) this.#queue(call);
  }

  #isCurrent(call: Call): boolean {
    const { isOpen, number } = this.#session;
    return isOpen && call.session === number;
  }

  #loseSession(): void {
    this.#session.isOpen = false;
    this.#session.losePermits();
    for (const call of this.#calls.sent()) {
      if (!call.isWait) continue;
      this.#calls.removeSent(call.request);
      this.#again(call);
    }
  }

  #requireSession(): void {
    const session = this.#session;
    if (session.isOpen && this.#isIdleTooLong()) session.isOpen = false;
    if (session.isOpen || this.#hello !== null || this.#isClosed) return;
    const { clock, leaseMs } = this.#options;
    session.number++;
    const hello = this.#hello = new Call({
      clock,
      fields: { op: "hello", leaseMs },
      timeoutMs: Infinity,
      onAbandoned: () => {},
    });
    hello.result.then(() => this.#onOpen(hello), (error) => {
      this.#hello = null;
      for (const call of this.#calls.takeQueued()) call.reject(error);
    });
    this.#send(hello);
  }

  #onOpen(hello: Call): void {
    this.#hello = null;
    this.#session.isOpen = hello.session === this.#session.number;
    this.#sendReady();
  }

  /** The shard may have forgotten the session. */
  #isIdleTooLong(): boolean {
    if (this.#isActive() || this.#calls.sentCount > 0) return false;
    return this.#session.mayBeForgotten(this.#options.clock.monotonicMs());
  }

  /** Whether the session has something to lose. */
  #isActive(): boolean {
    return this.#session.holds || this.#calls.hasSentWait;
  }

  #onAbandoned(call: Call): void {
    if (call.request === 0) return this.#calls.unqueue(call);
    if (!this.#calls.removeSent(call.request)) return;
    if (call.isWait && this.#isCurrent(call)) {
      const fields = { op: "semaphore_cancel", target: call.request };
      // Ends with an answer, or with the session.
      this.call(fields, Infinity).catch(() => {});
    }
    this.#sendReady();
  }

  #keepTicking(): void {
    if (this.#tick !== null || this.#isOver) return;
    const { clock, leaseMs } = this.#options;
    if (this.#calls.sentCount === 0 && !this.#isActive()) return;
    const everyMs = Math.min(leaseMs / (2 * RENEWALS), 500);
    this.#tick = clock.setTimer(everyMs, () => {
      this.#tick = null;
      this.#onTick();
      this.#keepTicking();
    });
  }

  #onTick(): void {
    const { clock, leaseMs } = this.#options;
    const nowMs = clock.monotonicMs();
    for (const call of this.#calls.sent()) {
      // The answer may be long in coming, or it may be lost: less often each time.
      const firstMs = call.isWait ? RESEND_WAIT_MS : RESEND_MS;
      const patienceMs = Math.min(leaseMs, firstMs * 2 ** (call.sent - 1));
      if (nowMs - call.lastSentMs >= patienceMs) this.#send(call);
    }
    const session = this.#session;
    if (!session.isOpen || !session.isRenewalDue(nowMs)) return;
    if (this.#isActive()) {
      this.#publish({ kind: "renew", session: session.number });
    }
  }
}

function hasCode(error: unknown, code: ErrorCode): boolean {
  return error instanceof MomError && error.code === code;
}

function leaseLost(): MomError {
  return new MomError(
    "lease_lost",
    "Cannot release a permit: its client was not heard of for its lease, " +
      "and the permit was given back",
  );
}

function closed(): MomError {
  return new MomError("closed", "Cannot use the coordinators: it is closed");
}

/** Whether sending the same again cannot go better. */
function isForGood(error: unknown): boolean {
  if (!(error instanceof MomError)) return true;
  return !error.retriable &&
    !["outcome_unknown", "user_expired", "closed"].includes(error.code);
}
