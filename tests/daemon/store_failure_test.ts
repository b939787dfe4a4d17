/** A daemon whose store fails while apps are connected. */

import assert from "node:assert/strict";
import { formatAddress } from "../../protocol/address.ts";
import type { MomError } from "../../protocol/errors.ts";
import { MemoryNetwork } from "../../transport/memory.ts";
import { FaultyKv } from "../storage/_faulty_kv.ts";
import {
  delivery,
  ScriptedApp,
  ScriptedBroker,
  startDaemon,
} from "./wire_parts.ts";

Deno.test("Daemon ends by itself, without a stray error, when its store fails", async () => {
  const network = new MemoryNetwork();
  const broker = new ScriptedBroker(network);
  const faults = new FaultyKv(Infinity);
  const failed = Promise.withResolvers<MomError>();
  const daemon = await startDaemon(network, {
    openKv: (path) => faults.open(path),
    onFailed: (error) => failed.resolve(error),
  });
  const app = new ScriptedApp("ana");
  const address = formatAddress(daemon.address);
  await app.connect(network, address, daemon.token);
  await app.attach(1 << 20);
  const { ref } = await broker.tape.next("ATTACH");
  broker.peer!.send(delivery(ref, 0, "open"));
  await app.tape.next("DELIVER");
  faults.crashNow();
  const another = new ScriptedApp("ben");
  await another.connect(network, address, daemon.token);
  another.peer.send({
    type: "ATTACH",
    request: 1,
    ref: 1,
    name: "ben",
    named: true,
    incarnation: another.incarnation,
    create: true,
    handle: another.handle,
    credit: 0,
    known: [],
  });
  assert.equal((await failed.promise).code, "store_unavailable");
  assert.equal((await app.tape.next("ERROR")).code, "store_unavailable");
  await daemon.stop();
  await app.close();
  await another.close();
  await broker.stop();
});
