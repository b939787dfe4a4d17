/**
 * A session: one connection as the core sees it.
 *
 * @module
 */

import type {
  Deliver,
  DeliverBundle,
  Message,
} from "../../protocol/messages.ts";
import { Credit, type Flow } from "./flow.ts";
import { isEqual } from "./machines.ts";
import type { Producer } from "./producers.ts";

/** Where a session's messages go. */
export interface Outlet {
  /** Sends; after the end nothing happens. */
  send(message: Message): void;
  /** Ends the connection at once: nothing of it is read any more. */
  abort(): void;
  /**
   * Whether too much waits to be read by the other side: deliveries wait until
   * `Core.sessionDrained`.
   *
   * @default {false}
   */
  readonly isClogged?: boolean;
  /**
   * Whether BUNDLE and DELIVER_BUNDLE were agreed.
   *
   * @default {false}
   */
  readonly takesBundles?: boolean;
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
  /** Flows that wait for credit of the session, in order. */
  readonly waiting = new Set<Flow>();
  /** The connection is gone. */
  isLost = false;
  /** Used while one item is fanned out: who of this session gets it. */
  targets: number[] = [];
  readonly #outlet: Outlet;
  /** Producers that may publish here, by id in hex. */
  readonly #producers = new Map<string, Producer>();
  /** The one that was asked for last. */
  #lastProducer: Producer | null = null;

  constructor(options: SessionOptions, outlet: Outlet) {
    this.role = options.role;
    this.machine = options.machine;
    this.remote = options.remote;
    this.connectedMs = options.connectedMs;
    this.credit = new Credit(options.credit);
    this.#outlet = outlet;
  }

  /** Those that may publish here. */
  get producers(): Iterable<Producer> {
    return this.#producers.values();
  }

  /** How many they are. */
  get producerCount(): number {
    return this.#producers.size;
  }

  /** A producer may publish here. */
  admit(producer: Producer): void {
    this.#lastProducer = null;
    this.#producers.set(producer.id.toHex(), producer);
  }

  /** A producer may publish here no more; without an id, none may. */
  dismiss(id?: Uint8Array): void {
    this.#lastProducer = null;
    if (id === undefined) this.#producers.clear();
    else this.#producers.delete(id.toHex());
  }

  /** The producer with an id, if it may publish here; mostly it is the one before. */
  producer(id: Uint8Array): Producer | undefined {
    const last = this.#lastProducer;
    if (last !== null && isEqual(last.id, id)) return last;
    const found = this.#producers.get(id.toHex());
    this.#lastProducer = found ?? null;
    return found;
  }

  /** Cost that may be sent now. Nothing to who does not read, whatever it granted. */
  get creditLeft(): number {
    return this.#outlet.isClogged === true ? 0 : this.credit.left;
  }

  /** Whether batches of several topics may go as one message. */
  get takesBundles(): boolean {
    return this.#outlet.takesBundles === true;
  }

  /** Whether something that costs more than is left may be sent now. */
  get isFree(): boolean {
    return this.credit.isFree && this.#outlet.isClogged !== true;
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

  /** Sends parts of a bundle to users. */
  deliverBundle(
    refs: number[],
    fields: Omit<DeliverBundle, "type" | "refs">,
  ): void {
    this.send({ type: "DELIVER_BUNDLE", refs, ...fields });
  }

  /** Ends the connection. */
  abort(): void {
    this.#outlet.abort();
  }
}
