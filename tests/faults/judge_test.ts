import assert from "node:assert/strict";
import { fc } from "../../deps/fast_check.ts";
import {
  type FindingKind,
  type History,
  judge,
  type Reader,
  type ReaderLife,
  type Take,
} from "./judge.ts";
import { filterTakes } from "./filter_match.ts";

/** A take of writer `w`'s message number `counter`, whose offset is the same. */
function take(counter: number, redelivered = false): Take {
  return { writer: "w", counter, topic: "t", offset: counter, redelivered };
}

function life(
  takes: Take[],
  confirmed: [string, number, number][] = [],
): ReaderLife {
  return { life: "r.1", takes, confirmed };
}

function history(lives: ReaderLife[], published = 5): History {
  const attempts = Array.from({ length: published }, (_, counter) => ({
    writer: "w",
    counter,
    topic: "t",
    outcome: "acknowledged" as const,
  }));
  const readers: Reader[] = [{ user: "ben@south", filters: ["t"], lives }];
  return { attempts, readers, users: new Map([["w", "ana@north"]]) };
}

function kinds(of: History): FindingKind[] {
  return judge(of).findings.map((finding) => finding.kind);
}

const all = [0, 1, 2, 3, 4];

Deno.test("judge() finds nothing when each message came once and in order", () => {
  const verdict = judge(history([life(all.map((n) => take(n)))]));
  assert.deepEqual(verdict.findings, []);
  assert.equal(verdict.tallies[0].taken, 5);
  assert.deepEqual(verdict.attempts, {
    acknowledged: 5,
    refused: 0,
    unknown: 0,
  });
});

Deno.test("judge() finds nothing when a dead life's unconfirmed takes come again marked", () => {
  const first = life([take(0), take(1), take(2)], [["t", 0, 1]]);
  const second = life([take(1, true), take(2, true), take(3), take(4)]);
  const verdict = judge(history([first, second]));
  assert.deepEqual(verdict.findings, []);
  assert.equal(verdict.tallies[0].again, 2);
  assert.equal(verdict.tallies[0].taken, 5);
});

Deno.test("judge() tells a lost message wherever it was in the run", () => {
  for (const missing of all) {
    const rest = all.filter((n) => n !== missing).map((n) => take(n));
    const { findings } = judge(history([life(rest)]));
    assert.deepEqual(findings.map((f) => f.kind), ["lost"]);
    assert.match(findings[0].detail, new RegExp(`w#${missing} `));
    assert.equal(findings[0].user, "ben@south");
  }
});

Deno.test("judge() does not miss what was refused, unknown, unmatched or the user's own", () => {
  const base = history([life(all.map((n) => take(n)))]);
  const more = [
    { writer: "w", counter: 5, topic: "t", outcome: "refused" as const },
    { writer: "w", counter: 6, topic: "t", outcome: "unknown" as const },
    { writer: "w", counter: 7, topic: "x", outcome: "acknowledged" as const },
    { writer: "b", counter: 0, topic: "t", outcome: "acknowledged" as const },
  ];
  const attempts = [...base.attempts, ...more];
  const users = new Map([...base.users, ["b", "ben@south"]]);
  assert.deepEqual(kinds({ ...base, attempts, users }), []);
});

Deno.test("judge() tells a message that one life took twice, marked or not", () => {
  for (const marked of [false, true]) {
    const takes = [...all.map((n) => take(n)), take(2, marked)];
    assert.deepEqual(kinds(history([life(takes)])), ["duplicated"]);
  }
});

