/**
 * What takes minutes: run by `deno task test:long`.
 */
import { playStopped } from "../links/stopped.ts";

const ignore = Deno.env.get("MOM_TEST_LONG") !== "1" ||
  Deno.build.os === "windows";

Deno.test(
  "broker, daemon and app that are stopped for 60 s come back by themselves, and nothing is lost or doubled",
  { ignore },
  async () => {
    const told = await playStopped({ stoppedMs: 60_000, isQuick: false });
    Deno.stdout.writeSync(new TextEncoder().encode(`${told}\n`));
  },
);
