/**
 * The state of one shard: what all its replicas have alike after the same record.
 * Nothing is changed but through the methods here, which keep the count of what
 * a snapshot will take.
 *
 * @module
 */

import { utf8Bytes } from "../records.ts";
import type { Outcome } from "../replies.ts";
import { sizeOf } from "./value.ts";

/** Who stands in a semaphore's queue. */
export interface Waiter {
  readonly client: string;
  /** The number of its `wait`. */
  readonly request: number;
  /** Whether it keeps no permit when it is let in. */
  readonly consume: boolean;
}

/** A semaphore. */
export interface Semaphore {
  readonly name: string;
  /** The shard's last token when it was made: permits with older ones are not its. */
  readonly born: number;
  /** How many may still come in. */
  value: number;
  /** Who waits, the oldest first. */
  readonly waiters: Waiter[];
}

/** What a session holds. */
export interface PermitEntry {
  readonly token: number;
  readonly name: string;
  /** The number of the `wait` that it answered. */
  readonly request: number;
  /** Not given back once its client has heard of it. */
  readonly consume: boolean;
}

/** A request that was executed, and what it was answered. */
export interface Answer {
  readonly request: number;
  /** Where in the log. */
  readonly offset: number;
  readonly time: number;
  readonly outcome: Outcome;
}

/** A client that is there. */
export interface Session {
  readonly client: string;
  /** Which of the client's sessions. */
  readonly session: number;
  readonly leaseMs: number;
  /** Offset of its last record. */
  seen: number;
  /** The highest number of which it is known whether it is waited for. */
  upTo: number;
  /** Which of those up to `upTo` are. */
  open: readonly number[];
  readonly answers: Map<number, Answer>;
  /** Its `wait`s in queues, with the semaphore's name. */
  readonly waits: Map<number, string>;
  /** What it holds, by token, the oldest first. */
  readonly permits: Map<number, PermitEntry>;
}

/** Who answers. It saves work; nothing else rests on it. */
export interface Leader {
  readonly coordinator: number;
  /** Which life of that coordinator. */
  readonly incarnation: string;
  /** Offset of the take-over or its last renewal. */
  renewal: number;
  /** Everything executed up to this offset has been answered. */
  answered: number;
}

const SEMAPHORE_BYTES = 48;
const WAITER_BYTES = 112;
const SESSION_BYTES = 128;
const ANSWER_BYTES = 96;
const PERMIT_BYTES = 64;
const OPEN_BYTES = 9;
const VALUE_BYTES = 16;

/** A shard's state. */
export class ShardState {
  /** Which shard, of how many. */
  readonly shard: number;
  readonly of: number;
  /** Offset of the record to be executed next. */
  next = 0;
  /** Time of the last record. */
  time = 0;
  /** The last token that was given. */
  tokens = 0;
  leader: Leader | null = null;
  /** Records that made no sense. */
  malformed = 0;
  readonly semaphores: Map<string, Semaphore> = new Map();
  readonly values: Map<string, unknown> = new Map();
  readonly sessions: Map<string, Session> = new Map();
  #bytes = 0;

  /** The state of a shard of which nothing is in the log yet. */
  constructor(shard: number, of: number) {
    this.shard = shard;
    this.of = of;
  }

  /** What a snapshot will take, roughly and at least. */
  get bytes(): number {
    return this.#bytes;
  }

  addSemaphore(name: string, value: number, born: number): Semaphore {
    const semaphore: Semaphore = { name, born, value, waiters: [] };
    this.semaphores.set(name, semaphore);
    this.#bytes += SEMAPHORE_BYTES + utf8Bytes(name);
    return semaphore;
  }

  /** Its queue must be empty. */
  removeSemaphore({ name }: Semaphore): void {
    if (this.semaphores.delete(name)) {
      this.#bytes -= SEMAPHORE_BYTES + utf8Bytes(name);
    }
  }

  /** Puts a session's `wait` at the end of a queue. */
  enqueue(
    semaphore: Semaphore,
    session: Session,
    request: number,
    consume: boolean,
  ): void {
    const { client } = session;
    semaphore.waiters.push({ client, request, consume });
    session.waits.set(request, semaphore.name);
    this.#bytes += WAITER_BYTES + utf8Bytes(semaphore.name);
  }

  /** Takes a `wait` out of its queue, wherever it stands. */
  dequeue(session: Session, request: number): void {
    const name = session.waits.get(request);
    const semaphore = name === undefined
      ? undefined
      : this.semaphores.get(name);
    if (semaphore === undefined) return;
    const { client } = session;
    const at = semaphore.waiters.findIndex((waiter) =>
      waiter.client === client && waiter.request === request
    );
    semaphore.waiters.splice(at, 1);
    session.waits.delete(request);
    this.#bytes -= WAITER_BYTES + utf8Bytes(semaphore.name);
  }

  setValue(name: string, value: unknown): void {
    this.removeValue(name);
    this.values.set(name, value);
    this.#bytes += VALUE_BYTES + utf8Bytes(name) + sizeOf(value);
  }

  removeValue(name: string): void {
    if (!this.values.has(name)) return;
    const size = sizeOf(this.values.get(name));
    this.#bytes -= VALUE_BYTES + utf8Bytes(name) + size;
    this.values.delete(name);
  }

  addSession(
    client: string,
    session: number,
    leaseMs: number,
    seen: number,
  ): Session {
    const added: Session = {
      client,
      session,
      leaseMs,
      seen,
      upTo: 0,
      open: [],
      answers: new Map(),
      waits: new Map(),
      permits: new Map(),
    };
    this.sessions.set(client, added);
    this.#bytes += SESSION_BYTES;
    return added;
  }

  /** It must hold nothing and wait for nothing. */
  removeSession(session: Session): void {
    for (const request of [...session.answers.keys()]) {
      this.removeAnswer(session, request);
    }
    this.setOpen(session, session.upTo, []);
    this.sessions.delete(session.client);
    this.#bytes -= SESSION_BYTES;
  }

  setOpen(session: Session, upTo: number, open: readonly number[]): void {
    this.#bytes += OPEN_BYTES * (open.length - session.open.length);
    session.upTo = upTo;
    session.open = open;
  }

  addAnswer(session: Session, answer: Answer): void {
    this.removeAnswer(session, answer.request);
    session.answers.set(answer.request, answer);
    this.#bytes += ANSWER_BYTES + sizeOf(answer.outcome);
  }

  removeAnswer(session: Session, request: number): void {
    const answer = session.answers.get(request);
    if (answer === undefined) return;
    session.answers.delete(request);
    this.#bytes -= ANSWER_BYTES + sizeOf(answer.outcome);
  }

  addPermit(session: Session, permit: PermitEntry): void {
    session.permits.set(permit.token, permit);
    this.#bytes += PERMIT_BYTES + utf8Bytes(permit.name);
  }

  removePermit(session: Session, permit: PermitEntry): void {
    if (session.permits.delete(permit.token)) {
      this.#bytes -= PERMIT_BYTES + utf8Bytes(permit.name);
    }
  }
}
