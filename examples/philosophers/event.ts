/**
 * What happens at the philosophers' table, and what is shared.
 *
 * @module
 */

/** What happens, beside what happens in every simulation. */
export type PhilosopherEvent =
  /** A philosopher wants its sticks. */
  | { kind: "hungry"; id: number }
  /** It has both and begins. */
  | { kind: "eats"; id: number }
  /** It has put an item into its buffer, or taken one out of its neighbour's. */
  | { kind: "counted"; id: number; count: number }
  /** The buffer was empty: this does not count. */
  | { kind: "finds_nothing"; id: number }
  /** It is about to put its sticks down. */
  | { kind: "stops"; id: number }
  /** A coordinator that was killed is being started again. */
  | { kind: "restarts"; program: string };

/**
 * Told to all when they have sat down; and, where coordinators are killed, once
 * more when all of them are back. Before that nobody counts its last item, and they
 * eat on, so that the meal does not end too early.
 */
export const COURSE_TOPIC = "philosophers/courses";

/** The stick on the right of a philosopher. */
export function stickName(stick: number): string {
  return `semstick_${stick}`;
}

/** The buffer of a producer and the one on its right, who consumes. */
export function bufferName(producer: number): string {
  return `shmbuffer_${producer}`;
}

/** Whether a philosopher makes items; the others take them. */
export function isProducer(id: number): boolean {
  return id % 2 === 0;
}

/** Whose buffer a philosopher uses. */
export function producerOf(id: number): number {
  return isProducer(id) ? id : id - 1;
}

/**
 * The sticks of a philosopher, the higher-numbered first: so nobody waits in a
 * circle.
 */
export function sticksOf(id: number, philosophers: number): [number, number] {
  const left = (id + philosophers - 1) % philosophers;
  return left > id ? [left, id] : [id, left];
}
