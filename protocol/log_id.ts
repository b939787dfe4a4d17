/**
 * Log ids on the wire. A store numbers its logs 1, 2, 3…; on the wire the
 * store's epoch stands in front, so that (log id, offset) names one message for
 * ever, also after a restore or a purge gave a number to another topic
 * (PROTOCOL 6.2).
 *
 * @module
 */

/** How many logs one epoch can name. */
export const LOG_NUMBER_MAX = 2 ** 21 - 1;

/** The largest epoch: a 32-bit number. */
export const EPOCH_MAX = 2 ** 32 - 1;

/** The id on the wire of log `number` in `epoch` (a 32-bit number). */
export function toLogId(epoch: number, number: number): number {
  return epoch * (LOG_NUMBER_MAX + 1) + number;
}

/** The epoch that is part of a log id. */
export function epochOf(logId: number): number {
  return Math.floor(logId / (LOG_NUMBER_MAX + 1));
}

/** The store's own short number of a log id. */
export function logNumberOf(logId: number): number {
  return logId % (LOG_NUMBER_MAX + 1);
}
