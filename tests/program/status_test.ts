import assert from "node:assert/strict";
import * as v from "../../deps/valibot.ts";
import { toMetrics } from "../../program/metrics.ts";
import {
  findWrongSums,
  noTotals,
  type StatusReport,
  statusReportSchema,
} from "../../program/status.ts";

function report(): StatusReport {
  const counts = {
    matched: 10,
    delivered: 3,
    pending: 2,
    deadLettered: 1,
    expired: 1,
    dropped: 2,
    own: 1,
    droppedReasons: { trimmed: 2 },
  };
  const publishes = { published: 10, stored: 7, trimmed: 3 };
  return {
    version: "1.2.3",
    role: "daemon",
    machine: "north",
    store: { id: "ab", epoch: 4, position: 5, bytes: 6 },
    uptimeMs: 1500,
    totals: { ...counts, ...publishes },
    topics: [{ topic: 'a"b\\c', ...publishes }],
    subscriptions: [
      { user: "ana@north", filter: "a/#", topic: "a/b", ...counts },
    ],
    sessions: [{
      machine: "north",
      role: "app",
      users: ["ana@north"],
      connectedMs: 5,
      remote: "unix:/x",
    }],
    deadLetters: [],
    outbox: { messages: 1, bytes: 2, oldestMs: 3000 },
    inbox: { messages: 0, bytes: 0, oldestMs: 0 },
    link: { state: "up", broker: "127.0.0.1:6270", sinceMs: 7 },
    omitted: { topics: 0, subscriptions: 0, sessions: 0, deadLetters: 0 },
  };
}

Deno.test("statusReportSchema takes a report as it comes out of JSON, with later fields", () => {
  const text = JSON.stringify({ ...report(), later: 1 });
  assert.deepEqual(v.parse(statusReportSchema, JSON.parse(text)), {
    ...report(),
    later: 1,
  });
});

Deno.test("statusReportSchema refuses a report with a count that is none", () => {
  const wrong = report();
  wrong.totals.pending = -1;
  assert.equal(v.is(statusReportSchema, wrong), false);
});

Deno.test("findWrongSums() is empty when all adds up, and names each row that does not", () => {
  assert.deepEqual(findWrongSums(report()), []);
  assert.deepEqual(findWrongSums({ ...report(), totals: noTotals() }), []);
  const wrong = report();
  wrong.totals.own++;
  wrong.totals.stored++;
  wrong.topics[0]!.trimmed++;
  wrong.subscriptions[0]!.matched++;
  const lines = findWrongSums(wrong);
  assert.equal(lines.length, 4);
  assert.match(lines[3]!, /^ana@north a\/# a\/b: matched 11, .* 10$/);
});

Deno.test("toMetrics() writes each metric once with help and type, then its samples", () => {
  const lines = toMetrics(report()).split("\n");
  assert.equal(lines.at(-1), "");
  const types = lines.filter((line) => line.startsWith("# TYPE"));
  assert.equal(new Set(types).size, types.length);
  const expected = [
    'mom_info{version="1.2.3",role="daemon"} 1',
    "mom_uptime_seconds 1.5",
    "mom_messages_published_total 10",
    "mom_deliveries_matched_total 10",
    'mom_dropped_total{reason="trimmed"} 2',
    'mom_sessions{role="app"} 1',
    'mom_sessions{role="daemon"} 0',
    "mom_outbox_oldest_seconds 3",
    "mom_inbox_messages 0",
    "mom_link_up 1",
    'mom_topic_stored{topic="a\\"b\\\\c"} 7',
    'mom_subscription_pending{user="ana@north",filter="a/#",topic="a/b"} 2',
  ];
  for (const line of expected) assert(lines.includes(line), line);
  const sample =
    /^[a-z_]+(\{[a-z]+="(\\.|[^"\\])*"(,[a-z]+="(\\.|[^"\\])*")*\})? [\d.e+-]+$/;
  for (const line of lines.slice(0, -1)) {
    if (!line.startsWith("# ")) assert.match(line, sample);
  }
});

Deno.test("toMetrics() leaves out what a broker does not have", () => {
  const text = toMetrics({
    ...report(),
    role: "broker",
    machine: null,
    outbox: null,
    inbox: null,
    link: null,
  });
  assert.doesNotMatch(text, /outbox|inbox|link/);
});
