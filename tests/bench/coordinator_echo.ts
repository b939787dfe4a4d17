/**
 * A process that publishes each message it receives again: two rounds between two
 * processes. Arguments: the daemon's address and token.
 *
 * @module
 */

import { Mom } from "../../mod.ts";

const [daemon, token] = Deno.args;
await using mom = await Mom.connect({ daemon, token });
await mom.subscribe("bench/ping");
Deno.stdout.writeSync(new TextEncoder().encode("ready\n"));
for await (const { value } of mom) {
  await mom.publish("bench/pong", value, { level: "broker" });
}
