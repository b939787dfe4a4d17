import assert from "node:assert/strict";
import { PHILOSOPHER_CONDITIONS } from "../../examples/philosophers/conditions.ts";
import {
  bufferName,
  isProducer,
  type PhilosopherEvent,
  producerOf,
  stickName,
  sticksOf,
} from "../../examples/philosophers/event.ts";
import type { PhilosopherEntry } from "../../examples/philosophers/state.ts";
import { judge } from "../../examples/simulation/conditions.ts";
import {
  change,
  type Damage,
  damaged,
  drop,
  LogBook,
  move,
  repeat,
} from "./log_book.ts";

const COUNT = 4;
const ITEMS = 2;

/** A table, and who eats at it. */
class Table {
  readonly book = new LogBook<PhilosopherEvent>();
  readonly #counts = new Map<number, number>();

  lay(): void {
    const settings = {
      philosophers: COUNT,
      items: ITEMS,
      machines: 2,
      coordinators: 2,
      killCoordinator: true,
    };
    const { book } = this;
    book.say("main", { kind: "opened", settings });
    for (let id = 0; id < COUNT; id++) {
      book.create("semaphore", stickName(id), 1);
    }
    for (let id = 0; id < COUNT; id += 2) {
      book.create("value", bufferName(id), 0);
    }
    for (let id = 0; id < COUNT; id++) {
      book.say(`philosopher-${id}`, { kind: "ready" });
    }
  }

  eat(id: number): void {
    const { book } = this;
    const user = `philosopher-${id}`;
    const [first, second] = sticksOf(id, COUNT).map(stickName);
    book.say(user, { kind: "hungry", id });
    book.holding(user, first!, () =>
      book.holding(user, second!, () => {
        book.say(user, { kind: "eats", id });
        this.#useBuffer(id, user);
        book.say(user, { kind: "stops", id });
      }));
  }

  restart(id: number): void {
    const program = `coordinator ${id}`;
    this.book.say(
      "main",
      { kind: "killed", program },
      { kind: "restarts", program },
      { kind: "back", program },
    );
  }

  clear(): void {
    const { book } = this;
    const all = Array.from({ length: COUNT }, (_, id) => id);
    for (const id of all) {
      book.say("main", { kind: "ended", actor: `philosopher-${id}`, code: 0 });
    }
    const buffers = all.filter(isProducer).map(bufferName);
    for (const name of buffers) book.read("main", name);
    for (const name of all.map(stickName)) {
      book.say("main", { kind: "gone", what: "semaphore", name });
    }
    for (const name of buffers) {
      book.say("main", { kind: "gone", what: "value", name });
    }
    book.say("main", { kind: "closed" });
    book.endPrograms(["north", "south"], 2);
  }

  #useBuffer(id: number, user: string): void {
    const { book } = this;
    const buffer = bufferName(producerOf(id));
    const filled = book.read(user, buffer);
    if (!isProducer(id) && filled === 0) {
      book.say(user, { kind: "finds_nothing", id });
      return;
    }
    book.write(user, buffer, isProducer(id) ? filled + 1 : filled - 1);
    const count = (this.#counts.get(id) ?? 0) + 1;
    this.#counts.set(id, count);
    book.say(user, { kind: "counted", id, count });
  }
}

/** Each producer makes two items, each consumer takes them; coordinators die. */
function play(): readonly PhilosopherEntry[] {
  const table = new Table();
  table.lay();
  for (const id of [1, 0, 2, 3]) table.eat(id);
  table.restart(1);
  for (const id of [1, 0, 2]) table.eat(id);
  table.restart(2);
  for (const id of [3, 1]) table.eat(id);
  table.clear();
  return table.book.entries;
}

const LOG = play();

const kind = (name: string) => (entry: PhilosopherEntry) => entry.kind === name;
const by = (id: number, name: string) => (entry: PhilosopherEntry) =>
  entry.kind === name && entry.user === `philosopher-${id}@north`;
const stick =
  (name: "taken" | "released", which: number) => (entry: PhilosopherEntry) =>
    entry.kind === name && entry.semaphore === stickName(which);

