/**
 * Records that a broker can carry, each with a number in it.
 *
 * @module
 */

import { forEachRecord } from "../../protocol/batch.ts";

/** A record with a number and so many bytes in all, at least 9. */
export function recordOf(number: number, bytes = 9): Uint8Array {
  const content = Math.max(4, bytes - 5);
  const record = new Uint8Array(5 + content);
  const view = new DataView(record.buffer);
  view.setUint8(0, 0x5a);
  view.setUint32(1, content);
  view.setUint32(5, number);
  return record;
}

/** Records back to back. */
export function batchOf(numbers: readonly number[], bytes = 9): Uint8Array {
  const records = numbers.map((number) => recordOf(number, bytes));
  const batch = new Uint8Array(records.reduce((sum, r) => sum + r.length, 0));
  let at = 0;
  for (const record of records) {
    batch.set(record, at);
    at += record.length;
  }
  return batch;
}

/** The numbers of a batch's records. */
export function numbersOf(batch: Uint8Array): number[] {
  const numbers: number[] = [];
  forEachRecord(batch, (content) => {
    numbers.push(numberOf(content));
  });
  return numbers;
}

/** The number of a record's content. */
export function numberOf(content: Uint8Array): number {
  return new DataView(content.buffer, content.byteOffset).getUint32(0);
}

/** An id of 16 bytes made of a number. */
export function idOf(number: number): Uint8Array {
  const id = new Uint8Array(16);
  new DataView(id.buffer).setUint32(0, number);
  return id;
}
