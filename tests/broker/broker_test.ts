/** The broker over connections in memory: who is let in, and how it ends. */

import assert from "node:assert/strict";
import { Broker } from "../../broker/broker.ts";
import type { BrokerOptions } from "../../broker/options.ts";
import { findWrongSums } from "../../program/status.ts";
import { findToken } from "../../program/tokens.ts";
import { formatAddress } from "../../protocol/address.ts";
import type { MomError } from "../../protocol/errors.ts";
import type { Message } from "../../protocol/messages.ts";
import { MemoryNetwork } from "../../transport/memory.ts";
import { eventually, within } from "../helpers/eventually.ts";
import { TempFolder } from "../helpers/temp_folder.ts";
import { Client, type ClientOptions } from "./_client.ts";
import { idOf, numbersOf } from "./_records.ts";
import { freshId } from "./_sim_handle.ts";

/** A broker on a network of its own. */
class Place implements AsyncDisposable {
  readonly network = new MemoryNetwork();
  readonly broker: Broker;
  readonly #clients: Client[] = [];

  private constructor(network: MemoryNetwork, broker: Broker) {
    this.network = network;
    this.broker = broker;
  }

  static async start(options: Partial<BrokerOptions> = {}): Promise<Place> {
    const network = new MemoryNetwork();
    const broker = await Broker.start({
      data: ":memory:",
      listener: network.listen("127.0.0.1:6270"),
      ...options,
    });
    return new Place(network, broker);
  }

  async connect(options: ClientOptions = {}): Promise<Client> {
    const stream = await this.network.dial(this.broker.address);
    const client = await Client.connect(this.broker, stream, options);
    this.#clients.push(client);
    return client;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) await client.close();
    await this.broker.stop();
  }
}

function codeOf(message: Message): string {
  return message.type === "ERROR" ? message.code : message.type;
}

async function rejected(promise: Promise<unknown>): Promise<string> {
  return await promise.then(
    () => assert.fail("expected a rejection"),
    (error: MomError) => error.code,
  );
}

Deno.test("a publish goes from one direct app to another", async () => {
  await using place = await Place.start();
  const ana = await place.connect();
  const ben = await place.connect();
  await ana.attach("ana");
  await ben.attach("ben");
  await ben.subscribe("doors");
  assert.equal(codeOf(await ana.publish("doors", [1, 2])), "RECEIPT");
  const delivered = await ben.untilType("DELIVER");
  assert.deepEqual(numbersOf(delivered.batch), [1, 2]);
  assert.equal(delivered.sender, "ana@direct");
  const report = place.broker.status();
  assert.deepEqual(findWrongSums(report), []);
  assert.equal(report.sessions.length, 2);
});

Deno.test("[P-3.2] a wrong token and none are refused alike", async () => {
  await using place = await Place.start();
  for (const token of ["x".repeat(64), null]) {
    assert.equal(await rejected(place.connect({ token })), "unauthorized");
  }
});

Deno.test("insecureNoToken lets everybody in", async () => {
  await using place = await Place.start({ insecureNoToken: true });
  assert.equal(place.broker.token, "");
  const client = await place.connect({ token: null });
  assert.equal(codeOf(await client.attach("ana")), "ATTACHED");
});

Deno.test("beyond loopback a broker wants a token", async () => {
  const network = new MemoryNetwork();
  const listener = () => network.listen({ hostname: "10.0.0.1", port: 0 });
  const data = ":memory:";
  const none = Broker.start({ data, listener: listener() });
  assert.equal(await rejected(none), "option_invalid");
  const token = "t".repeat(32);
  for (const options of [{ token }, { insecureNoToken: true }]) {
    const broker = await Broker.start({
      data,
      listener: listener(),
      ...options,
    });
    await broker.stop();
  }
});

Deno.test("in memory the token is handed on in the process, as long as the broker runs", async () => {
  const place = await Place.start();
  const { address, token } = place.broker;
  assert.equal(await findToken(address), token);
  await place.broker.stop();
  assert.notEqual(await findToken(address), token);
});

Deno.test("a token file is made once and used again", async () => {
  await using folder = await TempFolder.make();
  const tokenFile = `${folder.path}/token`;
  const tokens: string[] = [];
  for (let n = 0; n < 2; n++) {
    await using place = await Place.start({ tokenFile });
    tokens.push(place.broker.token);
  }
  assert.equal(tokens[0], tokens[1]);
  assert.equal((await Deno.readTextFile(tokenFile)).trim(), tokens[0]);
});

Deno.test("[P-3.6] a second daemon of a name is refused while the first answers", async () => {
  await using place = await Place.start();
  await place.connect({ machine: "north" });
  const second = place.connect({ machine: "north", machineKey: idOf(5) });
  assert.equal(await rejected(second), "machine_in_use");
  await place.connect({ machine: "south" });
});

Deno.test("[P-3.6] a daemon takes over from a connection that keeps silent", async () => {
  await using place = await Place.start();
  const first = await place.connect({ machine: "north" });
  place.network.pause();
  const second = await place.connect({ machine: "north" });
  assert.equal(codeOf(await second.attach("ana")), "ATTACHED");
  place.network.resume();
  await within("the end of the first", 5_000, first.closed);
});

Deno.test("[P-3.5] a daemon may not be called direct, nor be without name or key", async () => {
  await using place = await Place.start();
  const direct = place.connect({ machine: "direct" });
  assert.equal(await rejected(direct), "name_invalid");
});

