import assert from "node:assert/strict";
import { dial, listen } from "../../transport/dial.ts";
import { ACCEPT_REST_MS, ConnListener } from "../../transport/conn_listener.ts";
import {
  CHUNK_BYTES_FIRST,
  CHUNK_BYTES_MAX,
  ConnStream,
} from "../../transport/conn_stream.ts";
import { MomError } from "../../protocol/errors.ts";
import { testConnections } from "./conformance.ts";

testConnections("tcp", () => {
  const listener = listen("127.0.0.1:0");
  return {
    listener,
    dial: (options) => dial(listener.address, options),
    heldBytesMax: 16_000_000,
    end: () => {},
  };
});

Deno.test("listen() tells the port that it was given for port 0", () => {
  const listener = listen({ hostname: "127.0.0.1", port: 0 });
  assert.match(listener.address, /^127\.0\.0\.1:[1-9]\d*$/);
  listener.close();
});

Deno.test("listen() fails with option_invalid when the port is taken", () => {
  const listener = listen("127.0.0.1:0");
  assert.throws(
    () => listen(listener.address),
    (error: unknown) =>
      error instanceof MomError && error.code === "option_invalid" &&
      error.message.includes(listener.address),
  );
  listener.close();
});

Deno.test("dial() names the address when nobody listens there", async () => {
  const listener = listen("127.0.0.1:0");
  const { address } = listener;
  listener.close();
  await assert.rejects(dial(address), (error: Error) => {
    assert(error.message.includes(address), error.message);
    return error.cause instanceof Deno.errors.ConnectionRefused;
  });
});

/** A connection that hands out `sizes` bytes a read, and notes the buffers. */
function scriptedConn(sizes: number[]): {
  conn: Deno.Conn;
  buffers: ArrayBufferLike[];
  offered: number[];
} {
  const buffers: ArrayBufferLike[] = [];
  const offered: number[] = [];
  const conn = {
    read(space: Uint8Array): Promise<number | null> {
      buffers.push(space.buffer);
      offered.push(space.length);
      const size = sizes.shift();
      return Promise.resolve(
        size === undefined ? null : Math.min(size, space.length),
      );
    },
    close(): void {},
  };
  return { conn: conn as unknown as Deno.Conn, buffers, offered };
}

Deno.test("ConnStream.read() shares one chunk among small reads, behind a small first one", async () => {
  const { conn, buffers } = scriptedConn(new Array(400).fill(100));
  const stream = new ConnStream(conn, { remote: "test", isLocal: true });
  while (await stream.read() !== null);
  assert.equal(new Set(buffers).size, 2);
});

Deno.test("ConnStream.read() takes larger chunks when they come in full", async () => {
  const { conn, offered } = scriptedConn(new Array(6).fill(10_000_000));
  const stream = new ConnStream(conn, { remote: "test", isLocal: true });
  while (await stream.read() !== null);
  assert.deepEqual(offered.slice(0, 1), [CHUNK_BYTES_FIRST]);
  assert.equal(offered.at(-1), CHUNK_BYTES_MAX);
});

Deno.test("ConnListener.accept() rests and goes on after a failure", async () => {
  let failures = 2;
  const rests: number[] = [];
  const conn = {} as Deno.Conn;
  const stream = new ConnStream(conn, { remote: "test", isLocal: true });
  const listener = new ConnListener({
    accept: () =>
      failures-- > 0
        ? Promise.reject(new Error("Too many open files"))
        : Promise.resolve(conn),
    close: () => {},
  }, {
    address: "test",
    wrap: () => stream,
    clock: {
      wallMs: () => 0,
      monotonicMs: () => 0,
      setTimer(delayMs, callback) {
        rests.push(delayMs);
        queueMicrotask(callback);
        return { cancel: () => {} };
      },
    },
  });
  assert.equal(await listener.accept(), stream);
  assert.deepEqual(rests, [ACCEPT_REST_MS, ACCEPT_REST_MS]);
});

Deno.test("ConnListener.close() wakes an accept() that rests", async () => {
  let isResting = (_: unknown) => {};
  const resting = new Promise((resolve) => isResting = resolve);
  let isCancelled = false;
  const listener = new ConnListener({
    accept: () => Promise.reject(new Error("Too many open files")),
    close: () => {},
  }, {
    address: "test",
    wrap: () => assert.fail(),
    clock: {
      wallMs: () => 0,
      monotonicMs: () => 0,
      setTimer() {
        isResting(null);
        return { cancel: () => isCancelled = true };
      },
    },
  });
  const accepting = listener.accept();
  await resting;
  listener.close();
  assert.equal(await accepting, null);
  assert.equal(isCancelled, true);
});
