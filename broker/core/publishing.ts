/**
 * Publishing (PROTOCOL 8): `admission.ts` judges what comes, `accepting.ts` is the
 * way into the logs. Here it is decided what waits for what.
 *
 * ```text
 * PUBLISH ─ check ─ compare sequences ─┬─ items of up to 56 KiB ──────────┐
 *                                      └─ large record: staged, then a    ├─ commit ─ RECEIPT, deliveries
 *                                         pointer; what follows it of its ┘
 *                                         producer waits in line
 * ```
 *
 * @module
 */

import { recordEnd } from "../../protocol/batch.ts";
import { publishesOf, type Ranks, ranksOf } from "../../protocol/bundle.ts";
import { type ErrorCode, MomError } from "../../protocol/errors.ts";
import type { Bundle, Publish } from "../../protocol/messages.ts";
import { Accepting, type Rest } from "./accepting.ts";
import {
  type Additions,
  Admission,
  checkPresent,
  type Job,
  type Verdict,
} from "./admission.ts";
import type { Deliveries } from "./deliveries.ts";
import type { Producer } from "./producers.ts";
import type { Session } from "./session.ts";
import type { State } from "./state.ts";

/** A publisher is made to wait when this much is not yet on disk. */
const PRESSURE_BYTES = 8 * 1024 * 1024;
/**
 * A producer is made to wait when so much of it is, or waits behind, large records
 * that are being written: more than a daemon has under way of one app (PROTOCOL
 * 11.10), so that one app of a machine does not hold up the others on its link.
 */
const LINE_BYTES_MAX = 12 * 1024 * 1024;
/** The same of all producers: beyond that whoever has any is made to wait. */
const LINE_BYTES_OF_ALL = 64 * 1024 * 1024;
/** What a PUBLISH takes in memory beside its batch. */
const JOB_BYTES = 1024;

/** What waits behind a large record of the same producer. */
interface Line {
  readonly jobs: Waiting[];
  /** With what is being written. */
  bytes: number;
}

/** Something that waits in a line. */
interface Waiting {
  readonly bytes: number;
  /** Takes it. What it gives has to be staged. */
  take(): Rest | null;
}

/** Takes publishes. */
export class Publishing {
  readonly #state: State;
  readonly #admission: Admission;
  readonly #accepting: Accepting;
  /**
   * What waits behind a large record of the same producer, to whatever topic: a
   * producer's messages keep their order over its topics.
   */
  readonly #lines = new Map<Producer, Line>();
  readonly #staging = new Set<Promise<void>>();
  #lineBytes = 0;
  #waiters: { producer: Producer; resolve(): void }[] = [];

  constructor(state: State, deliveries: Deliveries, maxMessageBytes: number) {
    this.#state = state;
    this.#admission = new Admission(state, maxMessageBytes);
    this.#accepting = new Accepting(state, deliveries);
  }

