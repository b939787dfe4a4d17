/**
 * Row 18 of the original's behaviour: a client in another language. One table of
 * behaviours is asked of both clients, each dealing with the other.
 */
import { BEHAVIOURS } from "./behaviours.ts";
import type { Language } from "./driver_process.ts";
import { findPython, withoutPython } from "./python.ts";
import { World } from "./world.ts";

const python = await findPython();

function ask(subject: Language, partner: Language, ignore: boolean): void {
  Deno.test({
    name:
      `[O-18] the ${subject} client behaves as the table says, with the other at ${partner}` +
      (ignore ? withoutPython(python) : ""),
    ignore,
    async fn(t) {
      await using world = await World.start({ subject, partner, python });
      for (const [index, [sentence, see]] of BEHAVIOURS.entries()) {
        world.begin(`b${index}`);
        await t.step(sentence, () => see(world));
      }
    },
  });
}

ask("TypeScript", python === null ? "TypeScript" : "Python", false);
ask("Python", "TypeScript", python === null);
