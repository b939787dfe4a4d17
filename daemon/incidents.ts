/**
 * What befell messages after their receipts: logged, told to who listens, counted
 * for the status.
 *
 * @module
 */

import type { Logger } from "../program/log.ts";
import type { DaemonEvents } from "./daemon_events.ts";
import type { RejectedItem } from "./outbox/outbox.ts";

/** What incidents stand on. */
export interface IncidentsContext {
  readonly logger: Logger;
  readonly events: DaemonEvents;
  /** Where they happen, and whose broker has a part in it. */
  readonly machine: string;
  readonly broker: string;
}

/** The incidents of one daemon since its start. */
export class Incidents {
  readonly #context: IncidentsContext;
  #lost = 0;
  #epochs = 0;

  constructor(context: IncidentsContext) {
    this.#context = context;
  }

  /** How many messages may be lost. */
  get mayBeLost(): number {
    return this.#lost;
  }

  /** How often the broker's store was another one. */
  get epochs(): number {
    return this.#epochs;
  }

  /** The broker refused something for good. */
  rejected(user: string, { topic, count, error }: RejectedItem): void {
    const { logger, events, machine } = this.#context;
    const { code } = error;
    logger.warn("rejected", { user, machine, topic, count, code });
    events.emit({ type: "rejected", user, topic, count, code });
  }

  /** The broker does not have any more what it had acknowledged. */
  lost(user: string, topic: string, count: number): void {
    const { logger, events, machine } = this.#context;
    logger.warn("lost", { user, machine, topic, count });
    events.emit({ type: "lost", user, topic, count });
    this.#lost += count;
  }

  /** The broker's store is another one; so many messages here may come twice. */
  epochChanged(from: number, to: number, mayComeTwice: number): void {
    const { logger, events, broker } = this.#context;
    logger.warn("epoch_changed", { broker, from, to, mayComeTwice });
    events.emit({ type: "epoch_changed", broker, from, to, mayComeTwice });
    this.#epochs++;
  }
}