  /**
   * Takes a PUBLISH; its RECEIPT comes when it is on disk.
   *
   * @returns A promise when the publisher has to wait before its next message.
   * @throws {MomError} `topic_invalid`, `message_too_large`, `bad_message`,
   *   `unsupported`: refused for good. `storage_full`: refused now.
   */
  publish(session: Session, message: Publish): void | Promise<void> {
    const producer = this.#producerOf(session, message.producer);
    const job = { session, message, producer };
    if (this.#lines.size > 0) {
      const line = this.#lines.get(producer);
      if (line !== undefined) {
        line.jobs.push(this.#waiting(job));
        this.#count(line, costOf(message));
        return this.#pressure(producer);
      }
    }
    const rest = this.#take(job);
    if (rest !== null) this.#openLine(rest);
    this.#state.commits.finish();
    return this.#pressure(producer);
  }

  /**
   * Takes a BUNDLE; each part is answered by itself.
   *
   * @returns A promise when the publisher has to wait before its next message.
   * @throws {MomError} `bad_message`: it contradicts itself.
   */
  publishBundle(session: Session, message: Bundle): void | Promise<void> {
    const producer = this.#producerOf(session, message.producer);
    const parts = publishesOf(message);
    const ranks = ranksOf(message.order, parts.map(({ count }) => count));
    const jobs = parts.map((part) => ({ session, message: part, producer }));
    const line = this.#lines.get(producer);
    if (line === undefined) this.#takeBundle(jobs, ranks);
    else {
      const bytes = parts.reduce((sum, part) => sum + costOf(part), 0);
      this.#count(line, bytes);
      const take = () => {
        this.#takeBundle(jobs, ranks);
        return null;
      };
      line.jobs.push({ bytes, take });
    }
    this.#state.commits.finish();
    return this.#pressure(producer);
  }

  /** Less waits for the disk than before: lets publishers go on. */
  relieve(): void {
    if (this.#waiters.length === 0) return;
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) {
      if (this.#isPressed(waiter.producer)) this.#waiters.push(waiter);
      else waiter.resolve();
    }
  }

  /** Resolves when no large record is being written. */
  async idle(): Promise<void> {
    while (this.#staging.size > 0) await Promise.all(this.#staging);
  }

  /** Lets everybody go. */
  stop(): void {
    for (const { resolve } of this.#waiters.splice(0)) resolve();
  }

  /** A promise while too much waits for the disk. */
  #pressure(producer: Producer): void | Promise<void> {
    if (!this.#isPressed(producer)) return;
    return new Promise((resolve) => this.#waiters.push({ producer, resolve }));
  }

  #isPressed(producer: Producer): boolean {
    if (this.#state.store.dirtyBytes > PRESSURE_BYTES) return true;
    if (this.#lines.size === 0) return false;
    const { bytes } = this.#lines.get(producer) ?? { bytes: 0 };
    return this.#lineBytes > LINE_BYTES_OF_ALL
      ? bytes > 0
      : bytes > LINE_BYTES_MAX;
  }

  #count(line: Line, bytes: number): void {
    line.bytes += bytes;
    this.#lineBytes += bytes;
  }

  #producerOf(session: Session, id: Uint8Array): Producer {
    const producer = session.producer(id);
    if (producer !== undefined) return producer;
    throw new MomError(
      "bad_message",
      session.role === "daemon"
        ? "Cannot publish: the producer was not introduced"
        : "Cannot publish: the producer is not the attached handle",
    );
  }

  /** Accepts and answers a job, or throws its refusal. Gives what has to be staged. */
  #take(job: Job): Rest | null {
    const { message, session } = job;
    const { kind, known, last } = this.#admission.judge(job);
    if (kind === "known") {
      this.#accepting.receipt(session, message.request, null);
      return null;
    }
    if (kind === "late") {
      this.#refuseSequence(job, last);
      return null;
    }
    const rest = this.#accepting.restOf(job, known);
    return this.#accepting.accept(rest) ? null : rest;
  }

  /** As `#take`; its refusal is told. */
  #takeOrRefuse(job: Job): Rest | null {
    try {
      return this.#take(job);
    } catch (error) {
      this.#refuse(job, error);
      return null;
    }
  }

  /** Accepts and answers the parts of a bundle (PROTOCOL 8.12). */
  #takeBundle(jobs: readonly Job[], ranks: readonly Ranks[]): void {
    const bytes = jobs.reduce((sum, job) => sum + job.message.batch.length, 0);
    const hasRoom = this.#state.store.canAppend(bytes);
    const additions = { topics: 0, sequences: 0, readers: 0, hasRoom };
    const verdicts = jobs.map((job) => this.#judgePart(job, additions));
    // One that comes too early would be overtaken by the others.
    const isLate = verdicts.some((verdict) => verdict?.kind === "late");
    const rests: Rest[] = [];
    const places: Ranks[] = [];
    for (const [i, verdict] of verdicts.entries()) {
      const job = jobs[i];
      if (verdict === null) continue;
      if (verdict.kind === "known") {
        this.#accepting.receipt(job.session, job.message.request, null);
      } else if (isLate) this.#refuseSequence(job, verdict.last);
      else {
        rests.push(this.#accepting.restOf(job, verdict.known));
        places.push(ranks[i].subarray(verdict.known));
      }
    }
    if (rests.length > 1) this.#accepting.acceptBundle(rests, places);
    else for (const rest of rests) this.#accepting.accept(rest);
  }

  /** `null`: it was refused. */
  #judgePart(job: Job, additions: Additions): Verdict | null {
    try {
      return this.#admission.judgePart(job, additions);
    } catch (error) {
      this.#refuse(job, error);
      return null;
    }
  }

  #waiting(job: Job): Waiting {
    const bytes = costOf(job.message);
    return { bytes, take: () => this.#takeOrRefuse(job) };
  }

  /** Opens a line: what follows of the same producer waits in it. */
  #openLine(rest: Rest): void {
    const { producer } = rest.job;
    const line: Line = { jobs: [], bytes: 0 };
    this.#lines.set(producer, line);
    const work = this.#serveLine(line, rest)
      .catch((error) => this.#state.onDefect(error))
      .finally(() => {
        this.#lines.delete(producer);
        this.#staging.delete(work);
        this.relieve();
      });
    this.#staging.add(work);
  }

  async #serveLine(line: Line, first: Rest): Promise<void> {
    await this.#acceptAll(line, first);
    while (true) {
      const job = line.jobs.shift();
      if (job === undefined) return;
      this.#count(line, -job.bytes);
      const rest = job.take();
      if (rest !== null) await this.#acceptAll(line, rest);
      this.#state.commits.finish();
    }
  }

  /** Accepts what is left, staging what has to be. */
  async #acceptAll(line: Line, rest: Rest): Promise<void> {
    try {
      do await this.#stage(line, rest); while (!this.#accepting.accept(rest));
    } catch (error) {
      this.#refuse(rest.job, error);
    }
    this.#state.commits.finish();
  }

  /** Writes the large record in front beside the log, then appends a pointer to it. */
  async #stage(line: Line, rest: Rest): Promise<void> {
    const { store } = this.#state;
    const body = rest.body.subarray(0, recordEnd(rest.body, 0));
    this.#count(line, body.length);
    const blob = await store.stage(body)
      .finally(() => this.#count(line, -body.length));
    try {
      checkPresent(rest.job.producer);
    } catch (error) {
      store.discardStaged(blob);
      throw error;
    }
    this.#accepting.acceptStaged(rest, body, blob);
  }

  #refuse(job: Job, error: unknown): void {
    if (!(error instanceof MomError)) throw error;
    const { session, message } = job;
    session.send(toError(message.request, error.code, error.message, null));
  }

  /** As a receipt it tells what is on disk, so it waits for the disk. */
  #refuseSequence({ session, message }: Job, last: number): void {
    const text = `Cannot publish to "${message.topic}": the last sequence is ` +
      `${last}, not ${message.previous}`;
    const details = new Map([["last", last]]);
    const answer = toError(message.request, "out_of_sequence", text, details);
    this.#state.commits.whenDone(() => session.send(answer));
  }
}

function costOf({ batch }: Publish): number {
  return batch.length + JOB_BYTES;
}

function toError(
  request: number,
  code: ErrorCode,
  message: string,
  details: Map<string, unknown> | null,
): {
  type: "ERROR";
  request: number;
  code: ErrorCode;
  message: string;
  details: Map<string, unknown> | null;
} {
  return { type: "ERROR", request, code, message, details };
}
