/**
 * Programs named by the environment are the ones that are tested. Where there is
 * no base binary there are no executables; scripts stand in for them, which run
 * the sources as `deno task compile` takes them, with the same permissions.
 */
import assert from "node:assert/strict";
import { permissionsOf, RECIPES } from "../../tools/compile/recipe.ts";
import { copySources } from "../../tools/compile/sources.ts";
import { take } from "../helpers/expect.ts";
import { TempFolder } from "../helpers/temp_folder.ts";
import { Cluster } from "./cluster.ts";
import { ROOT, taskCommand } from "./commands.ts";
import { Guests } from "./guests.ts";

const COMMIT = "0123456789ab+changes";
const TASKS = ["broker", "daemon", "shell"] as const;

/** A script for each program; the environment names them until disposed. */
class StandIns implements AsyncDisposable {
  readonly #folder: TempFolder;
  readonly #before = new Map<string, string | undefined>();

  private constructor(folder: TempFolder) {
    this.#folder = folder;
  }

  static async make(): Promise<StandIns> {
    const standIns = new StandIns(await TempFolder.make());
    const { path } = standIns.#folder;
    await Deno.mkdir(`${path}/sources`);
    await copySources(ROOT, `${path}/sources`, COMMIT);
    for (const [index, recipe] of RECIPES.entries()) {
      const flags = ["--quiet", "--no-prompt", ...permissionsOf(recipe)];
      const config = `--config ${path}/sources/deno.json`;
      const main = `${path}/sources/${recipe.main}`;
      const run = `"${Deno.execPath()}" run ${config} '${flags.join("' '")}'`;
      const script = `#!/bin/sh\nexec ${run} "${main}" "$@"\n`;
      const file = `${path}/${recipe.name}`;
      await Deno.writeTextFile(file, script, { mode: 0o755 });
      const name = `MOM_TEST_${TASKS[index]!.toUpperCase()}`;
      standIns.#before.set(name, Deno.env.get(name));
      Deno.env.set(name, file);
    }
    return standIns;
  }

  /** Whether a process runs one of the scripts' programs. */
  async runs(pid: number): Promise<boolean> {
    const { stdout } = await new Deno.Command("ps", {
      args: ["-ww", "-o", "args=", "-p", String(pid)],
    }).output();
    const line = new TextDecoder().decode(stdout);
    return line.includes(`${this.#folder.path}/sources/`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const [name, value] of this.#before) {
      if (value === undefined) Deno.env.delete(name);
      else Deno.env.set(name, value);
    }
    await this.#folder[Symbol.asyncDispose]();
  }
}

if (Deno.build.os === "linux") {
  Deno.test("Cluster runs the executables that the environment names", async () => {
    await using standIns = await StandIns.make();
    await using cluster = await Cluster.start({ machines: ["north"] });
    const slots = [cluster.broker, cluster.daemon("north")];
    for (const { program } of slots) {
      assert.ok(await standIns.runs((await program.ready()).pid));
    }
    await using guests = new Guests(cluster);
    const ana = await guests.connect("north", "ana");
    const ben = await guests.connect("north", "ben");
    await ben.subscribe("t");
    await ana.publish("t", "hello", { level: "broker" });
    await cluster.broker.restart();
    await ana.publish("t", "again");
    const values = (await take(ben, 2)).map((message) => message.value);
    assert.deepEqual(values, ["hello", "again"]);
  });

  Deno.test("every program tells the commit that it was built of", async () => {
    await using _standIns = await StandIns.make();
    for (const task of TASKS) {
      const { program, args } = taskCommand(task);
      const { stdout, code } = await new Deno.Command(program, {
        args: [...args, "--version"],
      }).output();
      const told = new TextDecoder().decode(stdout);
      assert.equal(code, 0);
      assert.match(
        told,
        /^mom \d+\.\d+\.\d+ \(commit 0123456789ab\+changes, protocol \d+/,
      );
    }
  });
}

const isClone = await Deno.stat(`${ROOT}.git`).then(() => true, () => false);

Deno.test("a program that runs from a clone tells its commit", {
  ignore: !isClone,
}, async () => {
  const head = await new Deno.Command("git", {
    args: ["-c", "safe.directory=*", "-C", ROOT, "rev-parse", "HEAD"],
  }).output();
  const commit = new TextDecoder().decode(head.stdout).slice(0, 12);
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["task", "--quiet", "broker", "--version"],
    cwd: ROOT,
  }).output();
  assert.match(
    new TextDecoder().decode(stdout),
    new RegExp(`^mom .*\\(commit ${commit}, protocol 1, store 1\\)\n$`),
  );
});
