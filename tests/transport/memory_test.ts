import assert from "node:assert/strict";
import { MemoryNetwork, memoryPair } from "../../transport/memory.ts";
import { PIPE_BUFFER_BYTES_MAX } from "../../transport/memory_pipe.ts";
import { testConnections } from "./conformance.ts";

testConnections("memory", () => {
  const network = new MemoryNetwork();
  const listener = network.listen("127.0.0.1:0");
  return {
    listener,
    dial: (options) => network.dial(listener.address, options),
    heldBytesMax: PIPE_BUFFER_BYTES_MAX,
    end: () => {},
  };
});

Deno.test("memoryPair() cuts reads down to readBytesMax", async () => {
  const [left, right] = memoryPair({ readBytesMax: 1 });
  await left.write(new Uint8Array([1, 2]));
  assert.deepEqual(await right.read(), new Uint8Array([1]));
  assert.deepEqual(await right.read(), new Uint8Array([2]));
  left.close();
  right.close();
});

async function connected(network: MemoryNetwork) {
  const listener = network.listen("broker:1");
  const client = await network.dial("broker:1");
  const server = await listener.accept();
  assert(server !== null);
  return { listener, client, server };
}

Deno.test("MemoryNetwork.cut() ends both ends and loses what was on the way", async () => {
  const network = new MemoryNetwork();
  const { listener, client, server } = await connected(network);
  await client.write(new Uint8Array(10));
  network.cut("broker:1");
  assert.equal(await server.read(), null);
  assert.equal(await client.read(), null);
  await assert.rejects(client.write(new Uint8Array(1)), /closed/);
  assert.deepEqual(network.connections, []);
  listener.close();
});

Deno.test("MemoryNetwork.pause() holds bytes and ends back until resume()", async () => {
  const network = new MemoryNetwork();
  const { listener, client, server } = await connected(network);
  network.pause();
  await client.write(new Uint8Array([7]));
  client.close();
  // The other end learns nothing: it may write on.
  await server.write(new Uint8Array([8]));
  const reading = server.read();
  const first = await Promise.race([reading, Promise.resolve("nothing yet")]);
  assert.equal(first, "nothing yet");
  network.resume();
  assert.deepEqual(await reading, new Uint8Array([7]));
  assert.equal(await server.read(), null);
  await assert.rejects(server.write(new Uint8Array(1)), /closed/);
  server.close();
  listener.close();
});

Deno.test("MemoryNetwork.down() refuses connections until up()", async () => {
  const network = new MemoryNetwork();
  const { listener, client } = await connected(network);
  network.down();
  assert.equal(await client.read(), null);
  await assert.rejects(network.dial("broker:1"), /Cannot connect/);
  network.up();
  const again = await network.dial("broker:1");
  again.close();
  listener.close();
});

Deno.test("MemoryNetwork.listen() refuses an address that is taken, until closed", () => {
  const network = new MemoryNetwork();
  const listener = network.listen("unix:/a");
  assert.throws(() => network.listen({ path: "/a" }), /in use/);
  listener.close();
  network.listen("unix:/a").close();
});
