/**
 * Who carries operations to their shards.
 *
 * @module
 */

import type { OperationFields } from "./call.ts";

/** Carries an operation to its resource's shard, and the answer back. */
export interface Caller {
  /**
   * @param fields With the resource's name.
   * @param timeoutMs By default the client's.
   */
  call(
    fields: OperationFields & { readonly name: string },
    timeoutMs?: number,
    signal?: AbortSignal,
  ): Promise<unknown>;
}
