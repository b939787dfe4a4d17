import assert from "node:assert/strict";
import { MomError } from "../../protocol/errors.ts";
import {
  brokerDataFolder,
  daemonDataFolder,
  daemonSocketAddress,
  defaultDaemonAddress,
  defaultMachine,
  makePrivateFolder,
  stateFolder,
  toAbsoluteData,
} from "../../program/folders.ts";

const named = (values: Record<string, string>) => ({
  environment: (name: string) => values[name],
});

Deno.test("stateFolder() prefers XDG_STATE_HOME, else lies below HOME", () => {
  const home = { HOME: "/home/ana" };
  assert.equal(stateFolder(named(home)), "/home/ana/.local/state/mom");
  const both = { ...home, XDG_STATE_HOME: "/state" };
  assert.equal(stateFolder(named(both)), "/state/mom");
  const relative = { ...home, XDG_STATE_HOME: "state" };
  assert.equal(stateFolder(named(relative)), "/home/ana/.local/state/mom");
  assert.equal(brokerDataFolder(named(both)), "/state/mom/broker");
  assert.equal(
    daemonDataFolder("north", named(both)),
    "/state/mom/daemon/north",
  );
});

Deno.test("stateFolder() fails with option_invalid when the environment is empty", () => {
  assert.throws(
    () => stateFolder(named({})),
    (error: unknown) =>
      error instanceof MomError && error.code === "option_invalid",
  );
});

Deno.test("defaultDaemonAddress() is MOM_DAEMON, else this host's daemon", () => {
  const told = named({ MOM_DAEMON: "127.0.0.1:7", HOME: "/h" });
  assert.deepEqual(defaultDaemonAddress(told), {
    hostname: "127.0.0.1",
    port: 7,
  });
  assert.throws(
    () => defaultDaemonAddress(named({ MOM_DAEMON: "nonsense" })),
    MomError,
  );
  const machine = defaultMachine();
  assert.equal(
    defaultDaemonAddress(named({ HOME: "/h" })),
    daemonSocketAddress(`/h/.local/state/mom/daemon/${machine}`),
  );
});

Deno.test("defaultMachine() is a name that a machine can have", () => {
  assert.match(defaultMachine(), /^[^\s\p{Cc}./:!+#@$]+$/u);
});

Deno.test("toAbsoluteData() makes folders absolute and leaves the rest alone", () => {
  assert.equal(toAbsoluteData("a/../b"), `${Deno.cwd()}/b`);
  for (const data of ["/a/b", ":memory:", "https://kv.example/x"]) {
    assert.equal(toAbsoluteData(data), data);
  }
});

Deno.test("makePrivateFolder() makes folders that only the owner can enter", async () => {
  const base = await Deno.makeTempDir({ prefix: "mom-" });
  const before = Deno.umask(0);
  try {
    await makePrivateFolder(`${base}/a/b`);
    await makePrivateFolder(`${base}/a/b`);
  } finally {
    Deno.umask(before);
  }
  assert.equal((await Deno.stat(`${base}/a`)).mode! & 0o777, 0o700);
  assert.equal((await Deno.stat(`${base}/a/b`)).mode! & 0o777, 0o700);
  await Deno.remove(base, { recursive: true });
});
