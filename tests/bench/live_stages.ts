/**
 * The stages that run, so that a signal leaves no server behind. Apps end by
 * themselves when their input does.
 *
 * @module
 */

import type { Contestant, Stage } from "./contestant.ts";

const SIGNALS = ["SIGINT", "SIGTERM"] as const;
/** What a shell tells of a program that SIGINT ended. */
const INTERRUPTED = 130;

/** All that were started and not yet ended. */
export class LiveStages {
  readonly #live = new Set<Stage>();
  #starting: Promise<unknown> = Promise.resolve();

  /** The contestant, watched from its next start on. */
  watching<T extends Contestant>(contestant: T): T {
    const start = async (...options: Parameters<Contestant["start"]>) => {
      const starting = contestant.start(...options);
      this.#starting = starting;
      const stage = await starting;
      this.#live.add(stage);
      const dispose = stage[Symbol.asyncDispose].bind(stage);
      stage[Symbol.asyncDispose] = async () => {
        this.#live.delete(stage);
        await dispose();
      };
      return stage;
    };
    return { ...contestant, start };
  }

  /** From now on a signal ends all of them, then this process. */
  endOnSignals(): void {
    for (const signal of SIGNALS) {
      Deno.addSignalListener(signal, async () => {
        // What starts just now can be ended when it has started.
        await Promise.allSettled([this.#starting]);
        await Promise.all(
          [...this.#live].map((stage) => stage[Symbol.asyncDispose]()),
        );
        Deno.exit(INTERRUPTED);
      });
    }
  }
}
