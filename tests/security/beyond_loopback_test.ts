/**
 * Beyond loopback: a token, or nothing; and a warning where others can listen in.
 *
 * @module
 */

import assert from "node:assert/strict";
import { TempFolder } from "../helpers/temp_folder.ts";
import { ROOT, taskCommand, testEnvironment } from "../process/commands.ts";
import { freePort } from "../process/free_port.ts";
import { Program } from "../process/program.ts";

/** Runs a program to its end. */
async function run(
  task: "broker" | "daemon",
  args: readonly string[],
  folder: string,
): Promise<{ code: number; lines: string[] }> {
  const command = taskCommand(task);
  const { code, stderr } = await new Deno.Command(command.program, {
    args: [...command.args, ...args],
    cwd: ROOT,
    env: testEnvironment(folder),
    clearEnv: true,
  }).output();
  return { code, lines: new TextDecoder().decode(stderr).trim().split("\n") };
}

const BEYOND = () => `0.0.0.0:${freePort()}`;

Deno.test("beyond loopback broker and daemon do not listen without a token", async () => {
  await using folder = await TempFolder.make();
  const { path } = folder;
  const [broker, daemon] = await Promise.all([
    run("broker", ["--listen", BEYOND(), "--data", `${path}/b`], path),
    run("daemon", [
      "--broker",
      `127.0.0.1:${freePort()}`,
      "--listen",
      BEYOND(),
      "--machine",
      "north",
      "--data",
      `${path}/d`,
    ], path),
  ]);
  for (const { code, lines } of [broker, daemon]) {
    assert.notEqual(code, 0);
    assert.match(
      lines.at(-1)!,
      /^error: option_invalid Cannot listen on .*token/,
    );
  }
});

Deno.test("beyond loopback a broker that lets everybody in, or has a token, warns that others can listen in", async () => {
  await using folder = await TempFolder.make();
  const { path } = folder;
  const ways = [["--insecure-no-token"], ["--token-file", `${path}/token`]];
  await Promise.all(ways.map(async (way, index) => {
    await using program = new Program({
      name: way[0],
      command: taskCommand("broker"),
      args: ["--listen", BEYOND(), "--data", `${path}/${index}`, ...way],
      env: testEnvironment(path),
    });
    await program.ready();
    assert.match(program.stderr, /"event":"no_tls"/);
    await program.stop();
  }));
});
