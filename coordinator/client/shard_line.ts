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

/** So many of the requests that may be open can be `wait`s: others must get through. */
const OPEN_WAITS = COORDINATOR_LIMITS.openRequests * 3 / 4;
const OPEN_OTHERS = COORDINATOR_LIMITS.openRequests - OPEN_WAITS;
/** After so long without an answer a request is sent again for the first time. */
const RESEND_MS = 1_000;
/** A wait may be in its queue for long; who takes over answers it by itself. */
const RESEND_WAIT_MS = 4_000;
/** A lease has so many renewals. */
const RENEWALS = 3;

/** One shard, as a client sees it. */
export class ShardLine implements PermitOwner {
  readonly #options: ShardLineOptions;
  /** Calls that were sent and not answered, by number. */
  readonly #sent = new Map<number, Call>();
  readonly #waiting = { waits: [] as Call[], others: [] as Call[] };
  readonly #permits = new Set<Permit>();
  #session = 0;
  #isOpen = false;
  #hello: Call | null = null;
  #upTo = 0;
  #lastSentMs = -Infinity;
  /** Something was consumed, and the shard does not know that it was heard. */
  #owesNews = false;
  #logTime: { timeMs: number; atMs: number } | null = null;
  #tick: Timer | null = null;
  /** No more calls are taken. */
  #isClosed = false;
  /** Nothing is sent any more. */
  #isOver = false;

