import assert from "node:assert/strict";
import { formatAddress } from "../../protocol/address.ts";
import type { Daemon } from "../../daemon/daemon.ts";
import { contentStart } from "../../protocol/batch.ts";
import { OUTCOME } from "../../protocol/messages.ts";
import { decodeRecord } from "../../protocol/record.ts";
import { MemoryNetwork } from "../../transport/memory.ts";
import {
  delivery,
  EPOCH,
  ScriptedApp,
  ScriptedBroker,
  startDaemon,
} from "./wire_parts.ts";

const LOG = EPOCH * 2 ** 21 + 4;

function textOf(batch: Uint8Array): unknown {
  return decodeRecord(batch.subarray(contentStart(batch, 0))).value;
}

/** A daemon on a folder, which can be started again. */
class Machine {
  readonly network = new MemoryNetwork();
  readonly broker = new ScriptedBroker(this.network);
  readonly #data = Deno.makeTempDirSync({ prefix: "mom-daemon-" });
  #daemon: Daemon | null = null;
  #apps: ScriptedApp[] = [];

  async start(): Promise<void> {
    this.#daemon = await startDaemon(this.network, { data: this.#data });
  }

  async stop(): Promise<void> {
    await this.#daemon?.stop();
  }

  get daemon(): Daemon {
    assert(this.#daemon !== null);
    return this.#daemon;
  }

  async connect(app: ScriptedApp): Promise<ScriptedApp> {
    this.#apps.push(app);
    return await app.connect(
      this.network,
      formatAddress(this.daemon.address),
      this.daemon.token,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const app of this.#apps) await app.close();
    await this.stop();
    await this.broker.stop();
    await Deno.remove(this.#data, { recursive: true });
  }
}

Deno.test("Daemon has its inbox after a restart and hands it over without a link", async () => {
  await using machine = new Machine();
  await machine.start();
  const { broker, network } = machine;
  const app = await machine.connect(new ScriptedApp("ana"));
  await app.attach(0);
  const { ref } = await broker.tape.next("ATTACH");
  for (let i = 0; i < 3; i++) broker.peer!.send(delivery(ref, i, `m${i}`));
  await broker.tape.next("ACK");
  while (machine.daemon.status().inbox!.messages < 3) await app.peer.ping(100);
  await machine.stop();
  network.down();
  await machine.start();
  assert.equal(machine.daemon.status().inbox?.messages, 3);
  network.up();
  const later = await machine.connect(
    new ScriptedApp("ana", app.handle, app.incarnation),
  );
  assert.equal(await later.attach(1 << 20, [], false), 0);
  const got: unknown[] = [];
  for (let i = 0; i < 3; i++) {
    got.push(textOf((await later.tape.next("DELIVER")).batch));
  }
  assert.deepEqual(got, ["m0", "m1", "m2"]);
});

Deno.test("Daemon marks what another handle may have had before a restart", async () => {
  await using machine = new Machine();
  await machine.start();
  const app = await machine.connect(new ScriptedApp("ana"));
  await app.attach(0);
  const { ref } = await machine.broker.tape.next("ATTACH");
  machine.broker.peer!.send(delivery(ref, 0, "m0"));
  await machine.broker.tape.next("ACK");
  await machine.stop();
  await machine.start();
  const other = await machine.connect(new ScriptedApp("ana"));
  const suspect = await other.attach(1 << 20);
  const { position } = await other.tape.next("DELIVER");
  assert(position <= suspect);
});

Deno.test("Daemon knows after a restart what it stored, and drains it once", async () => {
  await using machine = new Machine();
  await machine.start();
  const { broker, network } = machine;
  const app = await machine.connect(new ScriptedApp("ana"));
  await app.attach(0);
  await broker.tape.next("ATTACH");
  network.cut("127.0.0.1:7000");
  app.publish("doors", 1, "one");
  app.publish("doors", 2, "two");
  for (let i = 0; i < 2; i++) {
    assert.equal((await app.tape.next("RECEIPT")).level, 0);
  }
  await machine.stop();
  await machine.start();
  const later = await machine.connect(
    new ScriptedApp("ana", app.handle, app.incarnation),
  );
  await later.attach(0, [], false);
  const known = later.publish("doors", 2, "two");
  assert.deepEqual(await later.tape.next("RECEIPT"), {
    type: "RECEIPT",
    request: known,
    level: 0,
    offset: null,
  });
  // The link may have come back before the restart: then they are sent again.
  const seen = new Map<number, unknown>();
  while (seen.size < 2) await answerNext();
  assert.deepEqual([...seen], [[1, "one"], [2, "two"]]);
  later.publish("doors", 3, "three");
  while (!seen.has(3)) {
    assert.equal(await answerNext(), seen.size === 3 ? 2 : 0);
  }

  async function answerNext(): Promise<number> {
    const passed = await broker.tape.next("PUBLISH");
    const { firstSequence, batch, request, previous } = passed;
    seen.set(firstSequence, textOf(batch));
    broker.peer!.send({ type: "RECEIPT", request, level: 1, offset: null });
    return firstSequence === 3 ? previous : 0;
  }
});

Deno.test("Daemon lists custody and outcomes after a restart until the broker confirms", async () => {
  await using machine = new Machine();
  await machine.start();
  const { broker } = machine;
  const app = await machine.connect(new ScriptedApp("ana"));
  await app.attach(1 << 20);
  const { ref } = await broker.tape.next("ATTACH");
  broker.peer!.send(delivery(ref, 0, "m0"));
  await app.tape.next("DELIVER");
  machine.network.cut("127.0.0.1:7000");
  app.peer.send({
    type: "ACK",
    ref: 1,
    number: 1,
    outcomes: [OUTCOME.delivered, LOG, 0, 1],
  });
  assert.equal((await app.tape.next("CONFIRM")).number, 1);
  const { known } = await broker.tape.next("ATTACH");
  assert.deepEqual(known, [
    OUTCOME.custody,
    LOG,
    0,
    1,
    OUTCOME.delivered,
    LOG,
    0,
    1,
  ]);
  await machine.stop();
  await machine.start();
  const again = await broker.tape.next("ATTACH");
  assert.deepEqual(again.known, []);
});

Deno.test("Daemon refuses another machine's name for its folder", async () => {
  await using machine = new Machine();
  await machine.start();
  assert.equal(machine.daemon.machine, "north");
  await assert.rejects(
    startDaemon(machine.network, { machine: "a b" }),
    { code: "name_invalid" },
  );
});
