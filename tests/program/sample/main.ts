/** A program with nothing in it, to be started, signalled and ended by tests. */

import { parseArgs } from "../../../deps/cli.ts";
import * as v from "../../../deps/valibot.ts";
import { processHost } from "../../../program/host.ts";
import { runProgram } from "../../../program/run.ts";
import { describe, textSetting } from "../../../program/setting_kinds.ts";

const SETTINGS = v.object({
  data: v.pipe(v.optional(textSetting, "none"), describe({ help: "Folder" })),
  mood: v.pipe(
    v.optional(v.picklist(["good", "stubborn", "broken", "rotten"]), "good"),
    describe({ help: "How it behaves" }),
  ),
});

await runProgram({
  role: "sample",
  spec: { command: "sample", summary: "Does nothing.", settings: SETTINGS },
  parse: parseArgs,
  host: processHost,
  start: async ({ data, mood }, logger) => {
    if (mood === "broken") throw new Error("broken\nfrom the start");
    if (data !== "none") await Deno.writeTextFile(`${data}/file`, "");
    logger.info("started", { mood });
    // Something that keeps the process alive until it is stopped.
    const timer = setInterval(() => {}, 60_000);
    if (mood === "rotten") {
      queueMicrotask(() => {
        throw new TypeError("rotten inside");
      });
    }
    return {
      ready: { address: "127.0.0.1:1", http: null, data },
      stop(): Promise<void> {
        if (mood === "stubborn") return new Promise(() => {});
        clearInterval(timer);
        return Promise.resolve();
      },
    };
  },
});
