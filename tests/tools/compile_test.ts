import assert from "node:assert/strict";
import { TempFolder } from "../helpers/temp_folder.ts";
import { ROOT } from "../process/commands.ts";
import {
  compileArgs,
  permissionsOf,
  RECIPES,
} from "../../tools/compile/recipe.ts";
import { describeCommit } from "../../tools/compile/sources.ts";

/** Runs the task in a folder of its own. */
async function compile(
  args: string[],
  env: Record<string, string>,
): Promise<{ code: number; output: string; lines: string[] }> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["task", "--quiet", "compile", ...args],
    cwd: ROOT,
    env: { ...env, NO_COLOR: "1" },
    signal: AbortSignal.timeout(90_000),
  }).output();
  const [output, error] = [stdout, stderr].map((bytes) =>
    new TextDecoder().decode(bytes).trim()
  );
  return { code, output: output!, lines: error!.split("\n") };
}

Deno.test("permissionsOf() allows an executable nothing that runs code, and no more of sys than it asks for", () => {
  for (const recipe of RECIPES) {
    const flags = permissionsOf(recipe).join(" ");
    assert.doesNotMatch(flags, /(-A|--allow-(all|run|ffi|import|scripts))\b/);
    assert.match(flags, / --allow-env=MOM_\*,HOME,XDG_STATE_HOME/);
    for (const kind of ["uid", "cpus", "networkInterfaces"]) {
      const isDenied = new RegExp(`--deny-sys=\\S*\\b${kind}\\b`).test(flags);
      assert.ok(isDenied || /--allow-sys=hostname( |$)/.test(flags), flags);
    }
  }
});

Deno.test("compileArgs() narrows net, read and write to what is asked for", () => {
  const [broker] = RECIPES;
  const args = compileArgs(broker, {
    output: "x/mom-broker",
    target: "aarch64-apple-darwin",
    scope: { net: "127.0.0.1:6270", read: "/var/lib/mom" },
  });
  for (
    const part of [
      "--allow-net=127.0.0.1:6270",
      "--allow-read=/var/lib/mom",
      "--allow-write",
    ]
  ) assert.ok(args.includes(part), part);
  assert.equal(args[args.indexOf("--target") + 1], "aarch64-apple-darwin");
  assert.deepEqual(args.slice(-2), ["x/mom-broker", "broker/main.ts"]);
});

Deno.test("describeCommit() tells the commit of the clone, and what is none", async () => {
  assert.match(
    await describeCommit(ROOT),
    /^([0-9a-f]{12}(\+changes)?|unknown)$/,
  );
  await using folder = await TempFolder.make();
  assert.equal(await describeCommit(folder.path), "unknown");
});

Deno.test("compile refuses the Deno CLI as a base binary, in one line", async () => {
  await using folder = await TempFolder.make();
  const env = { DENORT_BIN: Deno.execPath() };
  const output = `${folder.path}/dist`;
  const { code, lines } = await compile(["--output", output], env);
  assert.equal(code, 1);
  assert.equal(lines.length, 1, lines.join("\n"));
  assert.match(lines[0]!, /^error: .*DENORT_BIN .*is the Deno CLI/);
  await assert.rejects(Deno.stat(output), Deno.errors.NotFound);
});

if (Deno.build.os === "linux") {
  Deno.test("compile keeps no file that does not tell its version, and says so in one line", async () => {
    await using folder = await TempFolder.make();
    // An executable to put the program behind, but not one that runs it.
    const env = { DENORT_BIN: "/bin/echo" };
    const output = `${folder.path}/dist`;
    const { code, lines } = await compile(["--output", output], env);
    assert.equal(code, 1);
    assert.equal(lines.length, 1, lines.join("\n"));
    assert.match(lines[0]!, /^error: Cannot build mom-broker: .*its version/);
    await assert.rejects(Deno.stat(output), Deno.errors.NotFound);
  });
}

Deno.test("compile ends with 2 at bad usage", async () => {
  const { code, lines } = await compile(["--colour"], {});
  assert.equal(code, 2);
  assert.match(lines.join("\n"), /^error: --colour: there is no such flag/);
});
