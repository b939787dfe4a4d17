import assert from "node:assert/strict";
import config from "../deno.json" with { type: "json" };
import standIn from "../deps/std_cli/deno.json" with { type: "json" };

const PROGRAMS = ["broker", "daemon", "shell", "coordinator"] as const;
const ROOT = new URL("../", import.meta.url);

const read = (path: string) => Deno.readTextFile(new URL(path, ROOT));

Deno.test("the programs' tasks allow what they need and nothing that runs code", () => {
  for (const name of PROGRAMS) {
    const task = config.tasks[name];
    assert.doesNotMatch(task, / (-A|--allow-(all|run|ffi|import|scripts))\b/);
    assert.match(
      task,
      / --allow-env=MOM_\*,HOME,XDG_STATE_HOME,DENO_KV_ACCESS_TOKEN /,
    );
  }
});

Deno.test("the programs' tasks leave of sys only hostname, umask and statfs", async () => {
  // Deno refuses umask as a value of --allow-sys, so the others are denied.
  const kinds = [
    "loadavg",
    "hostname",
    "systemMemoryInfo",
    "networkInterfaces",
    "osRelease",
    "osUptime",
    "uid",
    "gid",
    "username",
    "cpus",
    "homedir",
    "statfs",
    "getPriority",
    "setPriority",
    "umask",
  ];
  const script = `for (const kind of ${JSON.stringify(kinds)}) {
    const { state } = Deno.permissions.querySync({ name: "sys", kind });
    if (state === "granted") console.log(kind);
  }`;
  const file = await Deno.makeTempFile({ suffix: ".js" });
  try {
    await Deno.writeTextFile(file, script);
    for (const name of PROGRAMS) {
      const flags = config.tasks[name].split(" ").filter((word) =>
        word.startsWith("--")
      );
      const { stdout, code } = await new Deno.Command(Deno.execPath(), {
        args: ["run", "--quiet", "--no-prompt", ...flags, file],
        stderr: "inherit",
      }).output();
      assert.equal(code, 0);
      const granted = new TextDecoder().decode(stdout).trim().split("\n");
      assert.deepEqual(granted, ["hostname", "statfs", "umask"]);
    }
  } finally {
    await Deno.remove(file);
  }
});

Deno.test("the lock file knows the stand-in of @std/cli in the version asked for", async () => {
  const lock = JSON.parse(await read("deno.lock"));
  const name = `jsr:${standIn.name}@${standIn.version}`;
  assert.deepEqual(Object.keys(lock.workspace.links), [name]);
  const range = /jsr:@std\/cli@\^(\d+\.\d+\.\d+)/.exec(
    await read("deps/cli.ts"),
  );
  assert.equal(range?.[1], standIn.version);
});

Deno.test("packages are pinned to exact versions", async () => {
  for (const folder of ["deps/", "deps/bench/"]) {
    for await (const { name } of Deno.readDir(new URL(folder, ROOT))) {
      if (!name.endsWith(".ts")) continue;
      const text = await read(`${folder}${name}`);
      for (const [, specifier] of text.matchAll(/"(npm:[^"]+)"/g)) {
        assert.match(specifier!, /@\d+\.\d+\.\d+(\/[\w/-]+)?$/, specifier);
      }
    }
  }
});

Deno.test("the clients of peers are locked for the bench, and for nothing else", async () => {
  const names = async (path: string) =>
    Object.keys(JSON.parse(await read(path)).specifiers);
  const [ours, bench] = await Promise.all(
    ["deno.lock", "deps/bench/deno.lock"].map(names),
  );
  for (const file of ["nats", "redis", "mqtt"]) {
    const text = await read(`deps/bench/${file}.ts`);
    for (const [, specifier] of text.matchAll(/"(npm:[^"]+)"/g)) {
      assert(bench!.includes(specifier!), `${specifier} is not locked`);
      assert(!ours!.includes(specifier!), `${specifier} is in deno.lock`);
    }
  }
});

Deno.test("the Deno version is pinned, and the changelog tells this release", async () => {
  const pin = await read(".dvmrc");
  assert.match(pin, /^\d+\.\d+\.\d+\n$/);
  const told = [...(await read("README.md")).matchAll(/deno@([\d.]*\d)/g)];
  for (const [, version] of told) assert.equal(version, pin.trim());
  assert.match(
    await read("CHANGELOG.md"),
    new RegExp(`^## ${config.version}$`, "m"),
  );
});