const DAMAGES: readonly Damage<PhilosopherEvent>[] = [
  {
    rule: "whole_log",
    what: "an entry is missing",
    spoil: (log) => drop(log, kind("hungry")),
    keepsOffsets: true,
  },
  {
    rule: "one_holder",
    what: "a stick is taken from somebody's hand",
    spoil: (log) =>
      move(log, stick("taken", 0), stick("released", 0), { nth: 1 }),
  },
  {
    rule: "one_holder",
    what: "a token comes again",
    spoil: (log) => change(log, stick("taken", 1), { token: 1 }, 1),
  },
  {
    rule: "one_holder",
    what: "a stick is put down by another",
    spoil: (log) =>
      change(log, stick("released", 1), { user: "philosopher-3@north" }),
  },
  {
    rule: "neighbours_apart",
    what: "neighbours eat at the same time",
    spoil: (log) => move(log, by(0, "eats"), by(1, "stops")),
  },
  {
    rule: "both_sticks",
    what: "somebody eats with one stick",
    spoil: (log) => move(log, by(0, "eats"), by(0, "taken"), { nthBefore: 1 }),
  },
  {
    rule: "both_sticks",
    what: "the lower-numbered stick is taken first",
    spoil: (log) => move(log, by(1, "taken"), by(1, "taken"), { nth: 1 }),
  },
  {
    rule: "both_sticks",
    what: "a stick is taken from across the table",
    spoil: (log) =>
      change(log, by(0, "taken"), { semaphore: stickName(1), token: 99 }),
  },
  {
    rule: "true_values",
    what: "a read is stale",
    spoil: (log) => change(log, by(1, "reads"), { is: 0 }, 1),
  },
  {
    rule: "true_values",
    what: "a buffer is used without the stick between",
    spoil: (log) => move(log, by(0, "reads"), by(0, "taken")),
  },
  {
    rule: "buffer_in_bounds",
    what: "a buffer holds less than nothing",
    spoil: (log) => change(log, kind("writes"), { is: -1 }),
  },
  {
    rule: "buffer_in_bounds",
    what: "a buffer holds more than all items",
    spoil: (log) => change(log, kind("writes"), { is: ITEMS + 1 }),
  },
  {
    rule: "buffer_balance",
    what: "an item is lost",
    spoil: (log) => {
      change(log, by(0, "writes"), { is: 0 });
    },
  },
  {
    rule: "buffer_balance",
    what: "somebody finds nothing where something is",
    spoil: (log) => change(log, by(1, "reads"), { is: 1 }),
  },
  {
    rule: "buffer_balance",
    what: "an item is counted twice",
    spoil: (log) => repeat(log, by(0, "counted")),
  },
  {
    rule: "all_made",
    what: "an item is missing",
    spoil: (log) => drop(log, by(3, "counted"), -1),
  },
  {
    rule: "buffers_empty",
    what: "something is left in a buffer",
    spoil: (log) => change(log, kind("reads"), { is: 1 }, -1),
  },
  {
    rule: "buffers_empty",
    what: "nobody looks into a buffer at the end",
    spoil: (log) => drop(log, kind("reads"), -1),
  },
  {
    rule: "coordinators_killed",
    what: "a coordinator was not killed",
    spoil: (log) => drop(log, kind("killed")),
  },
  {
    rule: "coordinators_killed",
    what: "a coordinator was brought back after the meal",
    spoil: (log) => move(log, kind("restarts"), kind("gone"), { nth: 1 }),
  },
  {
    rule: "coordinators_killed",
    what: "a coordinator never came back",
    spoil: (log) => drop(log, kind("back"), -1),
  },
  {
    rule: "all_ended",
    what: "a philosopher's process fails",
    spoil: (log) => change(log, kind("ended"), { code: 137 }),
  },
  {
    rule: "all_ended",
    what: "a philosopher's process ends twice",
    spoil: (log) => repeat(log, kind("ended")),
  },
  {
    rule: "programs_ended",
    what: "the broker has to be killed",
    spoil: (log) => change(log, kind("program_ended"), { code: 137 }),
  },
  {
    rule: "resources_gone",
    what: "a stick is still there",
    spoil: (log) => drop(log, kind("gone")),
  },
  {
    rule: "resources_gone",
    what: "a buffer was never made",
    spoil: (log) => drop(log, kind("created"), -1),
  },
];

Deno.test("PHILOSOPHER_CONDITIONS find nothing in a right log", () => {
  for (const { id, faults } of judge(LOG, PHILOSOPHER_CONDITIONS)) {
    assert.deepEqual(faults, [], id);
  }
});

Deno.test("PHILOSOPHER_CONDITIONS object to a log with nothing in it", () => {
  const broken = judge([], PHILOSOPHER_CONDITIONS)
    .filter(({ faults }) => faults.length > 0).map(({ id }) => id);
  for (const id of ["whole_log", "programs_ended"]) {
    assert.ok(broken.includes(id), id);
  }
});

for (const damage of DAMAGES) {
  Deno.test(`PHILOSOPHER_CONDITIONS: ${damage.rule} notices when ${damage.what}`, () => {
    const findings = judge(damaged(LOG, damage), PHILOSOPHER_CONDITIONS);
    const broken = findings.filter(({ faults }) => faults.length > 0);
    assert.ok(
      broken.some(({ id }) => id === damage.rule),
      `broken: ${broken.map(({ id }) => id).join()}`,
    );
  });
}

Deno.test("PHILOSOPHER_CONDITIONS object to entries that lack what they need", () => {
  for (const [index, entry] of LOG.entries()) {
    for (const field of Object.keys(entry)) {
      if (["time", "offset", "user", "kind"].includes(field)) continue;
      // What only the picture needs.
      if (entry.kind === "hungry" || entry.kind === "finds_nothing") continue;
      // With what a semaphore began shows only in who gets it.
      if (entry.kind === "created" && field === "is") continue;
      const log = structuredClone([...LOG]);
      Reflect.deleteProperty(log[index]!, field);
      const isKept = judge(log, PHILOSOPHER_CONDITIONS)
        .every(({ faults }) => faults.length === 0);
      assert.ok(!isKept, `${index}: ${entry.kind} without ${field}`);
    }
  }
});

Deno.test("PHILOSOPHER_CONDITIONS: each rule has a log that breaks it", () => {
  const tried = new Set(DAMAGES.map(({ rule }) => rule));
  const untried = PHILOSOPHER_CONDITIONS.filter(({ id }) => !tried.has(id));
  assert.deepEqual(untried.map(({ id }) => id), []);
});