  constructor(options: ShardLineOptions) {
    this.#options = options;
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
      this.#permits.delete(permit);
    } catch (error) {
      // Without an answer it may still be held, and then the session must live.
      if (!hasCode(error, "outcome_unknown")) this.#permits.delete(permit);
      throw error;
    }
  }

  /** A reply of this shard. */
  onReply(reply: WireReply): void {
    this.#noteTime(reply.time);
    if (reply.outcome === "ended" && reply.session === this.#session) {
      this.#loseSession();
    }
    const call = this.#sent.get(reply.request);
    if (call === undefined || call.session !== reply.session) return;
    if (reply.outcome === "late") return this.#send(call);
    this.#sent.delete(reply.request);
    this.#settle(call, reply);
    this.#sendWaiting();
  }

  /** The log's time never falls; an answer that is sent again tells an old one. */
  #noteTime(timeMs: number): void {
    const atMs = this.#options.clock.monotonicMs();
    const known = this.#logTime;
    if (known !== null && known.timeMs + (atMs - known.atMs) > timeMs) return;
    this.#logTime = { timeMs, atMs };
  }

  /** Replies may have been lost. */
  resend(): void {
    for (const call of [...this.#sent.values()]) this.#send(call);
  }

  /** Ends all calls, and tells the shard. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const isThere = this.#isOpen || this.#hello !== null;
    const error = closed();
    for (const call of this.#calls()) call.reject(error);
    for (const permit of this.#permits) permit.lose();
    this.#permits.clear();
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

  #calls(): Call[] {
    const { waits, others } = this.#waiting;
    const sent = [...this.#sent.values()];
    this.#sent.clear();
    return [...sent, ...waits.splice(0), ...others.splice(0)];
  }

  #queue(call: Call): void {
    this.#waiting[call.isWait ? "waits" : "others"].push(call);
    this.#requireSession();
    this.#sendWaiting();
    this.#keepTicking();
  }

  #sendWaiting(): void {
    if (!this.#isOpen) return;
    const { waits, others } = this.#waiting;
    let openWaits = 0;
    for (const call of this.#sent.values()) if (call.isWait) openWaits++;
    let openOthers = this.#sent.size - openWaits;
    for (; others.length > 0 && openOthers < OPEN_OTHERS; openOthers++) {
      this.#sendFirst(others);
    }
    for (; waits.length > 0 && openWaits < OPEN_WAITS; openWaits++) {
      this.#sendFirst(waits);
    }
  }

  #sendFirst(calls: Call[]): void {
    const call = calls.shift()!;
    if (!call.isOver) this.#send(call);
  }

  #send(call: Call): void {
    const { clock, nextRequest } = this.#options;
    if (call.request === 0) {
      call.request = nextRequest();
      call.session = this.#session;
      this.#sent.set(call.request, call);
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
    const open: number[] = [];
    for (const { request, session } of this.#sent.values()) {
      if (session === record.session) open.push(request);
    }
    if (record.session === this.#session) {
      this.#lastSentMs = clock.monotonicMs();
      this.#owesNews = false;
    }
    const upTo = this.#upTo;
    this.#options.publish({ v: FORMAT, client, upTo, open, ...record }).catch(
      (error) => {
        // What may get better is sent again in time.
        if (call === undefined || !isForGood(error)) return;
        this.#sent.delete(call.request);
        call.reject(error);
      },
    );
  }

  /** In the log's time; none as long as that is not known. */
  #deadlineOf({ endsAtMs, fields }: Call): number | null {
    if (this.#logTime === null || fields.op === "semaphore_cancel") return null;
    const nowMs = this.#options.clock.monotonicMs();
    const leftMs = Math.min(endsAtMs - nowMs, COORDINATOR_LIMITS.requestMs);
    return this.#logTime.timeMs + (nowMs - this.#logTime.atMs) + leftMs;
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
      const permit = this.#oldestPermit(String(name));
      permit?.settle();
      if (permit !== null) this.#permits.delete(permit);
    }
    if (!call.isWait) return call.resolve(result);
    // What a session held that has ended is not held.
    if (!this.#isCurrent(call)) return this.#again(call);
    const permit = new Permit(String(name), Number(result), this);
    if (call.fields.consume === true) {
      permit.settle();
      this.#owesNews = true;
    } else this.#permits.add(permit);
    call.resolve(permit);
  }

  #oldestPermit(name: string): Permit | null {
    for (const permit of this.#permits) {
      if (permit.name === name) return permit;
    }
    return null;
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
    return this.#isOpen && call.session === this.#session;
  }

  #loseSession(): void {
    this.#isOpen = false;
    for (const permit of [...this.#permits]) permit.lose();
    this.#permits.clear();
    for (const call of [...this.#sent.values()]) {
      if (!call.isWait) continue;
      this.#sent.delete(call.request);
      this.#again(call);
    }
  }

  #requireSession(): void {
    if (this.#isOpen && this.#isIdleTooLong()) this.#isOpen = false;
    if (this.#isOpen || this.#hello !== null || this.#isClosed) return;
    const { clock, leaseMs } = this.#options;
    this.#session++;
    const hello = this.#hello = new Call({
      clock,
      fields: { op: "hello", leaseMs },
      timeoutMs: Infinity,
      onAbandoned: () => {},
    });
    hello.result.then(() => this.#onOpen(hello), (error) => {
      this.#hello = null;
      const { waits, others } = this.#waiting;
      for (const call of [...waits.splice(0), ...others.splice(0)]) {
        call.reject(error);
      }
    });
    this.#send(hello);
  }

  #onOpen(hello: Call): void {
    this.#hello = null;
    this.#isOpen = hello.session === this.#session;
    this.#sendWaiting();
  }

  /** The shard may have forgotten it. */
  #isIdleTooLong(): boolean {
    if (this.#isActive() || this.#sent.size > 0) return false;
    const { clock, leaseMs } = this.#options;
    return clock.monotonicMs() - this.#lastSentMs > idleMs(leaseMs) / 2;
  }

  /** Whether the session has something to lose. */
  #isActive(): boolean {
    if (this.#permits.size > 0 || this.#owesNews) return true;
    return [...this.#sent.values()].some(({ isWait }) => isWait);
  }

  #onAbandoned(call: Call): void {
    if (call.request === 0 || !this.#sent.delete(call.request)) return;
    if (call.isWait && this.#isCurrent(call)) {
      const fields = { op: "semaphore_cancel", target: call.request };
      // Ends with an answer, or with the session.
      this.call(fields, Infinity).catch(() => {});
    }
    this.#sendWaiting();
  }

  #keepTicking(): void {
    if (this.#tick !== null || this.#isOver) return;
    const { clock, leaseMs } = this.#options;
    if (this.#sent.size === 0 && !this.#isActive()) return;
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
    for (const call of [...this.#sent.values()]) {
      // The answer may be long in coming, or it may be lost: less often each time.
      const firstMs = call.isWait ? RESEND_WAIT_MS : RESEND_MS;
      const patienceMs = Math.min(leaseMs, firstMs * 2 ** (call.sent - 1));
      if (nowMs - call.lastSentMs >= patienceMs) this.#send(call);
    }
    const isDue = nowMs - this.#lastSentMs >= leaseMs / RENEWALS;
    if (isDue && this.#isOpen && this.#isActive()) {
      this.#publish({ kind: "renew", session: this.#session });
    }
  }
}

/** After how long a silent session with nothing to lose is forgotten. */
export function idleMs(leaseMs: number): number {
  const { idleLeases, idleMsMin } = COORDINATOR_LIMITS;
  return Math.max(idleLeases * leaseMs, idleMsMin);
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
