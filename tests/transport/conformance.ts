/** What every kind of connection must do, as a function of how to make one. */

import assert from "node:assert/strict";
import type { ByteListener, ByteStream } from "../../protocol/byte_stream.ts";
import { fc } from "../../deps/fast_check.ts";

/** A listener and the way to it. */
export interface Ground {
  listener: ByteListener;
  dial(options?: { signal?: AbortSignal }): Promise<ByteStream>;
  /** Whether a writer waits when nobody reads, and after how many bytes at most. */
  heldBytesMax: number;
  end(): Promise<void> | void;
}

/** Both ends of one connection, closed at the end. */
async function withPair(
  open: () => Promise<Ground> | Ground,
  body: (client: ByteStream, server: ByteStream) => Promise<void>,
): Promise<void> {
  const ground = await open();
  const [client, server] = await Promise.all([
    ground.dial(),
    ground.listener.accept(),
  ]);
  assert(server !== null);
  try {
    await body(client, server);
  } finally {
    client.close();
    server.close();
    ground.listener.close();
    await ground.end();
  }
}

/** Reads until `length` bytes are there; keeps the views that were handed out. */
async function readViews(
  stream: ByteStream,
  length: number,
): Promise<Uint8Array[]> {
  const views: Uint8Array[] = [];
  let count = 0;
  while (count < length) {
    const view = await stream.read();
    assert(view !== null, `ended after ${count} of ${length} bytes`);
    assert(view.length > 0, "an empty read");
    views.push(view);
    count += view.length;
  }
  assert.equal(count, length);
  return views;
}

function join(views: Uint8Array[]): Uint8Array {
  const length = views.reduce((sum, view) => sum + view.length, 0);
  const whole = new Uint8Array(length);
  let at = 0;
  for (const view of views) {
    whole.set(view, at);
    at += view.length;
  }
  return whole;
}

/** `length` bytes that differ from place to place. */
function pattern(length: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let index = 0; index < length; index++) {
    bytes[index] = (index * 31 + (index >> 8) * 7 + seed) & 0xff;
  }
  return bytes;
}

