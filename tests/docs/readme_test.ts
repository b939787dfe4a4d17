/**
 * What the README tells to type, typed: programs in files as it says, commands
 * by a shell. Only ports and the host of the sources are others, so that nothing
 * but the test is met.
 */
import assert from "node:assert/strict";
import { copySources } from "../../tools/compile/sources.ts";
import { eventually, within } from "../helpers/eventually.ts";
import { Mom } from "../../mod.ts";
import { SourceServer } from "../helpers/source_server.ts";
import { TempFolder } from "../helpers/temp_folder.ts";
import { ROOT, testEnvironment } from "../process/commands.ts";
import { freePort } from "../process/free_port.ts";
import { Program } from "../process/program.ts";
import { commandsOf, readBlocks } from "./readme.ts";

const blocks = await readBlocks("README.md");
const commands = commandsOf(blocks);

/** What other tests run: how it begins, the test, and its word there. */
const ELSEWHERE = [
  ["deno task demo", "tests/behaviour/documented_commands_test.ts", "demo"],
  ["deno task museum", "tests/examples/simulations_test.ts", "museum"],
  [
    "deno task philosophers",
    "tests/examples/simulations_test.ts",
    "philosophers",
  ],
  ["deno task compile", "tests/tools/compile_test.ts", "compile"],
  ["MOM_DAEMON=", "tests/clients/example_test.ts", "hello.py"],
  ["deno task coordinator", "tests/coordinator/_set.ts", "coordinator"],
] as const;

/** Commands that are run here. */
const run = new Set<string>();

function command(start: string): string {
  const found = commands.find((line) => line.startsWith(start));
  if (found === undefined) throw new Error(`The README has no "${start}"`);
  run.add(found);
  return found;
}

function program(file: string): string {
  const found = blocks.find((block) =>
    block.language === "ts" && block.file === file
  );
  if (found === undefined) throw new Error(`The README has no ${file}`);
  return found.text;
}

/** A stranger's machine: a home of its own, and `deno` on the path. */
class Home implements AsyncDisposable {
  readonly #folder: TempFolder;
  readonly env: Record<string, string>;

  private constructor(folder: TempFolder, cache: string) {
    this.#folder = folder;
    const { XDG_STATE_HOME: _, ...env } = testEnvironment(folder.path);
    const PATH = `${folder.path}/bin:${env.PATH}`;
    this.env = { ...env, HOME: folder.path, DENO_DIR: cache, PATH };
  }

  static async make(): Promise<Home> {
    const folder = await TempFolder.make();
    await Deno.mkdir(`${folder.path}/bin`);
    await Deno.symlink(Deno.execPath(), `${folder.path}/bin/deno`);
    const { stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["info", "--json"],
    }).output();
    return new Home(
      folder,
      JSON.parse(new TextDecoder().decode(stdout)).denoDir,
    );
  }

  /** Has a shell run a line in a folder. */
  start(line: string, folder: string, env: Record<string, string> = {}) {
    const script = `cd "${folder}" && exec ${line}`;
    return new Program({
      name: line,
      command: { program: "/bin/sh", args: ["-c", script] },
      env: { ...this.env, ...env },
    });
  }

  /** Has a shell run a line to its end, which must be a good one. */
  async finish(line: string, folder: string): Promise<string[]> {
    await using program = this.start(line, folder);
    const lines: string[] = [];
    for (let line = await program.lines.next(); line !== null;) {
      lines.push(line);
      line = await program.lines.next();
    }
    const { code } = await within(line, 30_000, program.ended);
    assert.equal(code, 0, program.stderr);
    return lines;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#folder[Symbol.asyncDispose]();
  }
}

/** A clone to put files into. */
async function makeClone(): Promise<TempFolder> {
  const folder = await TempFolder.make();
  await copySources(ROOT, folder.path, "none");
  return folder;
}

