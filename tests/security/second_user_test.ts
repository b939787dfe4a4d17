/**
 * Another user of this operating system can neither read the data nor talk to the
 * sockets: tried by a process of user `nobody`.
 *
 * @module
 */

import assert from "node:assert/strict";
import { Broker } from "../../broker/broker.ts";
import { Daemon } from "../../daemon/daemon.ts";
import { Mom } from "../../daemon/client.ts";
import { encodeFrame } from "../../protocol/frames.ts";
import { helloOf } from "../fuzz/raw_client.ts";
import { eventually } from "../helpers/eventually.ts";
import { TempFolder } from "../helpers/temp_folder.ts";
import { Cluster } from "../process/cluster.ts";

const NOBODY = 65_534;
const TOKEN = "0123456789abcdef".repeat(4);
const isUnix = Deno.build.os !== "windows";
// Nobody but root can start a process of another user.
const isRoot = isUnix && Deno.uid() === 0;

/** Files and folders below a folder, the ones that others may do anything with. */
async function openToOthers(folder: string): Promise<string[]> {
  const open: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const path = `${folder}/${name}`;
    const { mode } = await Deno.lstat(path);
    if ((mode! & 0o077) !== 0) open.push(`${path} ${mode!.toString(8)}`);
    if (isDirectory) open.push(...await openToOthers(path));
  }
  return open;
}

async function allBelow(folder: string): Promise<string[]> {
  const paths: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    paths.push(`${folder}/${name}`);
    if (isDirectory) paths.push(...await allBelow(`${folder}/${name}`));
  }
  return paths;
}

/** Runs with a umask that takes nothing away, as careless as can be. */
async function withoutUmask<T>(act: () => Promise<T>): Promise<T> {
  const before = Deno.umask(0);
  try {
    return await act();
  } finally {
    Deno.umask(before);
  }
}

/** What the guest runs: tells what it got, one word for each thing tried. */
const GUEST = `
const { paths, socket, hostname, port, hello, auth } = JSON.parse(Deno.args[0]);
const got = [];
for (const path of paths) {
  try {
    const { isDirectory } = await Deno.stat(path);
    if (isDirectory) [...Deno.readDirSync(path)];
    else await Deno.readFile(path);
    got.push("read " + path);
  } catch (error) {
    if (!(error instanceof Deno.errors.PermissionDenied)) got.push(String(error));
  }
}
try {
  (await Deno.connect({ transport: "unix", path: socket })).close();
  got.push("connected to " + socket);
} catch (error) {
  if (!(error instanceof Deno.errors.PermissionDenied)) got.push(String(error));
}
const conn = await Deno.connect({ hostname, port });
const say = (hex) => conn.write(Uint8Array.fromHex(hex));
const buffer = new Uint8Array(4096);
await say(hello);
await conn.read(buffer);
await say(auth);
const count = await conn.read(buffer);
conn.close();
const answer = new TextDecoder().decode(buffer.subarray(0, count ?? 0));
got.push("tcp " + (answer.includes("unauthorized") ? "unauthorized" : answer));
console.log(JSON.stringify({ uid: Deno.uid(), got }));
`;

/** Runs the guest as nobody, with a Deno that it can reach. */
async function runGuest(
  question: unknown,
): Promise<{ uid: number; got: string[] }> {
  await using folder = await TempFolder.make();
  await Deno.chmod(folder.path, 0o777);
  const deno = `${folder.path}/deno`;
  await Deno.copyFile(Deno.execPath(), deno);
  await Deno.chmod(deno, 0o755);
  const script = `${folder.path}/guest.ts`;
  await Deno.writeTextFile(script, GUEST);
  await Deno.chmod(script, 0o644);
  const { stdout, stderr } = await new Deno.Command(deno, {
    args: [
      "run",
      "--allow-all",
      "--no-config",
      script,
      JSON.stringify(question),
    ],
    cwd: folder.path,
    env: { DENO_DIR: `${folder.path}/cache`, HOME: folder.path, NO_COLOR: "1" },
    clearEnv: true,
    uid: NOBODY,
    gid: NOBODY,
  }).output();
  const text = new TextDecoder();
  const line = text.decode(stdout).trim();
  assert(line.startsWith("{"), text.decode(stderr));
  return JSON.parse(line);
}