/** Registers the tests for the kind of connection called `name`. */
export function testConnections(
  name: string,
  open: () => Promise<Ground> | Ground,
): void {
  Deno.test(`${name}: what one end writes the other reads, in both directions`, () =>
    withPair(open, async (client, server) => {
      await client.write(new TextEncoder().encode("ask"));
      assert.deepEqual(
        join(await readViews(server, 3)),
        new TextEncoder().encode("ask"),
      );
      await server.write(new TextEncoder().encode("answer"));
      assert.deepEqual(
        join(await readViews(client, 6)),
        new TextEncoder().encode("answer"),
      );
    }));

  Deno.test(`${name}: write() hands on all bytes when they exceed every buffer`, () =>
    withPair(open, async (client, server) => {
      const bytes = pattern(9_000_000, 1);
      const [, views] = await Promise.all([
        client.write(bytes),
        readViews(server, bytes.length),
      ]);
      assert(Buffer.compare(join(views), bytes) === 0);
    }));

  Deno.test(`${name}: read() never writes again what it has handed out`, () =>
    withPair(open, async (client, server) => {
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.integer({ min: 1, max: 40_000 }), {
            minLength: 1,
            maxLength: 40,
          }),
          async (sizes) => {
            const parts = sizes.map((size, index) => pattern(size, index));
            const sent = join(parts);
            const [, views] = await Promise.all([
              (async () => {
                for (const part of parts) await client.write(part);
              })(),
              readViews(server, sent.length),
            ]);
            // Compared only after all has been read.
            assert(Buffer.compare(join(views), sent) === 0);
          },
        ),
        { numRuns: 15 },
      );
    }));

  Deno.test(`${name}: write() leaves the bytes to their owner once it resolves`, () =>
    withPair(open, async (client, server) => {
      const bytes = pattern(1000, 3);
      const copy = bytes.slice();
      await client.write(bytes);
      bytes.fill(0);
      assert.deepEqual(join(await readViews(server, 1000)), copy);
    }));

  Deno.test(`${name}: write() waits when the other end does not read`, () =>
    withPair(open, async (client, server) => {
      const ground = await open();
      const limit = ground.heldBytesMax;
      ground.listener.close();
      await ground.end();
      const bytes = pattern(limit + 1_000_000, 4);
      let isDone = false;
      const writing = client.write(bytes).then(() => {
        isDone = true;
      });
      // A round trip the other way: time enough for a write that does not wait.
      await server.write(new Uint8Array(1));
      await readViews(client, 1);
      assert.equal(isDone, false);
      await readViews(server, bytes.length);
      await writing;
      assert.equal(isDone, true);
    }));

  Deno.test(`${name}: write() refuses a second one while the first is under way`, () =>
    withPair(open, async (client, server) => {
      const bytes = pattern(20_000_000, 5);
      const first = client.write(bytes);
      await assert.rejects(client.write(new Uint8Array(1)), Error);
      await readViews(server, bytes.length);
      await first;
    }));

  Deno.test(`${name}: read() gives what was written before the end, then null`, () =>
    withPair(open, async (client, server) => {
      await client.write(pattern(5000, 6));
      client.close();
      assert.deepEqual(join(await readViews(server, 5000)), pattern(5000, 6));
      assert.equal(await server.read(), null);
      assert.equal(await server.read(), null);
    }));

  Deno.test(`${name}: close() ends a waiting read with null, twice is once`, () =>
    withPair(open, async (client) => {
      const reading = client.read();
      client.close();
      client.close();
      assert.equal(await reading, null);
      assert.equal(await client.read(), null);
    }));

  Deno.test(`${name}: close() rejects a waiting write`, () =>
    withPair(open, async (client) => {
      const writing = client.write(pattern(20_000_000, 7));
      const rejected = assert.rejects(writing, /Cannot write to/);
      client.close();
      await rejected;
      await assert.rejects(client.write(new Uint8Array(1)), /Cannot write to/);
    }));

  Deno.test(`${name}: write() rejects when the other end is gone`, () =>
    withPair(open, async (client, server) => {
      server.close();
      // The first writes may still find room in a buffer of the system.
      await assert.rejects(async () => {
        for (let count = 0; count < 100; count++) {
          await client.write(pattern(1_000_000, count));
        }
      }, /Cannot write to/);
      client.close();
      assert.equal(await client.read(), null);
    }));

  Deno.test(`${name}: accept() gives null when the listener is closed`, async () => {
    const ground = await open();
    const accepting = ground.listener.accept();
    ground.listener.close();
    ground.listener.close();
    assert.equal(await accepting, null);
    assert.equal(await ground.listener.accept(), null);
    await assert.rejects(ground.dial(), /Cannot connect to/);
    await ground.end();
  });

  Deno.test(`${name}: accepted connections outlive their listener`, async () => {
    const ground = await open();
    const [client, server] = await Promise.all([
      ground.dial(),
      ground.listener.accept(),
    ]);
    ground.listener.close();
    await client.write(new Uint8Array([1, 2, 3]));
    assert.deepEqual(
      join(await readViews(server!, 3)),
      new Uint8Array([1, 2, 3]),
    );
    client.close();
    server!.close();
    await ground.end();
  });

  Deno.test(`${name}: dial() rejects with the signal's reason when aborted`, async () => {
    const ground = await open();
    const reason = new Error("no longer wanted");
    await assert.rejects(
      ground.dial({ signal: AbortSignal.abort(reason) }),
      reason,
    );
    ground.listener.close();
    await ground.end();
  });

  Deno.test(`${name}: both ends are local and say where the other is`, () =>
    withPair(open, (client, server) => {
      assert.equal(client.isLocal, true);
      assert.equal(server.isLocal, true);
      assert.notEqual(client.remote, "");
      assert.notEqual(server.remote, "");
      return Promise.resolve();
    }));
}
