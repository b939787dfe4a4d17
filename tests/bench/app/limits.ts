/**
 * What the machine itself can do: commits of Deno KV, round trips over TCP.
 *
 * @module
 */

import { percentileOf } from "../statistics.ts";

const VALUE_BYTES = 100;
const BULK_VALUE_BYTES = 60 * 1024;
const BULK_VALUES = 12;
const PING_BYTES = 64;

/** Microseconds of one commit after another, each synced: the middle one. */
export async function kvCommitMicros(
  folder: string,
  seconds: number,
): Promise<number> {
  using kv = await Deno.openKv(`${folder}/commits.sqlite`);
  const value = new Uint8Array(VALUE_BYTES);
  return await middleMicros(seconds, async (index) => {
    await kv.atomic().set([index], value).commit();
  });
}

/**
 * MB/s of commits as full as they may be, one after another: what moves from SQLite's
 * log to its file meanwhile counts, too, so it is all bytes in all of the time.
 */
export async function kvBulkRate(
  folder: string,
  seconds: number,
): Promise<number> {
  using kv = await Deno.openKv(`${folder}/bulk.sqlite`);
  const value = new Uint8Array(BULK_VALUE_BYTES);
  const startMs = performance.now();
  const endMs = startMs + seconds * 1_000;
  let commits = 0;
  while (performance.now() < endMs) {
    const commit = kv.atomic();
    for (let each = 0; each < BULK_VALUES; each++) {
      commit.set([commits, each], value);
    }
    await commit.commit();
    commits++;
  }
  const bytes = commits * BULK_VALUES * BULK_VALUE_BYTES;
  return bytes / (performance.now() - startMs) / 1_000;
}

/** Sends back what comes, on a port that it gives. */
export function echo(): number {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  void (async () => {
    const connection = await listener.accept();
    connection.setNoDelay();
    listener.close();
    const buffer = new Uint8Array(PING_BYTES);
    for (let count; (count = await connection.read(buffer)) !== null;) {
      await connection.write(buffer.subarray(0, count));
    }
    connection.close();
  })();
  return listener.addr.port;
}

/** Microseconds to an `echo` in another process and back: the middle one. */
export async function roundTripMicros(
  port: number,
  seconds: number,
): Promise<number> {
  using connection = await Deno.connect({ hostname: "127.0.0.1", port });
  connection.setNoDelay();
  const buffer = new Uint8Array(PING_BYTES);
  return await middleMicros(seconds, async () => {
    await connection.write(buffer);
    for (let got = 0; got < PING_BYTES;) {
      got += await connection.read(buffer) ?? PING_BYTES;
    }
  });
}

async function middleMicros(
  seconds: number,
  step: (index: number) => Promise<void>,
): Promise<number> {
  const times: number[] = [];
  const endMs = performance.now() + seconds * 1_000;
  for (let index = 0; performance.now() < endMs; index++) {
    const startMs = performance.now();
    await step(index);
    times.push((performance.now() - startMs) * 1_000);
  }
  return percentileOf(times, 0.5);
}
