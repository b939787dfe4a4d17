import assert from "node:assert/strict";
import { listSources, readImportGraph, ROOT } from "./layers/import_graph.ts";
import { findTextBreaches } from "./layers/text_rules.ts";
import { findBreaches, findCircle, type ImportEdge } from "./layers/rules.ts";

const sources = await listSources();
const edges = await readImportGraph(sources);

Deno.test("the sources keep the layer rule", () => {
  assert(edges.length > 100, `the graph has only ${edges.length} imports`);
  assert.deepEqual(findBreaches(edges), []);
});

Deno.test("the sources import one another in no circle", () => {
  assert.equal(findCircle(edges)?.join(" → ") ?? null, null);
});

Deno.test("the graph holds every source", () => {
  const known = new Set(edges.flatMap(({ from, to }) => [from, to]));
  const alone = sources.filter((file) => !known.has(file));
  // Only a file without any import that nobody imports may be missing.
  for (const file of alone) {
    const text = Deno.readTextFileSync(new URL(file, ROOT));
    assert.doesNotMatch(text, /^(import|export)\b.*\bfrom /m, file);
  }
});

Deno.test("the sources keep the rules about their text", async () => {
  const breaches: string[] = [];
  for (
    const file of sources.filter((file) => !file.startsWith("tests/layers"))
  ) {
    const text = await Deno.readTextFile(new URL(file, ROOT));
    breaches.push(...findTextBreaches(file, text));
  }
  assert.deepEqual(breaches, []);
});

Deno.test("findTextBreaches() finds breaches in code, not in comments", () => {
  const wrong = [
    ["broker/x.ts", "const now = Date.now();"],
    ["daemon/x.ts", "  setTimeout(() => {}, 5);"],
    ["storage/x.ts", "crypto.getRandomValues(bytes);"],
    ["protocol/x.ts", "Deno.openSync(path);"],
    ["broker/x.ts", "Deno.listen({ port: 1 });"],
    ["broker/x.ts", "await Deno.openKv();"],
    ["program/x.ts", "export default 5;"],
    ["tests/x.ts", "export enum Kind {"],
    ["tests/x.ts", "// @ts-ignore because"],
  ] as const;
  for (const [file, line] of wrong) {
    assert.equal(findTextBreaches(file, line).length, 1, line);
  }
  const right = [
    ["broker/x.ts", " * Not Date.now()."],
    ["broker/x.ts", "a(); // unlike Date.now()"],
    ["protocol/clock.ts", "wallMs: () => Date.now(),"],
    ["tests/x.ts", "setTimeout(() => {}, 0);"],
    ["storage/kv.ts", "await Deno.openKv();"],
  ] as const;
  for (const [file, line] of right) {
    assert.deepEqual(findTextBreaches(file, line), [], line);
  }
});

const edge = (from: string, to: string, isCode = true): ImportEdge => ({
  from,
  to,
  isCode,
});

Deno.test("findBreaches() finds every kind of breach", () => {
  const wrong = [
    edge("broker/broker.ts", "daemon/daemon.ts"),
    edge("daemon/daemon.ts", "broker/broker.ts", false),
    edge("storage/store.ts", "transport/tcp.ts"),
    edge("storage/store.ts", "program/log.ts"),
    edge("protocol/peer.ts", "transport/tcp.ts"),
    edge("transport/tcp.ts", "protocol/messages.ts"),
    edge("program/http.ts", "transport/tcp.ts"),
    edge("broker/broker.ts", "mod.ts"),
    edge("examples/hello.ts", "daemon/client.ts"),
    edge("examples/hello.ts", "deps/valibot.ts"),
    edge("examples/hello.ts", "deps/cli.ts"),
    edge("coordinator/mod.ts", "protocol/errors.ts"),
    edge("coordinator/mod.ts", "program/log.ts"),
    edge("examples/hello.ts", "coordinator/client/permit.ts"),
    edge("mod.ts", "coordinator/mod.ts"),
    edge("mod.ts", "storage/store.ts"),
    edge("mod.ts", "deps/valibot.ts"),
    edge("broker/broker.ts", "npm:hono@4"),
    edge("broker/main.ts", "jsr:@std/cli@1/parse-args"),
    edge("tests/x_test.ts", "npm:fast-check@4"),
    edge("program/x.ts", "https://example.com/x.ts"),
    edge("broker/broker.ts", "deps/cli.ts"),
    edge("broker/clients.ts", "deps/cli.ts"),
    edge("broker/broker.ts", "deps/fast_check.ts"),
    edge("broker/broker.ts", "deps/hono.ts"),
    edge("daemon/client.ts", "deps/cbor_x.ts"),
    edge("deps/cli.ts", "deps/minimist.ts"),
    edge("daemon/client.ts", "tests/helpers/x.ts"),
    edge("daemon/client.ts", "daemon/main.ts"),
    edge("tools/x.ts", "protocol/errors.ts"),
  ];
  for (const each of wrong) {
    assert.equal(findBreaches([each]).length, 1, JSON.stringify(each));
  }
});

Deno.test("findBreaches() lets through what is allowed", () => {
  const right = [
    edge("mod.ts", "broker/broker.ts"),
    edge("broker/main.ts", "deps/cli.ts"),
    edge("daemon/cli/main.ts", "deps/cli.ts"),
    edge("deps/std_cli/parse_args.ts", "deps/minimist.ts"),
    edge("deps/hono.ts", "npm:hono@4"),
    edge("broker/http/app.ts", "deps/hono.ts"),
    edge("program/http.ts", "deps/hono.ts"),
    edge("transport/tcp.ts", "protocol/errors.ts"),
    edge("storage/backup.ts", "node:sqlite"),
    edge("tests/x_test.ts", "deps/fast_check.ts"),
    edge("tests/x_test.ts", "broker/broker.ts"),
    edge("examples/hello.ts", "mod.ts"),
    edge("examples/hello.ts", "coordinator/mod.ts"),
    edge("examples/museum/main.ts", "deps/cli.ts"),
    edge("coordinator/client/link.ts", "mod.ts"),
    edge("coordinator/records.ts", "deps/valibot.ts"),
    edge("protocol/version.ts", "deno.json"),
  ];
  assert.deepEqual(findBreaches(right), []);
});

Deno.test("findCircle() finds a circle at run time, not one of types", () => {
  const chain = [edge("a", "b"), edge("b", "c"), edge("a", "c")];
  assert.equal(findCircle(chain), null);
  assert.equal(findCircle([...chain, edge("c", "a", false)]), null);
  assert.deepEqual(findCircle([...chain, edge("c", "b")]), ["b", "c", "b"]);
  assert.deepEqual(findCircle([edge("a", "a")]), ["a", "a"]);
});
