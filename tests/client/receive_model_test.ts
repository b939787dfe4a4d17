import assert from "node:assert/strict";
import { fc } from "../../deps/fast_check.ts";
import type { Message, Mom } from "../../daemon/client.ts";
import { OUTCOME } from "../../protocol/messages.ts";
import { eventually } from "../helpers/eventually.ts";
import { ScriptedServer } from "./scripted_server.ts";

const LOG = 2 ** 21 + 1;

/** A custodian of one log: what is not settled comes again with each ATTACH. */
class Custodian {
  readonly settled = new Map<number, number>();
  end = 0;
  readonly #server: ScriptedServer;
  readonly #isManual: boolean;
  #confirmations: number[] = [];
  holdsBack = false;

  constructor(server: ScriptedServer, isManual: boolean) {
    this.#server = server;
    this.#isManual = isManual;
    server.script = (message, peer) => {
      if (message.type === "ATTACH") {
        const held = this.#take(message.known);
        this.#confirmations = [];
        server.attached(message, peer);
        for (let offset = 0; offset < this.end; offset++) {
          if (!this.settled.has(offset) && !held.has(offset)) {
            this.#push(offset);
          }
        }
        return true;
      }
      if (message.type !== "ACK") return false;
      this.#take(message.outcomes);
      this.#confirmations.push(message.number);
      if (!this.holdsBack) this.confirm();
      return true;
    };
  }

  publish(count: number): void {
    for (let i = 0; i < count; i++) this.#push(this.end++);
  }

  confirm(): void {
    const number = this.#confirmations.at(-1);
    this.#confirmations = [];
    if (number !== undefined) {
      this.#server.send({ type: "CONFIRM", ref: 1, number });
    }
  }

  #push(offset: number): void {
    const targets = [1, this.#isManual ? 1 : 0];
    this.#server.deliver("t", [offset], { baseOffset: offset, targets });
  }

  /** @returns What is held. */
  #take(outcomes: number[]): Set<number> {
    const held = new Set<number>();
    for (let i = 0; i < outcomes.length; i += 4) {
      const [kind, logId, from, to] = outcomes.slice(i, i + 4) as [
        number,
        number,
        number,
        number,
      ];
      assert.equal(logId, LOG);
      assert.ok(from < to);
      for (let offset = from; offset < to; offset++) {
        if (kind === OUTCOME.held) held.add(offset);
        else if (!this.settled.has(offset)) this.settled.set(offset, kind);
      }
    }
    return held;
  }
}

const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("publish" as const),
      count: fc.integer({ min: 1, max: 5 }),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant("take" as const),
      max: fc.integer({ min: 1, max: 4 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant("ack" as const), index: fc.nat(5) }),
  },
  { weight: 3, arbitrary: fc.constant({ do: "turn" as const }) },
  { weight: 2, arbitrary: fc.constant({ do: "cut" as const }) },
  { weight: 1, arbitrary: fc.constant({ do: "hold" as const }) },
  { weight: 1, arbitrary: fc.constant({ do: "confirm" as const }) },
);

for (const isManual of [false, true]) {
  const how = isManual ? "ack() called" : "taking";
  Deno.test(`whatever is lost on the way, a live handle gets each message once, in order, and ${how} settles it`, async () => {
    const property = fc.asyncProperty(
      fc.array(step, { maxLength: 50 }),
      async (steps) => {
        await using server = new ScriptedServer();
        const custodian = new Custodian(server, isManual);
        const mom: Mom = await server.connect();
        await mom.receive({ timeoutMs: 0 });
        const got: number[] = [];
        const open: Message[] = [];
        const acks: Promise<void>[] = [];
        const take = (messages: Message[]) => {
          for (const message of messages) {
            assert.equal(message.value, message.offset);
            got.push(message.offset);
            if (isManual) open.push(message);
          }
        };
        const ack = (index: number) =>
          acks.push(...open.splice(index, 1).map((each) => each.ack()));
        for (const each of steps) {
          if (each.do === "publish") custodian.publish(each.count);
          else if (each.do === "take") {
            take(await mom.receiveMany({ max: each.max, timeoutMs: 0 }));
          } else if (each.do === "ack") ack(each.index);
          else if (each.do === "cut") server.cut();
          else if (each.do === "hold") custodian.holdsBack = true;
          else if (each.do === "confirm") custodian.confirm();
          else await new Promise((resolve) => setTimeout(resolve, 1));
        }
        custodian.holdsBack = false;
        // What was published over a connection that had just been cut comes with the next one.
        server.cut();
        while (got.length < custodian.end) {
          const more = await mom.receiveMany({ timeoutMs: 5_000 });
          assert.ok(more.length > 0, `${got.length} of ${custodian.end} came`);
          take(more);
        }
        while (open.length > 0) ack(0);
        await Promise.all(acks);
        assert.deepEqual(
          got,
          Array.from({ length: custodian.end }, (_, i) => i),
        );
        await eventually(
          "all to be settled",
          () => custodian.settled.size === custodian.end,
          { intervalMs: 1 },
        );
        assert.ok(
          [...custodian.settled.values()].every((kind) =>
            kind === OUTCOME.delivered
          ),
        );
        assert.equal(await mom.receive({ timeoutMs: 0 }), null);
      },
    );
    await fc.assert(property, { numRuns: 60 });
  });
}
