import assert from "node:assert/strict";
import { TempFolder } from "./helpers/temp_folder.ts";

const ROOT = new URL("../", import.meta.url);

/** Serves the sources as a web server would; ends when disposed. */
function serveSources(): Deno.HttpServer<Deno.NetAddr> & AsyncDisposable {
  return Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    async (request) => {
      const { pathname } = new URL(request.url);
      const type = pathname.endsWith(".json")
        ? "application/json"
        : "application/typescript";
      try {
        const body = await Deno.readFile(new URL(`.${pathname}`, ROOT));
        return new Response(body, { headers: { "content-type": type } });
      } catch {
        return new Response(null, { status: 404 });
      }
    },
  );
}

/** Runs a program outside of any project. */
async function run(
  source: string,
  flags: string[],
): Promise<{ code: number; output: string; error: string }> {
  await using folder = await TempFolder.make();
  await Deno.writeTextFile(`${folder.path}/app.ts`, source);
  // The pinned packages; a copy, because what is fetched is noted there too.
  await Deno.copyFile(new URL("deno.lock", ROOT), `${folder.path}/deno.lock`);
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-prompt", "--no-config", ...flags, "app.ts"],
    cwd: folder.path,
    env: { NO_COLOR: "1" },
  }).output();
  const decoder = new TextDecoder();
  return {
    code,
    output: decoder.decode(stdout),
    error: decoder.decode(stderr),
  };
}

/** What an importer must allow to fetch the sources. */
const flagsFor = (host: string) => [
  `--allow-import=${host}`,
  "--lock=deno.lock",
];

Deno.test("mod.ts works when it is imported by URL, with no import map", async () => {
  await using server = serveSources();
  const host = `127.0.0.1:${server.addr.port}`;
  const source = `
    import { Broker, Mom } from "http://${host}/mod.ts";
    await using broker = await Broker.start({ port: 0, data: ":memory:" });
    const address = { broker: broker.address, token: broker.token };
    await using ana = await Mom.connect({ ...address, name: "ana" });
    await using ben = await Mom.connect({ ...address, name: "ben" });
    await ben.subscribe("t");
    await ana.publish("t", "hello");
    console.log((await ben.receive({ timeoutMs: 5000 }))?.value);
  `;
  const permissions = ["--unstable-kv", "--allow-net=127.0.0.1"];
  const result = await run(source, [...flagsFor(host), ...permissions]);
  assert.equal(result.error, "");
  assert.equal(result.output, "hello\n");
  assert.equal(result.code, 0);
});

Deno.test("mod.ts imported by URL names the flag that is missing", async () => {
  await using server = serveSources();
  const host = `127.0.0.1:${server.addr.port}`;
  const source = `
    import { Broker } from "http://${host}/mod.ts";
    await Broker.start({ port: 0, data: ":memory:" })
      .catch((error) => console.log(error.code, error.message));
  `;
  const { output } = await run(source, [
    ...flagsFor(host),
    "--allow-net=127.0.0.1",
  ]);
  assert.match(output, /^[a-z_]+ Cannot .*--unstable-kv/);
});
