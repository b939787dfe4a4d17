import assert from "node:assert/strict";
import { eventually } from "../helpers/eventually.ts";
import { Random } from "../helpers/random.ts";
import { type Cut, RoughProxy } from "../helpers/rough_proxy.ts";
import type { ByteStream } from "../../protocol/byte_stream.ts";
import { dial, listen } from "../../transport/dial.ts";

/** A proxy before a listener, with one connection. */
async function connectThrough() {
  const listener = listen("127.0.0.1:0");
  const proxy = new RoughProxy(new Random(1));
  const client = await dial(proxy.standBefore(listener.address));
  const server = await listener.accept();
  assert(server !== null);
  return {
    proxy,
    client,
    server,
    [Symbol.asyncDispose]: async () => {
      client.close();
      server.close();
      listener.close();
      await proxy[Symbol.asyncDispose]();
    },
  };
}

async function readAll(stream: ByteStream, count: number): Promise<number[]> {
  const all: number[] = [];
  while (all.length < count) {
    const chunk = await stream.read();
    if (chunk === null) break;
    all.push(...chunk);
  }
  return all;
}

Deno.test("RoughProxy passes bytes on late and in drips, in order, both ways", async () => {
  await using all = await connectThrough();
  all.proxy.weather = { delayMs: [5, 30], drip: { bytes: 7, everyMs: 1 } };
  const bytes = Uint8Array.from({ length: 500 }, (_, index) => index & 0xff);
  for (
    const [from, to] of [
      [all.client, all.server],
      [all.server, all.client],
    ]
  ) {
    await from.write(bytes.subarray(0, 100));
    await from.write(bytes.subarray(100));
    assert.deepEqual(await readAll(to, 500), [...bytes]);
  }
});

for (const how of ["fin", "rst", "frame"] satisfies Cut[]) {
  Deno.test(`RoughProxy cuts a connection by ${how}`, async () => {
    await using all = await connectThrough();
    all.proxy.cut(how);
    const bytes = new Uint8Array(1_000);
    await all.client.write(bytes).catch(() => {});
    const got = await readAll(all.server, 1_000);
    assert.ok(got.length < 1_000);
    assert.equal(await all.client.read(), null);
    await eventually("its end", () => all.proxy.open === 0);
  });
}

Deno.test("RoughProxy falls silent: nothing passes, and nobody is told", async () => {
  await using all = await connectThrough();
  all.proxy.fallSilent();
  await all.client.write(new Uint8Array(10));
  let heard: Uint8Array | null | undefined;
  const reading = all.server.read().then((chunk) => heard = chunk);
  all.client.close();
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.equal(heard, undefined);
  assert.equal(all.proxy.open, 1);
  all.proxy.cut("fin");
  await reading;
  assert.equal(heard, null);
});
