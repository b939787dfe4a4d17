/**
 * What happened lately, with the simulation's time.
 *
 * @module
 */

import type { Line } from "./screen.ts";

const KEPT = 50;
/** What happens before the first moment of the simulation. */
const BEFORE: readonly string[] = ["opened", "created", "ready"];

/** The last lines of what happened. */
export class Story {
  readonly #speed: number;
  readonly #lines: string[] = [];
  #beginMs: number | null = null;
  #nowMs = 0;

  /** @param speed How many of its seconds pass in one of ours. */
  constructor(speed: number) {
    this.#speed = speed;
  }

  /** The simulation's time, in minutes and seconds. */
  get clock(): string {
    const seconds = (this.#nowMs - (this.#beginMs ?? 0)) * this.#speed / 1_000;
    const [minutes, rest] = [Math.floor(seconds / 60), seconds % 60];
    return `${pad(minutes)}:${pad(Math.floor(rest))}`;
  }

  /** Goes on to an entry; time counts once all are in their places. */
  goTo({ kind, time }: { kind: string; time: number }): void {
    if (BEFORE.includes(kind)) this.#beginMs = time;
    this.#beginMs ??= time;
    this.#nowMs = time;
  }

  /** Keeps what happened; gives it with the time. */
  add(who: string, what: string): string {
    const line = `${this.clock}  ${who.padEnd(16)}${what}`;
    this.#lines.push(line);
    if (this.#lines.length > KEPT) this.#lines.shift();
    return line;
  }

  /** The last lines, as many as there is room for. */
  last(rows: number): Line[] {
    if (rows <= 0) return [];
    return this.#lines.slice(-rows).map((text) => [{ text, style: "faint" }]);
  }
}

function pad(value: number): string {
  return String(value).padStart(2, "0");
}
