import assert from "node:assert/strict";
import { judge, wholeLog } from "../../examples/simulation/conditions.ts";
import { MUSEUM_CONDITIONS } from "../../examples/museum/conditions.ts";
import type { MuseumEvent } from "../../examples/museum/event.ts";
import { PHILOSOPHER_CONDITIONS } from "../../examples/philosophers/conditions.ts";
import type { PhilosopherEvent } from "../../examples/philosophers/event.ts";
import { actorOf, readLog } from "../../examples/simulation/entry.ts";
import { Random } from "../helpers/random.ts";

Deno.test("readLog() reads entries, and marks what is none", () => {
  const line = { kind: "ready", offset: 0, time: 5, user: "guide@north" };
  const lines = [
    JSON.stringify(line),
    "",
    "{",
    "7",
    "null",
    '"ready"',
    "[]",
    '{"kind":"ready","offset":0}',
    '{"kind":"ready","user":"guide@north","offset":0.5}',
  ];
  const log = readLog<MuseumEvent>(lines.join("\n"));
  assert.deepEqual(log[0], line);
  assert.equal(actorOf(log[0]!), "guide");
  const kinds = log.slice(1).map(({ kind }) => kind);
  assert.deepEqual(kinds, Array(lines.length - 2).fill("unreadable"));
  assert.notDeepEqual(wholeLog(log), []);
});

const KINDS = [
  ...["opened", "created", "ready", "taken", "released", "reads", "writes"],
  ...["ended", "gone", "closed", "program_ended", "killed", "spawned", "asks"],
  ...["decides", "answered", "signs", "calls", "wakes", "tour", "joins"],
  ...["tour_over", "leaves", "hungry", "eats", "counted", "stops"],
];
const FIELDS = [
  ...["person", "door", "people", "semaphore", "token", "value", "is", "id"],
  ...["count", "settings", "actor", "code", "name", "what", "program"],
];
const VALUES = [null, 0, 1, -1, 2 ** 60, "", "shm_tour", [], {}, true];

Deno.test("judge() finds faults in whatever a log may hold, and never fails", () => {
  const seed = Date.now() % 1_000_000;
  const random = new Random(seed);
  for (let round = 0; round < 500; round++) {
    const lines = Array.from({ length: random.integer(1, 20) }, (_, offset) => {
      const line: Record<string, unknown> = {
        kind: random.pick(KINDS),
        offset: random.chance(0.9) ? offset : null,
        user: random.pick(["main@north", "philosopher-1@south", "", "@"]),
      };
      for (const field of FIELDS) {
        if (random.chance(0.5)) line[field] = random.pick(VALUES);
      }
      return JSON.stringify(line);
    });
    const text = lines.join("\n");
    const findings = [
      judge(readLog<MuseumEvent>(text), MUSEUM_CONDITIONS),
      judge(readLog<PhilosopherEvent>(text), PHILOSOPHER_CONDITIONS),
    ];
    for (const each of findings) {
      assert.ok(each.some(({ faults }) => faults.length > 0), `seed ${seed}`);
    }
  }
});
