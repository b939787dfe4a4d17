import { checkSiege, Siege } from "./siege.ts";

/** The worst of each kind; all of them are in tests/long. */
const ATTACKS = [
  ["silence", "broker"],
  ["glutton", "broker"],
  ["bulky", "broker"],
  ["deaf", "daemon"],
  ["glutton", "daemon"],
] as const;

Deno.test({
  name:
    "others are served as ever, and memory stays bounded, while a connection misbehaves",
  // Skipped on Windows: it has no ps to ask for memory.
  ignore: Deno.build.os === "windows",
  async fn() {
    await using siege = await Siege.start();
    for (const [attack, victim] of ATTACKS) {
      checkSiege(
        `${attack} on ${victim}`,
        await siege.endure(attack, victim, 2),
      );
    }
    await siege.check();
  },
});