if (Deno.build.os !== "windows") {
  Deno.test("[README] broker, daemon and shell find each other by themselves", async () => {
    await using home = await Home.make();
    const address = `127.0.0.1:${freePort()}`;
    await using broker = home.start(command("deno task broker"), ROOT, {
      MOM_LISTEN: address,
    });
    assert.equal((await broker.ready()).address, address);
    await using daemon = home.start(command("deno task daemon"), ROOT, {
      MOM_BROKER: address,
    });
    await daemon.ready();
    const line = command("deno task shell");
    await using ana = home.start(line, ROOT);
    // What the second one is told tells that the first is done.
    await ana.writeLine("S museum/doors\nS museum/doors\nR");
    await eventually(
      "ana subscribed",
      () => ana.stderr.includes("already_subscribed"),
    );
    await using ben = home.start(line.replace("ana", "ben"), ROOT);
    await ben.writeLine("P museum/doors open\nE");
    const heard = await within("a message", 20_000, ana.lines.next());
    assert.equal(heard, "museum/doors open");
    await ana.writeLine("E");
    for (const shell of [ana, ben]) {
      assert.equal((await within("E", 10_000, shell.ended)).code, 0);
    }
    for (const program of [daemon, broker]) await program.stop();
  });

  Deno.test("[README] a broker is backed up while it runs, purged and restored while not", async () => {
    await using home = await Home.make();
    await using backups = await TempFolder.make();
    const address = `127.0.0.1:${freePort()}`;
    const { HOME } = home.env;
    await using broker = home.start("deno task broker", ROOT, {
      MOM_LISTEN: address,
    });
    await broker.ready();
    const token = `${HOME}/.local/state/mom/tokens/${
      address.replace(":", "_")
    }`;
    {
      await using ana = await Mom.connect({
        broker: address,
        token: (await Deno.readTextFile(token)).trim(),
      });
      await ana.publish("museum/doors/1", "open", { level: "broker" });
    }
    const line = (name: string) =>
      command(`deno task broker ${name}`).replace("/backups", backups.path);
    assert.match((await home.finish(line("backup"), ROOT)).join(), /1 message/);
    await broker.stop();
    assert.match((await home.finish(line("purge"), ROOT)).join(), /1 message/);
    await home.finish(line("restore"), ROOT);
  });

  Deno.test("[README] hello.ts says hello, with no more than it is allowed", async () => {
    await using home = await Home.make();
    await using clone = await makeClone();
    await Deno.writeTextFile(`${clone.path}/hello.ts`, program("hello.ts"));
    const line = commands.find((one) => one.endsWith(" hello.ts")) ?? "";
    const lines = await home.finish(command(line), clone.path);
    assert.match(
      lines.join("\n"),
      /^museum\/doors \{ door: 3, open: true \} from ana@\S+$/,
    );
  });

  Deno.test("[README] by_url.ts runs in an empty folder, with no more than it is allowed", async () => {
    await using home = await Home.make();
    await using server = new SourceServer();
    await using folder = await TempFolder.make();
    const served = (text: string) =>
      text.replace("https://mom.example", `http://${server.host}`)
        .replace("=mom.example", `=${server.host}`);
    const source = served(program("by_url.ts"));
    await Deno.writeTextFile(`${folder.path}/by_url.ts`, source);
    const line = commands.find((one) => one.endsWith(" by_url.ts")) ?? "";
    const lines = await home.finish(served(command(line)), folder.path);
    assert.deepEqual(lines, ["broker ana@north open"]);
  });

  Deno.test("[README] broker and daemon link up with the scoped permissions", async () => {
    await using home = await Home.make();
    await using clone = await makeClone();
    const port = String(freePort());
    const [first, second] = commands
      .filter((line) => line.startsWith("deno run --allow-net"))
      .filter((line) => line.includes("/main.ts"))
      .map((line) => command(line).replaceAll("6270", port));
    await Deno.mkdir(`${clone.path}/data`);
    await using broker = home.start(`${first}`, clone.path);
    await broker.ready();
    await using daemon = home.start(`${second}`, clone.path);
    await daemon.ready();
    await eventually("the link", () => daemon.stderr.includes("link_up"));
    for (const program of [daemon, broker]) {
      assert.equal((await program.stop()).code, 0);
    }
  });

  Deno.test("[README] has no command that no test runs", async () => {
    for (const line of commands) {
      if (run.has(line)) continue;
      const known = ELSEWHERE.find(([start]) => line.startsWith(start));
      assert.ok(known !== undefined, `No test runs "${line}"`);
      const [, file, word] = known;
      const text = await Deno.readTextFile(`${ROOT}${file}`);
      assert.ok(text.includes(`"${word}"`), `${file} does not run ${word}`);
    }
    const files = blocks.filter(({ language }) => language === "ts")
      .map(({ file }) => file);
    assert.deepEqual(files, ["hello.ts", "by_url.ts", "door.ts"]);
  });
}
