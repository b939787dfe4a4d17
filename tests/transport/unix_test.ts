import assert from "node:assert/strict";
import { dial, listen } from "../../transport/dial.ts";
import { socketPathBytesMax } from "../../transport/unix.ts";
import { MomError } from "../../protocol/errors.ts";
import { testConnections } from "./conformance.ts";

const hasUnixSockets = Deno.build.os !== "windows";

if (hasUnixSockets) {
  testConnections("unix", async () => {
    const folder = await Deno.makeTempDir({ prefix: "mom-" });
    const listener = listen({ path: `${folder}/mom.sock` });
    return {
      listener,
      dial: (options) => dial(listener.address, options),
      heldBytesMax: 16_000_000,
      end: () => Deno.remove(folder, { recursive: true }),
    };
  });

  Deno.test("listenUnix() makes a socket for its owner alone, whatever the umask", async () => {
    const folder = await Deno.makeTempDir({ prefix: "mom-" });
    const before = Deno.umask(0);
    try {
      const path = `${folder}/mom.sock`;
      const listener = listen({ path });
      assert.equal(Deno.lstatSync(path).mode! & 0o777, 0o600);
      assert.equal(Deno.umask(0), 0);
      listener.close();
    } finally {
      Deno.umask(before);
      await Deno.remove(folder, { recursive: true });
    }
  });

  Deno.test({
    name:
      "listenUnix() makes such a socket also where the umask may not be set",
    permissions: { net: true, read: true, write: true },
    fn: async () => {
      const folder = await Deno.makeTempDir({ prefix: "mom-" });
      const path = `${folder}/mom.sock`;
      const listener = listen({ path });
      assert.equal(Deno.lstatSync(path).mode! & 0o777, 0o600);
      listener.close();
      await Deno.remove(folder, { recursive: true });
    },
  });

  Deno.test("listenUnix() removes its socket file when closed", async () => {
    const folder = await Deno.makeTempDir({ prefix: "mom-" });
    const path = `${folder}/mom.sock`;
    listen({ path }).close();
    assert.deepEqual([...Deno.readDirSync(folder)], []);
    await Deno.remove(folder, { recursive: true });
  });

  Deno.test("listenUnix() takes over a socket left behind only when told to", async () => {
    const folder = await Deno.makeTempDir({ prefix: "mom-" });
    const path = `${folder}/mom.sock`;
    // A second name for the socket outlives its listener, as after a kill.
    const ended = listen({ path: `${folder}/ended` });
    await Deno.link(`${folder}/ended`, path);
    ended.close();
    assert.equal(Deno.lstatSync(path).isSocket, true);
    assert.throws(
      () => listen({ path }),
      (error: unknown) =>
        error instanceof MomError && error.code === "option_invalid",
    );
    const listener = listen({ path }, { removeStale: true });
    const [client, server] = await Promise.all([
      dial(listener.address),
      listener.accept(),
    ]);
    client.close();
    server!.close();
    listener.close();
    await Deno.remove(folder, { recursive: true });
  });

  Deno.test("listenUnix() never removes a file that is no socket", async () => {
    const folder = await Deno.makeTempDir({ prefix: "mom-" });
    const path = `${folder}/mom.sock`;
    await Deno.writeTextFile(path, "precious");
    assert.throws(() => listen({ path }, { removeStale: true }), MomError);
    assert.equal(await Deno.readTextFile(path), "precious");
    await Deno.remove(folder, { recursive: true });
  });

  Deno.test("listenUnix() and dialUnix() say so when a path is too long", async () => {
    const path = `/tmp/${"a".repeat(socketPathBytesMax())}`;
    assert.throws(
      () => listen({ path }),
      (error: unknown) =>
        error instanceof MomError && error.code === "option_invalid" &&
        error.message.includes(String(socketPathBytesMax())),
    );
    await assert.rejects(dial({ path }), MomError);
  });
}
