import assert from "node:assert/strict";
import { Broker, Daemon, Mom } from "../../mod.ts";
import { eventually, within } from "../helpers/eventually.ts";
import { takeValues } from "../helpers/expect.ts";
import { TempFolder } from "../helpers/temp_folder.ts";
import { withDatabase } from "../storage/_support.ts";

const HERE = { hostname: "127.0.0.1", port: 0 };
const RECORDS = 12;

/** Flips a byte in the `n`th journal value of a store that is closed. */
async function damageValue(folder: string, n: number): Promise<void> {
  await withDatabase(folder, async (kv) => {
    const keys: Deno.KvKey[] = [];
    for await (const { key } of kv.list({ prefix: ["j"] })) keys.push(key);
    const { value } = await kv.get<Uint8Array>(keys[n]);
    value![100] ^= 8;
    await kv.set(keys[n], value);
  });
}

/** Large enough that few share a journal value. */
function valueOf(number: number): string {
  return `${number}`.padEnd(20_000, ".");
}

function numberOf(value: unknown): number {
  return Number(String(value).replaceAll(".", ""));
}

Deno.test("a flipped byte in an outbox is told with its topic, the rest is forwarded", async () => {
  await using folder = await TempFolder.make();
  const data = `${folder.path}/north`;
  await using broker = await Broker.start({ ...HERE, data: ":memory:" });
  const { address, token } = broker;
  await using ben = await Mom.connect({ broker: address, token, name: "ben" });
  await ben.subscribe("doors");
  const listen = HERE;
  const base = { data, machine: "north", listen, brokerToken: token };
  const away = await Daemon.start({ ...base, broker: "127.0.0.1:1" });
  const daemon = { daemon: away.address, token: away.token };
  const ana = await Mom.connect({ ...daemon, name: "ana" });
  for (let i = 0; i < RECORDS; i++) await ana.publish("doors", valueOf(i));
  await ana.close();
  await away.stop();
  await damageValue(data, 1);
  const logged: unknown[] = [];
  const ignore = () => {};
  await using again = await Daemon.start({
    ...base,
    broker: address,
    logger: {
      debug: ignore,
      info: ignore,
      warn: ignore,
      error: (event, fields) => logged.push([event, fields]),
    },
  });
  assert.deepEqual(logged.length, 1);
  const [[event, fields]] = logged as [[string, Record<string, unknown>]];
  assert.equal(event, "damaged");
  const count = Number(fields.count);
  assert.deepEqual({ ...fields }, { place: "outbox", topic: "doors", count });
  assert.ok(count > 0 && count < RECORDS / 2, `${count} lost`);
  const came = (await takeValues(ben, RECORDS - count)).map(numberOf);
  assert.deepEqual(came, came.toSorted((a, b) => a - b));
  assert.equal(new Set(came).size, RECORDS - count);
  await eventually(
    "an empty outbox",
    () => again.status().outbox?.messages === 0,
  );
});

Deno.test("a flipped byte in an inbox drops what it held, the rest is handed over", async () => {
  await using folder = await TempFolder.make();
  const data = `${folder.path}/north`;
  await using broker = await Broker.start({ ...HERE, data: ":memory:" });
  const { address, token } = broker;
  const base = {
    broker: address,
    brokerToken: token,
    data,
    machine: "north",
    listen: HERE,
  };
  const first = await Daemon.start(base);
  const at = { daemon: first.address, token: first.token, name: "ben" };
  const ben = await Mom.connect(at);
  await ben.subscribe("doors");
  await using cy = await Mom.connect({ broker: address, token, name: "cy" });
  for (let i = 0; i < RECORDS; i++) await cy.publish("doors", valueOf(i));
  await eventually(
    "all in the inbox",
    () => first.status().inbox?.messages === RECORDS,
  );
  await ben.close();
  await first.stop();
  await damageValue(data, 1);
  await using again = await Daemon.start(base);
  await using back = await Mom.connect({
    daemon: again.address,
    token: again.token,
    name: "ben",
  });
  const taking = (async () => {
    const came: number[] = [];
    while (true) {
      const more = await back.receiveMany({ timeoutMs: 1_000 });
      if (more.length === 0) return came;
      came.push(...more.map(({ value }) => numberOf(value)));
    }
  })();
  const came = await within("what is intact", 20_000, taking);
  const row = await eventually("the loss at the broker", () => {
    const [row] = broker.status({ user: "ben@north" }).subscriptions;
    return row.pending === 0 ? row : null;
  });
  assert.equal(row.delivered, came.length);
  assert.equal(row.dropped, RECORDS - came.length);
  assert.deepEqual(row.droppedReasons, { damaged: RECORDS - came.length });
  assert.ok(came.length > RECORDS / 2 && came.length < RECORDS);
});
