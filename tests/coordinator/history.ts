/**
 * What clients saw of a semaphore of 1, and whether that can have been.
 *
 * @module
 */

/** One permit, as its client saw it; times of one monotonic clock. */
export interface Hold {
  readonly client: string;
  readonly token: number;
  /** `wait` was called. */
  readonly askedMs: number;
  /** `wait` was answered. */
  readonly gotMs: number;
  /** `release` was called. */
  readonly leftMs: number;
  /** `release` was answered. */
  readonly goneMs: number;
}

/**
 * Whether the waits and releases can be put in one order that keeps to the times:
 * each happens at some moment between its call and its answer, tokens grow in the
 * order of the grants, and nobody is let in before the one before has gone.
 *
 * The tokens give the order, so it is enough to put each as early as it may be.
 *
 * @returns What cannot be, a line each; empty when all is well.
 */
export function findImpossible(holds: readonly Hold[]): string[] {
  const wrong: string[] = [];
  const ordered = [...holds].sort((a, b) => a.token - b.token);
  let atMs = -Infinity;
  for (const [index, hold] of ordered.entries()) {
    const before = ordered[index - 1];
    if (before?.token === hold.token) {
      wrong.push(
        `token ${hold.token} was given to ${before.client} and ${hold.client}`,
      );
    }
    atMs = Math.max(atMs, hold.askedMs);
    if (atMs > hold.gotMs) {
      wrong.push(
        `${hold.client} got ${hold.token} at ${hold.gotMs}, but ${before?.client} had ${before?.token} until ${atMs}`,
      );
    }
    atMs = Math.max(atMs, hold.leftMs);
    if (atMs > hold.goneMs) {
      wrong.push(`${hold.client} gave ${hold.token} back too late to be true`);
    }
  }
  for (const client of new Set(holds.map(({ client }) => client))) {
    const own = holds.filter((hold) => hold.client === client)
      .sort((a, b) => a.gotMs - b.gotMs);
    for (const [index, { token }] of own.entries()) {
      const before = own[index - 1];
      if (before !== undefined && before.token >= token) {
        wrong.push(`${client} got ${token} after ${before.token}`);
      }
    }
  }
  return wrong;
}
