/**
 * A session: one connection as the core sees it.
 *
 * @module
 */

import type { Deliver, Message } from "../../protocol/messages.ts";
import { Credit, type Flow } from "./flow.ts";
import type { Producer } from "./producers.ts";

/** Where a session's messages go. */
export interface Outlet {
  /** Sends; after the end nothing happens. */
  send(message: Message): void;
  /** Ends the connection at once: nothing of it is read any more. */
  abort(): void;
}

/** Who is at the other end. */
export interface SessionOptions {
  readonly role: "app" | "daemon";
  /** The machine whose users it may attach. */
  readonly machine: string;
  /** Address of the other end. */
  readonly remote: string;
  /** Window for all its users together. */
  readonly credit: number;
  /** When it was opened, in steady time. */
  readonly connectedMs: number;
}

/** One connection. */
export class Session {
  readonly role: "app" | "daemon";
  readonly machine: string;
  readonly remote: string;
  readonly connectedMs: number;
  /** Credit for all its users together. */
  readonly credit: Credit;
  /** Attached users by ref. */
  readonly flows = new Map<number, Flow>();
  /** Producers that may publish here, by id in hex. */
  readonly producers = new Map<string, Producer>();
  /** Flows that wait for credit of the session, in order. */
  readonly waiting = new Set<Flow>();
  /** The connection is gone. */
  isLost = false;
  /** Used while one item is fanned out: who of this session gets it. */
  targets: number[] = [];
  readonly #outlet: Outlet;

  constructor(options: SessionOptions, outlet: Outlet) {
    this.role = options.role;
    this.machine = options.machine;
    this.remote = options.remote;
    this.connectedMs = options.connectedMs;
    this.credit = new Credit(options.credit);
    this.#outlet = outlet;
  }

  /** Sends a message. */
  send(message: Message): void {
    if (!this.isLost) this.#outlet.send(message);
  }

  /** Sends the item that is being fanned out to {@linkcode targets}. */
  deliver(fields: Omit<Deliver, "type" | "targets">): void {
    this.send({ type: "DELIVER", targets: this.targets, ...fields });
    this.targets = [];
  }

  /** Ends the connection. */
  abort(): void {
    this.#outlet.abort();
  }
}
