import assert from "node:assert/strict";
import { ShardLine } from "../../coordinator/client/shard_line.ts";
import { COORDINATOR_LIMITS } from "../../coordinator/limits.ts";
import { FakeClock } from "../helpers/fake_clock.ts";

/** What of a record the tests look at. */
interface Sent {
  readonly op: string;
  readonly session: number;
  readonly request: number;
}

/** A line, and what it sent to its shard. */
function openLine() {
  const clock = new FakeClock();
  const sent: Sent[] = [];
  let requests = 0;
  const line = new ShardLine({
    clock,
    shard: 1,
    client: "c".repeat(32),
    leaseMs: 5_000,
    timeoutMs: 1_000,
    nextRequest: () => ++requests,
    publish: (record) => {
      sent.push(record as Sent);
      return Promise.resolve();
    },
  });
  /** Answers one that was sent. */
  const answer = async ({ session, request }: Sent, result: unknown) => {
    const to = { v: 1, shard: 1, session, request, offset: request } as const;
    line.onReply({ ...to, time: 1, outcome: "done", result });
    // What follows is for promises to do, and there is no timer among them.
    await new Promise((resolve) => setTimeout(resolve, 0));
  };
  return { clock, sent, line, answer };
}

for (
  const [op, many] of [
    ["value_read", COORDINATOR_LIMITS.openRequests],
    ["semaphore_wait", COORDINATOR_LIMITS.openRequests],
  ] as const
) {
  Deno.test(`ShardLine sends a ${op} whatever gave up before it while nobody was there`, async () => {
    const { clock, sent, line, answer } = openLine();
    const given = Array.from(
      { length: many },
      (_, n) => line.call({ op, name: `N${n}` }, 100),
    );
    const ended = Promise.allSettled(given);
    clock.advance(100);
    const outcomes = await ended;
    assert(outcomes.every(({ status }) => status === "rejected"));
    const last = line.call({ op, name: "LAST" }, 60_000);
    const [hello] = sent;
    assert.equal(hello.op, "hello");
    await answer(hello, null);
    const asked = sent.filter((each) => each.op === op);
    assert.equal(asked.length, 1);
    await answer(asked[0], 7);
    await last;
    const closing = line.close();
    const leave = sent.at(-1)!;
    assert.equal(leave.op, "leave");
    await answer(leave, null);
    await closing;
  });
}
