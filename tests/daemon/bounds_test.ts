import assert from "node:assert/strict";
import { Mom } from "../../daemon/client.ts";
import { MemoryNetwork } from "../../transport/memory.ts";
import { withLowerLimits } from "../helpers/lower_limits.ts";
import { ScriptedBroker, startDaemon } from "./wire_parts.ts";

Deno.test("unnamed handles that come and go while the broker is away leave nothing behind", async () => {
  await withLowerLimits({ usersPerMachine: 3 }, async () => {
    const network = new MemoryNetwork();
    const daemon = await startDaemon(network);
    const { address, token } = daemon;
    for (let n = 0; n < 10; n++) {
      const app = await Mom.connect({
        daemon: address,
        token,
        dialer: network,
      });
      if (n % 2 === 0) await app.publish("t", n);
      await app.close();
    }
    const broker = new ScriptedBroker(network);
    const { topic } = await broker.tape.next("PUBLISH");
    assert.equal(topic, "t");
    assert.equal(broker.tape.types().includes("DESTROY"), false);
    await daemon.stop();
    await broker.stop();
  });
});
