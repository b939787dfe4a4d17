/** What goes back to its app, and what that sends before it has heard. */

import assert from "node:assert/strict";
import { formatAddress } from "../../protocol/address.ts";
import { MemoryNetwork } from "../../transport/memory.ts";
import { ScriptedApp, ScriptedBroker, startDaemon } from "./wire_parts.ts";

Deno.test("[P-8.3] Daemon takes nothing behind what went back to its app, or that would count as known", async () => {
  const network = new MemoryNetwork();
  const broker = new ScriptedBroker(network);
  const daemon = await startDaemon(network);
  const app = new ScriptedApp("ana");
  try {
    await app.connect(network, formatAddress(daemon.address), daemon.token);
    await app.attach(0);
    app.publish("t", 1, "one");
    app.publish("t", 2, "two");
    const { request } = await broker.tape.next("PUBLISH");
    await broker.tape.next("PUBLISH");
    broker.peer!.send({
      type: "ERROR",
      request,
      code: "out_of_sequence",
      message: "again",
      details: new Map([["last", 0]]),
    });
    for (const _ of [1, 2]) {
      assert.equal((await app.tape.next("ERROR")).code, "out_of_sequence");
    }
    // Sent before the app has heard: it names a sequence that nobody has.
    const early = app.publish("t", 3, "three");
    const refused = await app.tape.next("ERROR");
    assert.deepEqual(
      [refused.request, refused.code, refused.details],
      [early, "out_of_sequence", new Map([["last", 0]])],
    );
    // The link is gone: all of it comes again, and none of it is known.
    await broker.stop();
    for (const [n, text] of ["one", "two", "three"].entries()) {
      app.publish("t", n + 1, text);
      assert.equal((await app.tape.next("RECEIPT")).level, 0);
    }
    assert.equal(daemon.status().outbox?.messages, 3);
  } finally {
    await app.close();
    await daemon.stop();
    await broker.stop();
  }
});
