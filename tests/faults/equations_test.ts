import assert from "node:assert/strict";
import { noTotals, type SubscriptionStatus } from "../../program/status.ts";
import { checkCounts, checkSums, type Sums } from "./equations.ts";
import { type History, judge } from "./judge.ts";

function row(counts: Partial<SubscriptionStatus>): SubscriptionStatus {
  return {
    user: "ben@south",
    filter: "t",
    topic: "t",
    ...noTotals(),
    ...counts,
  };
}

function sums(counts: Partial<SubscriptionStatus>): Sums {
  const topics = [{ topic: "t", published: 5, stored: 3, trimmed: 2 }];
  return { totals: noTotals(), topics, subscriptions: [row(counts)] };
}

const whole = {
  matched: 21,
  delivered: 1,
  pending: 2,
  deadLettered: 3,
  expired: 4,
  dropped: 5,
  own: 6,
};

Deno.test("checkSums() finds nothing when the sums come out", () => {
  assert.deepEqual(checkSums(sums(whole)), []);
});

Deno.test("checkSums() tells each counter that is off by one", () => {
  for (const [counter, value] of Object.entries(whole)) {
    const failures = checkSums(sums({ ...whole, [counter]: value + 1 }));
    assert.equal(failures.length, 1, counter);
    assert.match(failures[0], /^ben@south t t: matched/);
  }
  const topics = [{ topic: "t", published: 5, stored: 3, trimmed: 1 }];
  assert.equal(checkSums({ ...sums(whole), topics }).length, 1);
  const totals = { ...noTotals(), matched: 1 };
  assert.equal(checkSums({ ...sums(whole), totals }).length, 1);
});

const history: History = {
  attempts: [0, 1, 2, 3, 4].map((counter) => ({
    writer: "w",
    counter,
    topic: "t",
    outcome: counter === 4 ? "unknown" : "acknowledged",
  })),
  readers: [{
    user: "ben@south",
    filters: ["t"],
    lives: [{
      life: "r",
      takes: [0, 1, 2, 3].map((counter) => ({
        writer: "w",
        counter,
        topic: "t",
        offset: counter,
        redelivered: false,
      })),
      confirmed: [],
    }],
  }],
  users: new Map([["w", "ana@north"]]),
};

Deno.test("checkCounts() holds the counters against what the apps counted", () => {
  const verdict = judge(history);
  const check = (counts: Partial<SubscriptionStatus>, published = 5) =>
    checkCounts(
      {
        ...sums(counts),
        topics: [{ topic: "t", published, stored: published, trimmed: 0 }],
      },
      history,
      verdict,
    );
  assert.deepEqual(check({ delivered: 4 }), []);
  assert.deepEqual(check({ delivered: 4 }, 4), []);
  assert.equal(check({ delivered: 3 }).length, 1);
  assert.equal(check({ delivered: 5 }).length, 1);
  for (const name of ["pending", "deadLettered", "expired", "dropped"]) {
    assert.equal(check({ delivered: 4, [name]: 1 }).length, 1, name);
  }
  assert.equal(check({ delivered: 4 }, 3).length, 1);
  assert.equal(check({ delivered: 4 }, 6).length, 1);
});
