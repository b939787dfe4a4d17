import assert from "node:assert/strict";
import { eventually } from "../helpers/eventually.ts";
import { TempFolder } from "../helpers/temp_folder.ts";
import { ROOT, testEnvironment } from "../process/commands.ts";
import { freePort } from "../process/free_port.ts";
import { Program } from "../process/program.ts";

/** Starts a main with exactly these permissions. */
function start(
  main: string,
  permissions: string[],
  args: string[],
  env: Record<string, string>,
): Program {
  const flags = ["run", "--quiet", "--no-prompt", ...permissions];
  return new Program({
    name: main,
    command: { program: Deno.execPath(), args: [...flags, `${ROOT}${main}`] },
    args,
    env,
  });
}

if (Deno.build.os !== "windows") {
  Deno.test("broker and daemon link up with permissions for their own folder and addresses alone", async () => {
    await using folder = await TempFolder.make();
    const env = testEnvironment(folder.path);
    const { path } = folder;
    const broker = `127.0.0.1:${freePort()}`;
    const socket = `${path}/mom.sock`;
    const common = [
      `--allow-read=${path}`,
      `--allow-write=${path}`,
      "--allow-env=MOM_*,HOME,XDG_STATE_HOME",
      "--allow-sys=hostname,statfs",
    ];
    await using first = start(
      "broker/main.ts",
      [...common, `--allow-net=${broker}`],
      ["--listen", broker, "--data", `${path}/broker`],
      env,
    );
    assert.equal((await first.ready()).address, broker);
    await using second = start(
      "daemon/main.ts",
      [...common, `--allow-net=${broker},unix:${socket}`],
      ["--broker", broker, "--listen", `unix:${socket}`, "--machine", "north"]
        .concat("--data", `${path}/daemon`, "--log-level", "debug"),
      env,
    );
    assert.equal((await second.ready()).address, `unix:${socket}`);
    await eventually("the link is up", () => second.stderr.includes("link_up"));
    for (const program of [second, first]) {
      const { code } = await program.stop();
      assert.equal(code, 0, program.stderr);
    }
  });
}
