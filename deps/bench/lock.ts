/**
 * Loads every client of the bench. Run after a change of a version:
 * `deno run -A --lock=deps/bench/deno.lock deps/bench/lock.ts`.
 *
 * @module
 */

import { loadMqtt } from "./mqtt.ts";
import { loadJetStream, loadNats } from "./nats.ts";
import { loadRedis } from "./redis.ts";

if (import.meta.main) {
  await Promise.all([loadNats(), loadJetStream(), loadRedis(), loadMqtt()]);
}