Deno.test({
  name: "another user of the system reads nothing and talks to nobody",
  // Skipped: a process of another user can be started by root alone.
  ignore: !isRoot,
  async fn() {
    await using cluster = await withoutUmask(() =>
      Cluster.start({ machines: ["north"] })
    );
    const { path } = cluster.folder;
    // What keeps others out must be what the programs made, not this folder.
    await Deno.chmod(path, 0o755);
    const paths = await allBelow(path);
    for (const name of ["store.kv", "lock", ".sock", "tokens/", ".token"]) {
      assert(paths.some((each) => each.includes(name)), name);
    }
    assert.deepEqual(await openToOthers(path), []);
    // That the guest can read at all is seen by this one.
    const notice = `${path}/notice`;
    await Deno.writeTextFile(notice, "for everybody");
    await Deno.chmod(notice, 0o644);
    const [hostname, port] = cluster.brokerAddress.split(":");
    const { uid, got } = await runGuest({
      paths: [notice, ...paths.filter((each) => !each.endsWith(".sock"))],
      socket: cluster.daemonAddress("north").replace("unix:", ""),
      hostname,
      port: Number(port),
      hello: encodeFrame(helloOf()).toHex(),
      auth: encodeFrame({ type: "AUTH", proof: new Uint8Array(32) }).toHex(),
    });
    assert.equal(uid, NOBODY);
    assert.deepEqual(got, [`read ${notice}`, "tcp unauthorized"]);
  },
});

Deno.test({
  name: "the library, too, makes what only its owner can read",
  // Skipped: Windows has other rights than modes.
  ignore: !isUnix,
  async fn() {
    await using folder = await TempFolder.make();
    const { path } = folder;
    // What was there before with other rights is taken back.
    await Deno.mkdir(`${path}/broker`);
    await Deno.chmod(`${path}/broker`, 0o755);
    await withoutUmask(async () => {
      await using broker = await Broker.start({
        data: `${path}/broker`,
        port: 0,
        tokenFile: `${path}/tokens/broker`,
      });
      await using daemon = await Daemon.start({
        data: `${path}/daemon`,
        broker: broker.address,
        brokerToken: broker.token,
        listen: { path: `${path}/mom.sock` },
        machine: "north",
      });
      await using mom = await Mom.connect({ daemon: daemon.address });
      await mom.publish("t", new Uint8Array(100_000), { level: "broker" });
      await eventually(
        "the database's log",
        async () =>
          (await allBelow(path)).some((each) => each.endsWith("-wal")),
      );
      const names = (await allBelow(path)).map((each) =>
        each.split("/").at(-1)
      );
      for (const name of ["store.kv", "lock", "mom.sock", "mom.sock.token"]) {
        assert(names.includes(name), name);
      }
      assert.deepEqual(await openToOthers(path), []);
    });
  },
});

Deno.test({
  name: "a backup is its owner's alone, also in a folder of all",
  // Skipped: Windows has other rights than modes.
  ignore: !isUnix,
  async fn() {
    await using folder = await TempFolder.make();
    await Deno.chmod(folder.path, 0o777);
    await withoutUmask(async () => {
      await using broker = await Broker.start({
        data: `${folder.path}/broker`,
        port: 0,
        token: TOKEN,
      });
      await using daemon = await Daemon.start({
        broker: broker.address,
        brokerToken: TOKEN,
        token: TOKEN,
        listen: { port: 0 },
        data: `${folder.path}/daemon`,
        machine: "north",
      });
      for (const [name, part] of Object.entries({ broker, daemon })) {
        const file = `${folder.path}/${name}.backup`;
        await part.backup(file);
        await part.backup(file, { force: true });
        const { mode } = await Deno.stat(file);
        assert.equal((mode! & 0o777).toString(8), "600", file);
      }
    });
    assert.deepEqual(await openToOthers(folder.path), []);
  },
});
