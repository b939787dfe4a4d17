/**
 * What a publish's options mean for the batch that it travels in.
 *
 * @module
 */

import { checkPublishOptions } from "../option_checks.ts";
import type { PublishOptions } from "../options.ts";
import type { BatchTerms } from "./topic_queue.ts";

/** Stands for "no options": need not be looked at. */
export const DEFAULT_OPTIONS: PublishOptions = Object.freeze({});
const DEFAULT_TERMS: BatchTerms = Object.freeze({
  isWanted: false,
  expiresMs: 0,
  epoch: 0,
});

/**
 * Checks the options and says what they mean.
 *
 * @throws What {@linkcode checkPublishOptions} throws; the signal's reason when
 *   that is aborted already.
 */
export function readTerms(options: PublishOptions): BatchTerms {
  if (options === DEFAULT_OPTIONS) return DEFAULT_TERMS;
  checkPublishOptions(options);
  options.signal?.throwIfAborted();
  const { level, expiresMs = 0, epoch = 0 } = options;
  if (level === undefined && expiresMs === 0 && epoch === 0) {
    return DEFAULT_TERMS;
  }
  return { isWanted: level === "broker", expiresMs, epoch };
}

/** Whether records may share a batch, and batches a bundle. */
export function areSame(a: BatchTerms, b: BatchTerms): boolean {
  return a.isWanted === b.isWanted && a.expiresMs === b.expiresMs &&
    a.epoch === b.epoch;
}
