import assert from "node:assert/strict";
import { SourceServer } from "./helpers/source_server.ts";
import { TempFolder } from "./helpers/temp_folder.ts";

/** Runs a program in an empty folder, with a cache in which nothing is. */
async function run(
  source: string,
  flags: string[],
): Promise<{ code: number; output: string; error: string }> {
  await using folder = await TempFolder.make();
  await using cache = await TempFolder.make();
  await Deno.writeTextFile(`${folder.path}/app.ts`, source);
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-prompt", ...flags, "app.ts"],
    cwd: folder.path,
    env: { NO_COLOR: "1", DENO_DIR: cache.path },
    signal: AbortSignal.timeout(60_000),
  }).output();
  const decoder = new TextDecoder();
  return {
    code,
    output: decoder.decode(stdout),
    error: decoder.decode(stderr),
  };
}

/** What an importer must say, as the README has it. */
const flagsFor = (host: string) => [
  `--allow-import=${host}`,
  "--minimum-dependency-age=2026-10-25",
  "--allow-net=127.0.0.1",
];

/** As the README says: nothing but loopback is needed for all in memory. */
const PROGRAM = `
  await using broker = await Broker.start({ port: 0, data: ":memory:" });
  await using daemon = await Daemon.start({
    broker: broker.address,
    listen: { port: 0 },
    data: ":memory:",
  });
  await using ana = await Mom.connect({ daemon: daemon.address, name: "ana" });
  await using ben = await Mom.connect({ daemon: daemon.address, name: "ben" });
  await ben.subscribe("t");
  await ana.publish("t", "hello", { level: "broker" });
  console.log((await ben.receive({ timeoutMs: 5000 }))?.value);
`;

Deno.test("mod.ts works when it is imported by URL, with no import map and a cold cache", async () => {
  await using server = new SourceServer();
  const { host } = server;
  const source =
    `import { Mom, Broker, Daemon } from "http://${host}/mod.ts";${PROGRAM}`;
  const result = await run(source, ["--unstable-kv", ...flagsFor(host)]);
  assert.equal(result.error.replace(/^╭[^]*?╰─\n/, ""), "");
  assert.equal(result.output, "hello\n");
  assert.equal(result.code, 0);
});

Deno.test("mod.ts imported by URL names the flag that is missing", async () => {
  await using server = new SourceServer();
  const { host } = server;
  const source =
    `import { Mom, Broker, Daemon } from "http://${host}/mod.ts";${PROGRAM}`;
  const { code, error } = await run(source, flagsFor(host));
  assert.equal(code, 1);
  assert.match(error, /MomError: Cannot .*--unstable-kv/);
});
