/**
 * Waiting, with a limit, for what tells of itself only when asked.
 *
 * @module
 */

/** Options of {@linkcode eventually}. */
export interface EventuallyOptions {
  /** @default {10_000} */
  timeoutMs?: number;
  /** Between two questions. @default {20} */
  intervalMs?: number;
}

/**
 * Asks until the answer is neither `undefined`, `null` nor `false`.
 *
 * @param what Named in the failure.
 * @param ask May be asynchronous; a rejection ends the waiting.
 * @throws {Error} When the time is up.
 */
export async function eventually<T>(
  what: string,
  ask: () => T | Promise<T>,
  options: EventuallyOptions = {},
): Promise<NonNullable<Exclude<T, false>>> {
  const { timeoutMs = 10_000, intervalMs = 20 } = options;
  const end = performance.now() + timeoutMs;
  while (true) {
    const answer = await ask();
    if (answer !== undefined && answer !== null && answer !== false) {
      return answer as NonNullable<Exclude<T, false>>;
    }
    if (performance.now() > end) {
      throw new Error(`Waited ${timeoutMs} ms in vain for ${what}`);
    }
    await pause(intervalMs);
  }
}

/** Resolves after `ms`. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(0, ms)));
}

/**
 * Settles like `promise`, but rejects when that takes longer than `timeoutMs`.
 *
 * @param what Named in the failure.
 */
export async function within<T>(
  what: string,
  timeoutMs: number,
  promise: Promise<T>,
): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`Waited ${timeoutMs} ms in vain for ${what}`)),
      timeoutMs,
    );
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
