/**
 * The actors of a simulation, as the one who runs it sees them: processes that
 * are started, asked to end, and ended.
 *
 * @module
 */

import type { Card } from "./actor.ts";
import { closeInput, keepLast, type Place, send, spawn } from "./program.ts";

/** All processes that play a part. */
export class Cast {
  /** Rejects when an actor ends with anything but 0; never resolves. */
  readonly failed: Promise<never>;
  readonly #place: Place;
  readonly #onEnd: (actor: string, code: number) => Promise<void>;
  readonly #children = new Map<string, Deno.ChildProcess>();
  readonly #ends = new Map<string, Promise<void>>();
  #fail: (error: Error) => void = () => {};
  #isOver = false;

  /** @param onEnd Told of every end, before it counts as one. */
  constructor(
    place: Place,
    onEnd: (actor: string, code: number) => Promise<void>,
  ) {
    this.#place = place;
    this.#onEnd = onEnd;
    this.failed = new Promise((_, reject) => this.#fail = reject);
    // Who does not wait for it is not to hear of it.
    this.failed.catch(() => {});
  }

  /** Starts a file of the examples. */
  start(path: string, card: Card): void {
    if (this.#isOver) throw new Error(`Cannot start ${card.name}: all is over`);
    const args = [JSON.stringify(card)];
    const child = spawn(`examples/${path}`, args, this.#place);
    this.#children.set(card.name, child);
    this.#ends.set(card.name, this.#watch(card.name, child));
  }

  /** Resolves when an actor has ended. */
  async ended(actor: string): Promise<void> {
    await this.#ends.get(actor);
  }

  /** Asks an actor to end, and waits for that. */
  async stop(actor: string): Promise<void> {
    const child = this.#children.get(actor);
    if (child !== undefined) send(child, "SIGTERM");
    await this.ended(actor);
  }

  /** Ends at once whoever is still there; nobody can be started after. */
  async kill(): Promise<void> {
    this.#isOver = true;
    for (const child of this.#children.values()) send(child, "SIGKILL");
    await Promise.all(this.#ends.values());
  }

  async #watch(actor: string, child: Deno.ChildProcess): Promise<void> {
    const complaints = keepLast(child.stderr);
    await child.stdout.cancel();
    const { code } = await child.status;
    this.#children.delete(actor);
    await closeInput(child);
    if (this.#isOver) return;
    if (code !== 0) {
      this.#fail(
        new Error(`${actor} ended with ${code}: ${await complaints}`),
      );
    }
    try {
      await this.#onEnd(actor, code);
    } catch (error) {
      this.#fail(error instanceof Error ? error : new Error(String(error)));
    }
  }
}
