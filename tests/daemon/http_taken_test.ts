/**
 * A daemon that cannot serve HTTP does not start, and leaves nothing behind: the
 * test runner tells what still runs or is open.
 */
import assert from "node:assert/strict";
import { Daemon } from "../../mod.ts";

Deno.test("Daemon.start() ends all that it began when HTTP cannot listen", async () => {
  using other = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = other.addr as Deno.NetAddr;
  const options = {
    broker: "127.0.0.1:1",
    listen: { hostname: "127.0.0.1", port: 0 },
    data: ":memory:",
  };
  await assert.rejects(
    Daemon.start({ ...options, http: `127.0.0.1:${port}` }),
    { code: "option_invalid", message: /in use/i },
  );
});
