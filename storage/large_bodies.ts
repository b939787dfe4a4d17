/**
 * Large bodies on their way to the disk, in parts beside the logs, and back from
 * there whole.
 *
 * @module
 */

import { MomError } from "../protocol/errors.ts";
import {
  blobPartCount,
  blobParts,
  readBlobParts,
  type StagedBlob,
} from "./blobs.ts";
import type { Committer } from "./committer.ts";
import type { KvReader } from "./kv_reader.ts";
import { blobCacheKey, type Ledger } from "./ledger.ts";
import type { ValueCache } from "./value_cache.ts";

/** What large bodies are written and read with. */
export interface LargeBodiesOptions {
  /** Knows which there are. */
  readonly ledger: Ledger;
  /** Writes the parts, between the groups. */
  readonly committer: Committer;
  /** Bodies that were used lately. */
  readonly cache: ValueCache;
  /** All others. */
  readonly reader: KvReader;
}

/** The large bodies of one store. */
export class LargeBodies {
  readonly #options: LargeBodiesOptions;
  #stagingBytes = 0;

  /** All that are there already are in the ledger. */
  constructor(options: LargeBodiesOptions) {
    this.#options = options;
  }

  /** Bytes of those that are being written. */
  get stagingBytes(): number {
    return this.#stagingBytes;
  }

  /**
   * Writes one.
   *
   * @param body Must not change any more.
   * @param committed Resolves when all changes until now are on disk.
   */
  async stage(
    body: Uint8Array,
    committed: () => Promise<void>,
  ): Promise<StagedBlob> {
    const { ledger, committer, cache } = this.#options;
    const blob = ledger.stage(body.length);
    this.#stagingBytes += body.length;
    try {
      // Known before the first part is there, or opening could not find them.
      await committed();
      const count = blobPartCount(body.length);
      let part = 0;
      await committer.commitPieces(() => {
        if (part >= count) return null;
        const parts = blobParts(blob.id, body, part);
        part += parts.length;
        return parts;
      });
    } finally {
      this.#stagingBytes -= body.length;
    }
    cache.set(blobCacheKey(blob.id), body);
    return blob;
  }

  /** Gives up one that no log has. */
  discard({ id }: StagedBlob): void {
    const { ledger, cache } = this.#options;
    ledger.blobs.discard(id);
    cache.delete(blobCacheKey(id));
  }

  /**
   * Reads one.
   *
   * @throws {MomError} `data_damaged` when it is damaged or was trimmed.
   */
  async read(id: number): Promise<Uint8Array> {
    const { ledger, cache, reader } = this.#options;
    const bytes = ledger.blobs.bytesOf(id);
    if (bytes === undefined) throw damaged(id, "it is gone");
    const cached = cache.get(blobCacheKey(id));
    if (cached !== undefined) return cached;
    const body = await readBlobParts(reader, id, bytes);
    if (body === null) throw damaged(id, "a part is missing or damaged");
    cache.set(blobCacheKey(id), body);
    return body;
  }
}

function damaged(id: number, reason: string): MomError {
  return new MomError("data_damaged", `Cannot read blob ${id}: ${reason}`);
}