Deno.test("judge() tells a message that came again after it was confirmed", () => {
  const first = life([take(0), take(1), take(2)], [["t", 0, 2]]);
  const second = life([1, 2, 3, 4].map((n) => take(n, true)));
  const { findings } = judge(history([first, second]));
  assert.deepEqual(findings.map((f) => f.kind), ["duplicated"]);
  assert.match(findings[0].detail, /w#1 .*confirmed/);
});

Deno.test("judge() does not hold a life's own confirmation against its takes", () => {
  const first = life([take(0), take(1)]);
  const second = life(all.map((n) => take(n, n < 2)), [["t", 0, 5]]);
  assert.deepEqual(kinds(history([first, second])), []);
});

Deno.test("judge() tells a second coming that is not marked", () => {
  const first = life([take(0), take(1)], [["t", 0, 1]]);
  const second = life([take(1), take(2), take(3), take(4)]);
  assert.deepEqual(kinds(history([first, second])), ["unflagged"]);
});

Deno.test("judge() tells two messages that changed places, within and over lives", () => {
  const swapped = [0, 2, 1, 3, 4].map((n) => take(n));
  assert.deepEqual(kinds(history([life(swapped)])), ["reordered"]);
  const first = life([take(0), take(2)]);
  const second = life([take(1), take(2, true), take(3), take(4)]);
  assert.deepEqual(kinds(history([first, second])), ["reordered"]);
});

Deno.test("judge() tells a marked repetition that is out of order in its life", () => {
  const first = life([take(0), take(1), take(2)]);
  const second = life([2, 1, 3, 4].map((n) => take(n, n < 3)));
  assert.deepEqual(kinds(history([first, second])), ["reordered"]);
});

Deno.test("judge() lets writers overtake each other", () => {
  const base = history([]);
  const other = all.map((n) => ({
    writer: "v",
    counter: n,
    topic: "t",
    outcome: "acknowledged" as const,
  }));
  const takes = all.flatMap((n) => [
    { ...take(n), offset: 2 * n },
    { ...take(4 - n), writer: "v", counter: n, offset: 2 * n + 1 },
  ]);
  const readers = [{ ...base.readers[0], lives: [life(takes)] }];
  const users = new Map([...base.users, ["v", "cat@north"]]);
  const attempts = [...base.attempts, ...other];
  assert.deepEqual(kinds({ attempts, readers, users }), []);
});

Deno.test("judge() tells what was never published, was refused, or nobody asked for", () => {
  const extra = life([...all, 5].map((n) => take(n)));
  assert.deepEqual(kinds(history([extra])), ["unexpected"]);
  const whole = history([life(all.map((n) => take(n)))]);
  const refused = whole.attempts.map((attempt) =>
    attempt.counter === 3
      ? { ...attempt, outcome: "refused" as const }
      : attempt
  );
  assert.deepEqual(kinds({ ...whole, attempts: refused }), ["unexpected"]);
  const deaf = [{ ...whole.readers[0], filters: ["x"] }];
  assert.equal(kinds({ ...whole, readers: deaf }).length, 5);
  const own = new Map([["w", "ben@south"]]);
  assert.deepEqual(
    new Set(kinds({ ...whole, users: own })),
    new Set(["unexpected"]),
  );
});

Deno.test("judge() tells offsets and senders that do not agree", () => {
  const whole = history([life(all.map((n) => take(n)))]);
  const receipts = whole.attempts.map((a) => ({ ...a, offset: a.counter }));
  assert.deepEqual(kinds({ ...whole, attempts: receipts }), []);
  receipts[2].offset = 3;
  assert.ok(
    kinds({ ...whole, attempts: receipts }).includes("inconsistent"),
  );
  const posing = all.map((n) => ({ ...take(n), sender: "eve@north" }));
  assert.deepEqual(
    new Set(kinds(history([life(posing)]))),
    new Set(["inconsistent"]),
  );
});

Deno.test("judge() tells what was overtaken over topics", () => {
  for (const order of [[1, 0, 2, 3, 4], [0, 1, 2, 3, 4]]) {
    const attempts = all.map((counter) => ({
      writer: "w",
      counter,
      topic: `t/${counter % 2}`,
      outcome: "acknowledged" as const,
    }));
    const takes = order.map((counter) => ({
      ...take(counter),
      topic: `t/${counter % 2}`,
    }));
    const base = history([life(takes)]);
    const readers = [{ ...base.readers[0], filters: ["t/+"] }];
    const found = kinds({ ...base, attempts, readers });
    assert.deepEqual(found, order[0] === 1 ? ["overtaken"] : []);
  }
});

/** A run without faults of the system: lives end anywhere, notes are truthful. */
const truthful = fc.record({
  published: fc.integer({ min: 1, max: 40 }),
  ends: fc.array(fc.record({ takes: fc.nat(12), confirmed: fc.nat(12) }), {
    maxLength: 4,
  }),
}).map(({ published, ends }) => {
  const lives: ReaderLife[] = [];
  let settled = 0;
  let handed = 0;
  for (const end of [...ends, { takes: published, confirmed: published }]) {
    const to = Math.min(settled + end.takes, published);
    const takes: Take[] = [];
    for (let n = settled; n < to; n++) takes.push(take(n, n < handed));
    const confirmed = Math.min(settled + end.confirmed, to);
    lives.push(life(takes, [["t", settled, confirmed]]));
    handed = Math.max(handed, to);
    settled = confirmed;
  }
  return history(lives, published);
});

/** What a broken system makes of the last life: the finding that must follow. */
const damages: Record<string, (takes: Take[], at: number) => FindingKind> = {
  forgets(takes, at) {
    takes.splice(at, 1);
    return "lost";
  },
  doubles(takes, at) {
    takes.splice(at + 1, 0, takes[at]);
    return "duplicated";
  },
  swaps(takes, at) {
    const other = at === 0 ? 1 : at - 1;
    [takes[at], takes[other]] = [takes[other], takes[at]];
    return "reordered";
  },
  unmarks(takes, at) {
    takes[at] = { ...takes[at], redelivered: false };
    return "unflagged";
  },
};

Deno.test("judge() acquits every truthful run", () => {
  fc.assert(fc.property(truthful, (run) => {
    assert.deepEqual(judge(run).findings, []);
  }));
});

for (const [name, damage] of Object.entries(damages)) {
  Deno.test(`judge() convicts a system that ${name} one message of a truthful run`, () => {
    let convicted = 0;
    fc.assert(fc.property(truthful, fc.nat(), (run, pick) => {
      const lives = run.readers[0].lives;
      const last = [...lives.at(-1)!.takes];
      const before = lives.slice(0, -1);
      const suited = last.map((_, at) => at).filter((at) =>
        name === "unmarks"
          ? last[at].redelivered
          : name === "forgets"
          ? !before.some((l) =>
            l.takes.some((t) => t.counter === last[at].counter)
          )
          : last.length > 1
      );
      fc.pre(suited.length > 0);
      const expected = damage(last, suited[pick % suited.length]);
      const readers = [{
        ...run.readers[0],
        lives: [...before, { ...lives.at(-1)!, takes: last }],
      }];
      assert.ok(kinds({ ...run, readers }).includes(expected));
      convicted++;
    }));
    assert.ok(convicted > 20, `only ${convicted} runs were convicted`);
  });
}

Deno.test("filterTakes() knows levels, wildcards and the reserved first level", () => {
  const table: [filter: string, topic: string, taken: boolean][] = [
    ["a/b", "a/b", true],
    ["a", "a/b", false],
    ["a/b", "a", false],
    ["A", "a", false],
    ["a/+", "a/b", true],
    ["a/+", "a", false],
    ["a/+", "a/b/c", false],
    ["a/+", "a/", true],
    ["+", "a", true],
    ["+", "a/b", false],
    ["+/b", "a/b", true],
    ["#", "a", true],
    ["#", "a/b/c", true],
    ["a/#", "a", true],
    ["a/#", "a/b/c", true],
    ["a/#", "ab", false],
    ["+/#", "a/b", true],
    ["#", "$mom/x", false],
    ["+/x", "$mom/x", false],
    ["$mom/#", "$mom/x", true],
    ["a*b", "a*b", true],
    ["a*b", "aab", false],
  ];
  for (const [filter, topic, taken] of table) {
    assert.equal(filterTakes(filter, topic), taken, `${filter} ~ ${topic}`);
  }
});
