/** A process that is killed leaves a store at a commit, with all that it confirmed. */

import assert from "node:assert/strict";
import { bodyOf, decodeEnd } from "./_kill_data.ts";
import { openStore, readAll, tempFolder } from "./_support.ts";

const ROUNDS = 6;

interface Confirmed {
  position: number;
  /** Log → where it began and ended. */
  logs: Map<number, { begin: number; end: number }>;
}

/** Lets the program run until it printed `lines`, kills it, and gives what it told last. */
async function runAndKill(data: string, lines: number): Promise<Confirmed> {
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-check",
      "--unstable-kv",
      "--allow-read",
      "--allow-write",
      "--allow-sys=statfs",
      new URL("./kill_child.ts", import.meta.url).href,
      data,
    ],
    stdout: "piped",
  }).spawn();
  let text = "";
  let isKilled = false;
  for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    // Between two lines or within one: wherever it happens to be.
    if (isKilled || text.split("\n").length <= lines) continue;
    child.kill("SIGKILL");
    isKilled = true;
  }
  await child.status;
  assert.ok(isKilled, "the program ended by itself");
  return parse(text.slice(0, text.lastIndexOf("\n")).split("\n").at(-1) ?? "");
}

function parse(line: string): Confirmed {
  const [position, ...logs] = JSON.parse(line);
  return {
    position,
    logs: new Map(
      logs.map(([log, begin, end]: number[]) => [log, { begin, end }]),
    ),
  };
}

/** Fails unless the store is at a commit at or behind what was confirmed. */
async function check(data: string, confirmed: Confirmed): Promise<void> {
  const store = await openStore(data);
  assert.ok(store.position >= confirmed.position);
  for (const [log, { begin, end }] of confirmed.logs) {
    assert.ok(store.end(log) >= end, `log ${log} ends at ${store.end(log)}`);
    assert.ok(store.begin(log) >= begin);
  }
  for (const [log, entry] of store.takeEntries(1)) {
    assert.equal(store.end(log), decodeEnd(entry), `log ${log} and its entry`);
    let next = 0;
    for (const item of await readAll(store, [log])) {
      assert.ok(next === 0 || item.base === next, `a gap before ${item.base}`);
      next = item.base + item.count;
      const body = item.blob === null
        ? item.body
        : await store.readBlob(item.blob);
      assert.deepEqual(
        Uint8Array.from(body),
        bodyOf(log, item.base, item.blob === null ? undefined : 150_000),
      );
    }
    if (next > 0) assert.equal(next, store.end(log));
  }
  await store.close();
}

Deno.test("a killed process leaves all that it confirmed, at a commit", async () => {
  await using folder = await tempFolder();
  for (let round = 1; round <= ROUNDS; round++) {
    const lines = 1 + round * round * 8;
    const confirmed = await runAndKill(folder.path, lines);
    await check(folder.path, confirmed);
  }
});
