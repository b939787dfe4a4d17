/**
 * What time it is for what lasts, although somebody may set the wall clock at any
 * moment, and a device without a battery begins in 1970.
 *
 * - **Durations** (an expiry, an absence) run on {@link Timeline.nowMs}: it begins
 *   with the wall clock and goes on with the monotonic one. No step of the wall
 *   clock changes them while the process lives.
 * - **On disk** a moment is told by the wall clock of then, for the next process
 *   has nothing else; what this process wrote it reads back without the steps
 *   that came between.
 * - **Stamps** are wall time that never falls: after a step back they stand still
 *   until the wall clock has caught up.
 * - **Ages** are counted from stamps in steady time: a jump makes nothing old.
 *
 * A process sees only its own steps. Over a restart, what is older than a step is
 * early or late by that step, and no more.
 *
 * @module
 */

import type { Clock } from "../protocol/clock.ts";

/** Less than this is no step: clocks are adjusted all the time. */
const STEP_MS = 100;
/**
 * A clock that is behind the last stamp by no more than this was set back while
 * nobody ran. By more: rather it was ahead when the stamp was made.
 */
const BEHIND_MS_MAX = 2 * 60 * 60 * 1000;
/** Steps that are remembered; whoever steps more often gets the oldest forgotten. */
const STEPS_MAX = 64;
/** Both clocks are read anew when more than this passes between. */
const READ_MS = 20;
const READS_MAX = 5;

/** Where a timeline is in its store. */
export interface Place {
  /** The commit that will hold what is written now. */
  readonly openPosition: number;
  /** Whether nothing is in it yet. */
  readonly isOpenEmpty: boolean;
}

/** From a step of the wall clock to the next. */
interface Stretch {
  /** The first commit that is written in it as a whole. */
  readonly position: number;
  /** When it began, in steady time. */
  readonly sinceMs: number;
  /** Wall time less steady time. */
  readonly offsetMs: number;
  /** The last stamp before it: none in it is lower. */
  readonly floorMs: number;
}

/** The time of one store, while one process has it open. */
export class Timeline {
  readonly #clock: Clock;
  readonly #place: Place;
  /** Steady time less monotonic time. */
  readonly #baseMs: number;
  #nowMs: number;
  #stampMs: number;
  #stretches: Stretch[];

  /**
   * @param lastStampMs The last stamp on disk, 0 if none.
   * @param place Tells which commit a moment is written in.
   */
  constructor(clock: Clock, lastStampMs: number, place: Place) {
    this.#clock = clock;
    this.#place = place;
    this.#stampMs = lastStampMs;
    const { wallMs, monotonicMs } = readBoth(clock);
    const behindMs = lastStampMs - wallMs;
    const isSetBack = behindMs > 0 && behindMs <= BEHIND_MS_MAX;
    this.#nowMs = Math.floor(isSetBack ? lastStampMs : wallMs);
    this.#baseMs = this.#nowMs - monotonicMs;
    // What was written before this process is taken as it stands.
    this.#stretches = [
      { position: -1, sinceMs: -Infinity, offsetMs: 0, floorMs: 0 },
    ];
    this.look();
  }

  /** Steady time in whole ms, about since 1970: for durations. Never falls. */
  nowMs(): number {
    const nowMs = Math.floor(this.#baseMs + this.#clock.monotonicMs());
    return this.#nowMs = Math.max(this.#nowMs, nowMs);
  }

  /** Wall time in whole ms, not below the last {@link Timeline.stamp}. */
  stampMs(): number {
    return Math.max(this.#stampMs, Math.floor(this.look()));
  }

  /** Gives out a stamp: none that comes later will be lower. */
  stamp(): number {
    return this.#stampMs = this.stampMs();
  }

  /** A deadline in steady time as it is to be written now; `null` stays `null`. */
  toStored<T extends number | null>(steadyMs: T): T | number {
    if (steadyMs === null) return steadyMs;
    this.look();
    // A commit is of one stretch, so that it can be read back by its number.
    return Math.floor(steadyMs + this.#offsetAt(this.#place.openPosition));
  }

  /** The inverse, for what commit `position` holds. */
  fromStored<T extends number | null>(
    storedMs: T,
    position: number,
  ): T | number {
    if (storedMs === null) return storedMs;
    this.look();
    return storedMs - this.#offsetAt(position);
  }

  /** What has a lower stamp is older than `ageMs`. */
  stampOfAge(ageMs: number): number {
    this.look();
    const thenMs = this.nowMs() - ageMs;
    const { offsetMs, floorMs } = this.#find(({ sinceMs }) =>
      sinceMs <= thenMs
    );
    return Math.max(floorMs, thenMs + offsetMs);
  }

  /** Looks for a step of the wall clock; to be called now and then. Gives wall time. */
  look(): number {
    const { wallMs, monotonicMs } = readBoth(this.#clock);
    const steadyMs = this.#baseMs + monotonicMs;
    const offsetMs = wallMs - steadyMs;
    if (Math.abs(offsetMs - this.#last.offsetMs) >= STEP_MS) {
      const { openPosition, isOpenEmpty } = this.#place;
      this.#stretches.push({
        position: isOpenEmpty ? openPosition : openPosition + 1,
        sinceMs: steadyMs,
        offsetMs,
        floorMs: this.#stampMs,
      });
      if (this.#stretches.length > STEPS_MAX) this.#stretches.shift();
    }
    return wallMs;
  }

  get #last(): Stretch {
    return this.#stretches[this.#stretches.length - 1];
  }

  #offsetAt(position: number): number {
    return this.#find((stretch) => stretch.position <= position).offsetMs;
  }

  /** The last stretch that fits, or the first of those remembered. */
  #find(fits: (stretch: Stretch) => boolean): Stretch {
    return this.#stretches.findLast(fits) ?? this.#stretches[0];
  }
}

/** A process that is stopped between the two would see a step that never was. */
function readBoth(clock: Clock): { wallMs: number; monotonicMs: number } {
  for (let reads = 1;; reads++) {
    const monotonicMs = clock.monotonicMs();
    const wallMs = clock.wallMs();
    const tookMs = clock.monotonicMs() - monotonicMs;
    if (tookMs < READ_MS || reads === READS_MAX) return { wallMs, monotonicMs };
  }
}
