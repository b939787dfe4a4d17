/**
 * Large records: their parts lie under ids of their own, written in commits of
 * their own; a pointer item in a log makes them part of it.
 *
 * An entry in the small state is on disk before the first part and goes with
 * the last one, so that opening finds what was left over.
 *
 * @module
 */

import type { KvReader } from "./kv_reader.ts";
import { blobKey, type Mutation, VALUE_BYTES_MAX } from "./layout.ts";
import { isIntact, SEAL_BYTES, sealCopy } from "./sealed_value.ts";
import { VARINT_BYTES_MAX, VarintReader, writeVarint } from "./varint.ts";

const PART_BYTES = VALUE_BYTES_MAX - SEAL_BYTES;

/** A body that is on disk and belongs to no log yet. */
export interface StagedBlob {
  /** Its number. */
  readonly id: number;
  /** Its size. */
  readonly bytes: number;
}

interface BlobInfo {
  readonly bytes: number;
  /** Its log, 0 while it is staged. */
  log: number;
  offset: number;
}

/** How many parts a body of `bytes` has. */
export function blobPartCount(bytes: number): number {
  return Math.ceil(bytes / PART_BYTES);
}

/** Bytes of the parts that one commit takes. */
export const BLOB_COMMIT_PARTS = 10;

/** The parts `from` … `from + BLOB_COMMIT_PARTS - 1` of a body. */
export function blobParts(
  id: number,
  body: Uint8Array,
  from: number,
): Mutation[] {
  const parts: Mutation[] = [];
  const end = Math.min(blobPartCount(body.length), from + BLOB_COMMIT_PARTS);
  for (let part = from; part < end; part++) {
    const at = part * PART_BYTES;
    const key = blobKey(id, part);
    const value = sealCopy(body.subarray(at, at + PART_BYTES), key);
    parts.push({ key, value });
  }
  return parts;
}

/** Reads a body; `null` when a part is missing or damaged. */
export async function readBlobParts(
  reader: KvReader,
  id: number,
  bytes: number,
): Promise<Uint8Array | null> {
  const count = blobPartCount(bytes);
  const keys = Array.from({ length: count }, (_, part) => blobKey(id, part));
  const values = await reader.getMany(keys);
  const body = new Uint8Array(bytes);
  let at = 0;
  for (const [part, value] of values.entries()) {
    if (!isIntact(value, keys[part])) return null;
    if (at + value.length - SEAL_BYTES > bytes) return null;
    body.set(value.subarray(SEAL_BYTES), at);
    at += value.length - SEAL_BYTES;
  }
  return at === bytes ? body : null;
}

/** All blobs of a store in memory, and which of them can go. */
export class BlobRegistry {
  readonly #blobs = new Map<number, BlobInfo>();
  /** Per log the blobs in order of their offsets. */
  readonly #byLog = new Map<number, number[]>();
  readonly #dying: { id: number; parts: number; bytes: number }[] = [];
  #nextId: number;
  #bytes = 0;

  /** @param nextId Number of the next blob. */
  constructor(nextId: number) {
    this.#nextId = nextId;
  }

  /** Number of the next blob. */
  get nextId(): number {
    return this.#nextId;
  }

  /** Bytes of all blobs, of those too that wait for their deletion. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Whether parts wait for their deletion. */
  get hasDying(): boolean {
    return this.#dying.length > 0;
  }

  /** A new blob that is staged. */
  stage(bytes: number): StagedBlob {
    const id = this.#nextId++;
    this.#blobs.set(id, { bytes, log: 0, offset: 0 });
    this.#bytes += bytes;
    return { id, bytes };
  }

  /** Size of a blob that is there. */
  bytesOf(id: number): number | undefined {
    return this.#blobs.get(id)?.bytes;
  }

  /** Makes a staged blob part of a log. */
  attach(id: number, log: number, offset: number): void {
    const blob = this.#staged(id);
    blob.log = log;
    blob.offset = offset;
    const list = this.#byLog.get(log);
    if (list === undefined) this.#byLog.set(log, [id]);
    else list.push(id);
  }

  /** Gives up a staged blob. */
  discard(id: number): void {
    this.#staged(id);
    this.#kill(id);
  }

  /** Gives up a log's blobs below `begin`. */
  trim(log: number, begin: number): void {
    const list = this.#byLog.get(log);
    if (list === undefined) return;
    const kept = list.findIndex((id) => this.#offsetOf(id) >= begin);
    const gone = list.splice(0, kept === -1 ? list.length : kept);
    for (const id of gone) this.#kill(id);
    if (list.length === 0) this.#byLog.delete(log);
  }

  /** The entry of the small state. */
  entry(id: number): Uint8Array {
    const { bytes, log, offset } = this.#info(id);
    const entry = new Uint8Array(3 * VARINT_BYTES_MAX);
    let at = writeVarint(entry, 0, bytes);
    at = writeVarint(entry, at, log);
    at = writeVarint(entry, at, offset);
    return entry.slice(0, at);
  }

  /**
   * Loads entries at opening: what belongs to no log, or below its begin, goes.
   *
   * @param beginOf The begin of a log, `undefined` if there is none.
   */
  load(
    entries: ReadonlyMap<number, Uint8Array>,
    beginOf: (log: number) => number | undefined,
  ): void {
    const attached: number[] = [];
    for (const [id, entry] of entries) {
      const reader = new VarintReader(entry);
      const blob = {
        bytes: reader.next(),
        log: reader.next(),
        offset: reader.next(),
      };
      this.#blobs.set(id, blob);
      this.#bytes += blob.bytes;
      if (blob.offset >= (beginOf(blob.log) ?? Infinity)) attached.push(id);
      else this.#kill(id);
    }
    attached.sort((a, b) => this.#offsetOf(a) - this.#offsetOf(b));
    for (const id of attached) {
      const { log } = this.#info(id);
      const list = this.#byLog.get(log) ?? [];
      list.push(id);
      this.#byLog.set(log, list);
    }
  }

  /** Takes up to `most` parts to delete; `ended` are the blobs that are gone with them. */
  takeDead(most: number): { deletes: Mutation[]; ended: number[] } {
    const deletes: Mutation[] = [];
    const ended: number[] = [];
    while (deletes.length < most && this.#dying.length > 0) {
      const dying = this.#dying[0];
      while (dying.parts > 0 && deletes.length < most) {
        deletes.push({ key: blobKey(dying.id, --dying.parts), value: null });
      }
      if (dying.parts > 0) break;
      ended.push(dying.id);
      this.#bytes -= dying.bytes;
      this.#dying.shift();
    }
    return { deletes, ended };
  }

  #kill(id: number): void {
    const { bytes } = this.#info(id);
    this.#blobs.delete(id);
    this.#dying.push({ id, parts: blobPartCount(bytes), bytes });
  }

  #staged(id: number): BlobInfo {
    const blob = this.#info(id);
    if (blob.log !== 0) {
      throw new RangeError(`Cannot use blob ${id}: it belongs to a log`);
    }
    return blob;
  }

  #info(id: number): BlobInfo {
    const blob = this.#blobs.get(id);
    if (blob === undefined) {
      throw new RangeError(`Cannot use blob ${id}: there is none`);
    }
    return blob;
  }

  #offsetOf(id: number): number {
    return this.#info(id).offset;
  }
}
