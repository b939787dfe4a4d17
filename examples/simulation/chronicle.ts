/**
 * The log of a simulation: all events of its topic, kept in a file.
 *
 * @module
 */

import { type Mom, MomError } from "../../mod.ts";
import type { CommonEvent, Entry } from "./entry.ts";
import { Recorder } from "./recorder.ts";

/** Writes the log, and says what the one who runs the simulation does. */
export class Chronicle<E> {
  /** Rejects when it cannot listen any more; never resolves. */
  readonly failed: Promise<never>;
  readonly #mom: Mom;
  readonly #file: Deno.FsFile;
  readonly #onEntry: (entry: Entry<E | CommonEvent>) => void;
  readonly #recorder: Recorder<E | CommonEvent>;
  readonly #waits = new Set<(entry: Entry<E | CommonEvent>) => void>();
  #lastNewsMs = performance.now();

  private constructor(
    mom: Mom,
    topic: string,
    file: Deno.FsFile,
    onEntry: (entry: Entry<E | CommonEvent>) => void,
  ) {
    this.#mom = mom;
    this.#file = file;
    this.#onEntry = onEntry;
    this.#recorder = new Recorder(mom, topic);
    this.failed = new Promise((_, reject) => this.#read().catch(reject));
    // Who does not wait for it is not to hear of it.
    this.failed.catch(() => {});
  }

  /**
   * Begins to listen.
   *
   * @param file Where the log is written; a line each.
   */
  static async open<E>(
    mom: Mom,
    topic: string,
    file: Deno.FsFile,
    onEntry: (entry: Entry<E | CommonEvent>) => void,
  ): Promise<Chronicle<E>> {
    await mom.subscribe(topic, { echo: true, from: "earliest" });
    return new Chronicle<E>(mom, topic, file, onEntry);
  }

  /** Milliseconds since the last event. */
  get silentMs(): number {
    return performance.now() - this.#lastNewsMs;
  }

  /** Says what the one who runs it all does. */
  async record(event: E | CommonEvent): Promise<void> {
    this.#recorder.record(event);
    await this.#recorder.settled();
  }

  /** Resolves at the `count`th entry from now on that `fits`. */
  async seen(
    fits: (entry: Entry<E | CommonEvent>) => boolean,
    count = 1,
  ): Promise<void> {
    await new Promise<void>((resolve) => {
      let missing = count;
      const look = (entry: Entry<E | CommonEvent>) => {
        if (fits(entry)) missing--;
        if (missing > 0) return;
        this.#waits.delete(look);
        resolve();
      };
      this.#waits.add(look);
    });
  }

  /** Adds what happened after the end of the topic. */
  add(event: E | CommonEvent): void {
    this.#take({ ...event, offset: null, time: Date.now(), user: "main" });
  }

  async #read(): Promise<void> {
    try {
      while (true) {
        for (const message of await this.#mom.receiveMany()) {
          const event = message.value as E | CommonEvent;
          const { offset, time, sender: user } = message;
          this.#take({ ...event, offset, time, user });
        }
      }
    } catch (error) {
      const isClosed = error instanceof MomError && error.code === "closed";
      if (!isClosed) throw error;
    }
  }

  #take(entry: Entry<E | CommonEvent>): void {
    this.#lastNewsMs = performance.now();
    const { offset, time, user, ...event } = entry;
    const line = JSON.stringify({ offset, time, user, ...event });
    this.#file.writeSync(new TextEncoder().encode(`${line}\n`));
    this.#onEntry(entry);
    for (const look of this.#waits) look(entry);
  }
}
