import assert from "node:assert/strict";
import type { Run } from "./app_lines.ts";
import { Ledger } from "./ledger.ts";

function run(from: number, to: number, more: Partial<Run> = {}): Run {
  return { writer: "ana.1", topic: "t", from, to, redelivered: false, ...more };
}

/** A ledger in which ana has published 10 messages with receipts for all. */
function ledger(): Ledger {
  const made = new Ledger([
    { name: "ben", filter: "t" },
    { name: "ana", filter: "t" },
  ]);
  made.begin("ben");
  made.begin("ana");
  made.tries("ana.1", "t", 10);
  made.receipts("ana.1", "t", [0, 10]);
  return made;
}

/** The kinds of what is found. */
function kinds(made: Ledger): string[] {
  return made.conclude().map((text) => text.split(":")[0]!);
}

Deno.test("Ledger finds nothing when each reader got all in order, and its own to nobody", () => {
  const made = ledger();
  assert.ok(!made.isComplete);
  made.takes("ben", [run(0, 4), run(4, 10)]);
  assert.ok(made.isComplete);
  assert.deepEqual(made.conclude(), []);
  assert.equal(made.acknowledged, 10);
  assert.equal(made.sums()[0]!.taken.get("t"), 10);
  assert.deepEqual(made.bounds().get("t"), { least: 10, most: 10 });
});

Deno.test("Ledger finds what is lost, in the middle or at the end", () => {
  const middle = ledger();
  middle.takes("ben", [run(0, 4), run(5, 10)]);
  assert.deepEqual(kinds(middle), ["lost"]);
  const end = ledger();
  end.takes("ben", [run(0, 9)]);
  assert.deepEqual(kinds(end), ["lost"]);
  assert.match(end.conclude()[0]!, /ben: ana\.1 t: 1 of 9 to 9/);
});

Deno.test("Ledger misses nothing that has no receipt, or was refused", () => {
  const made = new Ledger([{ name: "ben", filter: "t" }]);
  made.begin("ben");
  made.tries("ana.1", "t", 10);
  made.receipts("ana.1", "t", [0, 4, 5, 8]);
  made.refused("ana.1", "t", 4);
  made.takes("ben", [run(0, 4), run(5, 9)]);
  assert.deepEqual(made.conclude(), []);
  assert.deepEqual(made.bounds().get("t"), { least: 7, most: 9 });
});

Deno.test("Ledger finds what one life got twice, or out of order", () => {
  const twice = ledger();
  twice.takes("ben", [run(0, 5), run(4, 10)]);
  assert.ok(kinds(twice).includes("duplicated"));
  const swapped = ledger();
  swapped.takes("ben", [run(0, 4), run(5, 6), run(4, 5), run(6, 10)]);
  assert.ok(kinds(swapped).includes("reordered"));
});

Deno.test("Ledger lets a later life get again what was not confirmed, if it is marked", () => {
  const again = (more: Partial<Run>, settledTo: number) => {
    const made = ledger();
    made.takes("ben", [run(0, 6)]);
    made.settled("ben", [run(0, settledTo)]);
    made.begin("ben");
    made.takes("ben", [run(4, 6, more), run(6, 10)]);
    return made;
  };
  const marked = again({ redelivered: true }, 4);
  assert.deepEqual(marked.conclude(), []);
  assert.equal(marked.sums()[0]!.again, 2);
  assert.deepEqual(kinds(again({}, 4)), ["unflagged"]);
  assert.deepEqual(kinds(again({ redelivered: true }, 5)), ["duplicated"]);
});

Deno.test("Ledger finds a message that comes for the first time behind later ones of an earlier life", () => {
  const made = ledger();
  made.takes("ben", [run(0, 4), run(5, 10)]);
  made.begin("ben");
  made.takes("ben", [run(4, 5)]);
  assert.deepEqual(kinds(made), ["reordered"]);
});

Deno.test("Ledger finds what nobody published, was refused, or is for others", () => {
  const never = ledger();
  never.takes("ben", [run(0, 11)]);
  assert.deepEqual(kinds(never), ["unexpected"]);
  const refused = ledger();
  refused.refused("ana.1", "t", 3);
  refused.takes("ben", [run(0, 10)]);
  assert.deepEqual(kinds(refused), ["unexpected"]);
  const own = ledger();
  own.takes("ben", [run(0, 10)]);
  own.takes("ana", [run(0, 1)]);
  assert.deepEqual(kinds(own), ["unexpected"]);
  const foreign = ledger();
  foreign.takes("ben", [run(0, 10), run(0, 1, { topic: "u" })]);
  assert.ok(kinds(foreign).includes("unexpected"));
});

Deno.test("Ledger stays small however much passes", () => {
  const made = new Ledger([{ name: "ben", filter: "t" }]);
  made.begin("ben");
  for (let from = 0; from < 1_000_000; from += 100) {
    made.tries("ana.1", "t", from + 100);
    made.receipts("ana.1", "t", [from, from + 100]);
    made.takes("ben", [run(from, from + 100)]);
  }
  assert.deepEqual(made.conclude(), []);
  // Findings are told in full only so far, and counted beyond that.
  for (let n = 0; n < 1_000; n++) made.takes("ben", [run(0, 1)]);
  assert.ok(made.conclude().length < 50);
  assert.match(made.conclude().at(-1)!, /and \d+ more findings/);
});
