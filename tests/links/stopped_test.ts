import { playStopped } from "./stopped.ts";

Deno.test(
  "who stands still for longer than three heartbeats is given up, comes back by itself, and nothing is lost or doubled",
  { ignore: Deno.build.os === "windows" },
  async () => {
    await playStopped({ stoppedMs: 1_300, isQuick: true });
  },
);
