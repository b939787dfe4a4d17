import assert from "node:assert/strict";
import { drawMuseum } from "../../examples/museum/view.ts";
import { EMPTY_MUSEUM, stepMuseum } from "../../examples/museum/state.ts";
import { drawTable } from "../../examples/philosophers/view.ts";
import {
  EMPTY_TABLE,
  type PhilosopherEntry,
  stepTable,
} from "../../examples/philosophers/state.ts";
import {
  fitLine,
  fitPicture,
  type Line,
} from "../../examples/simulation/screen.ts";
import { Story } from "../../examples/simulation/story.ts";

const at = { offset: 0, time: 0, user: "main@north" };

function textOf(lines: readonly Line[]): string[] {
  return lines.map((line) => fitLine(line, Infinity, false).trimEnd());
}

Deno.test("fitLine() cuts at the width, whatever the colours", () => {
  const line: Line = [{ text: "ab■", style: "good" }, { text: "cd" }];
  assert.equal(fitLine(line, 4, false), "ab■c");
  assert.equal(fitLine(line, 4, true), "\u001b[32mab■\u001b[0mc");
  assert.equal(fitLine(line, 2, true), "\u001b[32mab\u001b[0m");
  assert.equal(fitLine(line, 0, false), "");
});

Deno.test("fitPicture() says how much there is no room for", () => {
  const lines: Line[] = ["one", "two", "three"].map((text) => [{ text }]);
  const fit = (rows: number) => fitPicture(lines, { columns: 9, rows }, false);
  assert.deepEqual(fit(3), ["one", "two", "three"]);
  assert.deepEqual(fit(2), ["one", "… 2 lines"]);
  assert.deepEqual(fit(1), ["… 3 lines"]);
  assert.deepEqual(fit(0), []);
});

Deno.test("drawMuseum() shows who is where, the free places and the tours", () => {
  const settings = { doors: 2, capacity: 4, seed: 5, speed: 20 };
  const events = [
    { kind: "created", what: "value", name: "shm_capacity", is: 4 },
    { kind: "spawned", person: 1 },
    { kind: "spawned", person: 2 },
    { kind: "asks", person: 1, door: 1, request: "enter" },
    { kind: "spawned", person: 3 },
    { kind: "asks", person: 3, door: 1, request: "enter" },
    { kind: "writes", value: "shm_capacity", is: 3 },
    {
      kind: "decides",
      person: 3,
      door: 1,
      request: "enter",
      answer: "accepted",
    },
    {
      kind: "answered",
      person: 3,
      door: 1,
      request: "enter",
      answer: "accepted",
    },
  ] as const;
  const state = events.reduce(
    (state, event) => stepMuseum(state, { ...event, ...at }),
    EMPTY_MUSEUM,
  );
  const text = textOf(drawMuseum(state, settings, "00:12")).join("\n");
  assert.match(text, /THE MUSEUM +seed 5, speed 20 +00:12/);
  assert.match(text, /places +■□□□ +1 inside, 3 free/);
  assert.match(text, /on the way +2$/m);
  assert.match(text, /door 1 +in 1$/m);
  assert.match(text, /in the rooms +3$/m);
});

function someTable() {
  const by = (id: number) => ({ ...at, user: `philosopher-${id}@north` });
  const entries: PhilosopherEntry[] = [
    { kind: "eats", id: 2, ...by(2) },
    { kind: "taken", semaphore: "semstick_1", token: 1, ...by(2) },
    { kind: "taken", semaphore: "semstick_2", token: 1, ...by(2) },
    { kind: "writes", value: "shmbuffer_2", is: 4, ...by(2) },
    { kind: "counted", id: 2, count: 4, ...by(2) },
    { kind: "hungry", id: 3, ...by(3) },
    { kind: "killed", program: "coordinator 2", ...at },
  ];
  return entries.reduce(stepTable, EMPTY_TABLE);
}

Deno.test("drawTable() shows who eats, the sticks and the buffers", () => {
  const settings = { philosophers: 6, items: 6, coordinators: 3, seed: 1 };
  const size = { clock: "00:01", columns: 80, rows: 24 };
  const text = textOf(drawTable(someTable(), settings, size)).join("\n");
  assert.match(text, /4 of 36 items, 1 eat, 1 wait, 0 rest/);
  assert.match(text, /coordinators 1✓ 2✗ 3✓/);
  assert.match(text, /▸ +2 eats +4 ▪▪▪▪·· ◂ +3 waits 0/);
});

Deno.test("drawTable() takes two columns where one does not fit", () => {
  const settings = { philosophers: 30, items: 6, coordinators: 3 };
  const draw = (columns: number, rows: number) =>
    drawTable(someTable(), settings, { clock: "", columns, rows }).length;
  assert.equal(draw(80, 24), 4 + 15);
  assert.equal(draw(80, 12), 4 + 8);
  assert.equal(draw(40, 12), 4 + 15);
});

Deno.test("Story keeps the last lines with the simulation's time", () => {
  const story = new Story(20);
  story.goTo({ kind: "ready", time: 200 });
  story.goTo({ kind: "ready", time: 1_000 });
  assert.equal(story.add("door 1", "opens"), "00:00  door 1          opens");
  story.goTo({ kind: "eats", time: 5_000 });
  assert.equal(story.clock, "01:20");
  for (let line = 0; line < 100; line++) story.add("x", `${line}`);
  assert.equal(textOf(story.last(2)).at(-1)?.endsWith("99"), true);
  assert.equal(story.last(1_000).length, 50);
  assert.deepEqual(story.last(-1), []);
});
