/**
 * Time and order of a simulated world. Everything that happens is an event at a
 * moment of virtual time; between two events all microtasks run out, so the same
 * seed gives the same run, to the last byte. A world has nothing else that could
 * wait: no timer, socket or disk of the operating system.
 *
 * @module
 */

import { setImmediate } from "node:timers";
import { Random } from "../helpers/random.ts";
import type { Part } from "./part.ts";

/** How many calls a round of the event loop has. */
const TURNS = 100;

/** Something that will happen. */
interface Event {
  atMs: number;
  readonly order: number;
  /** Whose it is; not called any more when that is dead. */
  readonly part: Part | null;
  readonly label: string;
  run: (() => void) | null;
}

/** Runs a world. */
export class Kernel {
  /** Chance of all that no plan fixes: delays, what a crash leaves. */
  readonly random: Random;
  /** Last lines of what happened, for who looks for what went wrong. */
  readonly lines: string[] = [];
  /** Whether lines are kept. */
  isTold = false;
  readonly #heap: Event[] = [];
  #nowMs = 0;
  #orders = 0;
  #events = 0;
  #hash = 0x811c9dc5;

  constructor(seed: number) {
    this.random = new Random(seed);
  }

  /** Virtual time since the beginning of the world. */
  get nowMs(): number {
    return this.#nowMs;
  }

  /** How many events there were. */
  get events(): number {
    return this.#events;
  }

  /** Stands for the whole run so far: equal runs have equal ones. */
  get hash(): string {
    return this.#hash.toString(16).padStart(8, "0");
  }

  /** Calls `run` after so many milliseconds, unless `part` is dead by then. */
  after(
    delayMs: number,
    part: Part | null,
    label: string,
    run: () => void,
  ): { cancel(): void } {
    const event: Event = {
      atMs: this.#nowMs + Math.max(0, delayMs),
      order: this.#orders++,
      part,
      label,
      run,
    };
    this.#push(event);
    return { cancel: () => void (event.run = null) };
  }

  /** Resolves after so many milliseconds; never, if `part` is dead by then. */
  sleep(delayMs: number, part: Part | null, label = "sleep"): Promise<void> {
    return new Promise((resolve) => this.after(delayMs, part, label, resolve));
  }

  /** Notes that something happened: it is part of the hash, and of what is told. */
  note(text: string, number = 0): void {
    this.#mix(number | 0);
    for (let i = 0; i < text.length; i++) this.#mix(text.charCodeAt(i));
    this.tell(`${text} ${number}`);
  }

  /** Tells what happened, if anybody wants to know. */
  tell(text: string): void {
    if (this.isTold) this.lines.push(`${this.#nowMs.toFixed(2)} ${text}`);
  }

  /**
   * Lets the world go on until `isOver`, or nothing is left, or a limit.
   *
   * @returns Whether `isOver`.
   */
  async run(
    isOver: () => boolean,
    limits: { untilMs: number; events: number },
  ): Promise<boolean> {
    let outcome: boolean | null = null;
    await inTurns(() => outcome ??= isOver() ? true : this.#step(limits));
    return outcome!;
  }

  /** Has one thing happen; gives `false` when nothing can any more. */
  #step(limits: { untilMs: number; events: number }): false | null {
    while (true) {
      const event = this.#pop();
      if (event === undefined || event.atMs > limits.untilMs) return false;
      if (this.#events > limits.events) return false;
      this.#nowMs = event.atMs;
      if (event.run === null || event.part?.isDead === true) continue;
      if (event.part !== null && event.part.stalledUntilMs > this.#nowMs) {
        event.atMs = event.part.stalledUntilMs;
        this.#push(event);
        continue;
      }
      this.#events++;
      this.#mix(event.order);
      this.#mix(event.atMs * 1000 | 0);
      event.run();
      return null;
    }
  }

  #mix(number: number): void {
    this.#hash = Math.imul(this.#hash ^ number, 0x01000193) >>> 0;
  }

  #push(event: Event): void {
    const heap = this.#heap;
    let at = heap.push(event) - 1;
    while (at > 0) {
      const above = (at - 1) >> 1;
      if (!isBefore(event, heap[above])) break;
      heap[at] = heap[above];
      at = above;
    }
    heap[at] = event;
  }

  #pop(): Event | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return first;
    let at = 0;
    while (true) {
      let below = 2 * at + 1;
      if (below >= heap.length) break;
      const other = below + 1;
      if (other < heap.length && isBefore(heap[other], heap[below])) {
        below = other;
      }
      if (!isBefore(heap[below], last)) break;
      heap[at] = heap[below];
      at = below;
    }
    heap[at] = last;
    return first;
  }
}

function isBefore(one: Event, other: Event): boolean {
  return one.atMs !== other.atMs
    ? one.atMs < other.atMs
    : one.order < other.order;
}

/**
 * Calls a function until it gives anything but `null`. Before each call all
 * microtasks have run out: also between two immediates of one round of the event
 * loop, and a round costs more than most of the calls.
 */
function inTurns(call: () => unknown): Promise<void> {
  return new Promise((resolve, reject) => {
    let isOver = false;
    const turn = () => {
      if (isOver) return;
      try {
        if (call() === null) return;
        resolve();
      } catch (error) {
        reject(error);
      }
      isOver = true;
    };
    const round = () => {
      for (let i = 0; i < TURNS && !isOver; i++) setImmediate(turn);
      if (!isOver) setImmediate(round);
    };
    setImmediate(round);
  });
}