Deno.test("[P-5.4] a second handle of a name is refused while the first answers", async () => {
  await using place = await Place.start();
  const first = await place.connect();
  const second = await place.connect();
  await first.attach("ana");
  assert.equal(codeOf(await second.attach("ana")), "name_in_use");
  assert.equal(codeOf(await second.attach("ben")), "ATTACHED");
});

Deno.test("[P-5.4] a handle takes over from one that keeps silent", async () => {
  await using place = await Place.start();
  const first = await place.connect();
  await first.attach("ana");
  place.network.pause();
  const second = await place.connect();
  assert.equal(codeOf(await second.attach("ana")), "ATTACHED");
  place.network.resume();
  await within("the end of the first", 5_000, first.closed);
});

Deno.test("[P-5.4] the same handle takes over at once", async () => {
  await using place = await Place.start();
  const first = await place.connect();
  await first.attach("ana");
  const second = await place.connect();
  const { handle } = first;
  assert.equal(codeOf(await second.attach("ana", { handle })), "ATTACHED");
  await within("the end of the first", 5_000, first.closed);
});

Deno.test("a stopping broker says so, finishes what it accepted, and is gone", async () => {
  await using folder = await TempFolder.make();
  const data = folder.path;
  const tokenFile = `${data}/token`;
  {
    await using place = await Place.start({ data, tokenFile });
    const client = await place.connect();
    await client.attach("ana");
    const receipts = Array.from(
      { length: 20 },
      (_, n) => client.publish("doors", [n], 100_000),
    );
    await eventually(
      "something accepted",
      () => place.broker.status().totals.published > 0,
      { intervalMs: 1 },
    );
    const stopped = place.broker.stop();
    const { reason } = await client.untilType("GOAWAY");
    assert.equal(reason, "the broker stops");
    await within("the end", 10_000, stopped);
    assert.equal(await client.closed, null);
    const answered = client.inbox.filter(({ type }) => type === "RECEIPT");
    await using next = await Place.start({ data, tokenFile });
    const { published } = next.broker.status().totals;
    assert.equal(published, answered.length);
    await Promise.allSettled(receipts);
  }
});

Deno.test("a broker's store can have one broker", async () => {
  await using folder = await TempFolder.make();
  const data = folder.path;
  const tokenFile = `${data}/token`;
  await using _place = await Place.start({ data, tokenFile });
  const second = Place.start({ data, tokenFile });
  assert.equal(await rejected(second), "data_in_use");
});

Deno.test("an HTTP address that is taken fails the start and leaves nothing", async () => {
  await using place = await Place.start({ http: "127.0.0.1:0" });
  const http = place.broker.http!;
  assert.equal(await rejected(Place.start({ http })), "option_invalid");
});

Deno.test("HTTP tells health to all and status to who has the token", async () => {
  await using place = await Place.start({ http: "127.0.0.1:0" });
  const { http, token } = place.broker;
  const get = async (path: string, headers: Record<string, string> = {}) => {
    const response = await fetch(`http://${http}${path}`, { headers });
    return { status: response.status, text: await response.text() };
  };
  assert.equal((await get("/healthz")).status, 200);
  assert.equal((await get("/readyz")).status, 200);
  assert.equal((await get("/api/v1/status")).status, 401);
  const authorization = `Bearer ${token}`;
  const status = await get("/api/v1/status", { authorization });
  assert.equal(status.status, 200);
  assert.equal(JSON.parse(status.text).role, "broker");
  const metrics = await get("/metrics", { authorization });
  assert.match(metrics.text, /mom_info/);
});

Deno.test("a store that fails cuts everybody off and is told once", async () => {
  await using folder = await TempFolder.make();
  const data = folder.path;
  const failures: MomError[] = [];
  await using place = await Place.start({
    data,
    tokenFile: `${data}/token`,
    onFailed: (error) => failures.push(error),
  });
  const client = await place.connect();
  await client.attach("ana");
  await client.subscribe("doors");
  // Another process takes the store over, lock or not.
  const thief = await Deno.openKv(`${data}/store.kv`);
  await thief.set(["o"], new Uint8Array(16));
  thief.close();
  const receipt = assert.rejects(client.publish("doors", [1]));
  await within("the cut", 5_000, client.closed);
  assert.deepEqual(failures.map(({ code }) => code), ["data_in_use"]);
  assert.ok(!client.inbox.some(({ type }) => type === "RECEIPT"));
  await within("the end", 5_000, place.broker.stop());
  await receipt;
});

Deno.test("wrong options are refused by kind", async () => {
  const wrong = [{ data: "" }, { data: ":memory:", port: 70_000 }];
  for (const options of wrong) {
    assert.equal(await rejected(Broker.start(options)), "option_invalid");
  }
  const noText = { data: 5 } as unknown as BrokerOptions;
  await assert.rejects(Broker.start(noText), TypeError);
});

Deno.test("over real sockets, port 0 takes a free one", async () => {
  await using broker = await Broker.start({ data: ":memory:", port: 0 });
  const { address } = broker;
  assert.ok("port" in address && address.port > 0, formatAddress(address));
  await broker.stop();
  await broker.stop();
});

Deno.test("[P-2.3] a frame that fits no message is answered and the conversation goes on", async () => {
  await using place = await Place.start();
  const client = await place.connect();
  const answer = await client.ask({
    type: "ATTACH",
    ref: 1,
    name: "ana",
    named: true,
    incarnation: new Uint8Array(3),
    create: true,
    handle: freshId(),
    credit: 0,
    known: [],
  });
  assert.equal(codeOf(answer), "bad_message");
  assert.equal(codeOf(await client.attach("ana")), "ATTACHED");
});
