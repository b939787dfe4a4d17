/**
 * Row 18 of the original's behaviour: a client in another language. One table of
 * behaviours is asked of both clients, each dealing with the other.
 */
import { BEHAVIOURS } from "./behaviours.ts";
import { COORDINATOR_BEHAVIOURS } from "./coordinator_behaviours.ts";
import { findPython, withoutPython } from "./python.ts";
import { type Cast, World } from "./world.ts";

const TABLE = [...BEHAVIOURS, ...COORDINATOR_BEHAVIOURS];
const python = await findPython();
const CASTS: readonly Cast[] = python === null
  ? [{ subject: "TypeScript", partner: "TypeScript" }]
  : [
    { subject: "TypeScript", partner: "Python" },
    { subject: "Python", partner: "TypeScript" },
  ];

/** Plays the whole table with one cast, in a world of its own. */
async function play(cast: Cast, round: number): Promise<void> {
  await using world = await World.start(python);
  world.round = round;
  for (const [index, [sentence, see]] of TABLE.entries()) {
    world.begin(cast, `${index}`);
    try {
      await see(world);
    } catch (cause) {
      throw new Error(`${cast.subject}: ${sentence}: ${cause}`, { cause });
    }
  }
}

Deno.test(`[O-18] every client behaves as one table says`, async () => {
  // Much of it is waiting.
  await Promise.all(CASTS.map(play));
});

if (python === null) {
  // So that it is seen.
  Deno.test({
    name: `[O-18] the Python client${withoutPython(python)}`,
    ignore: true,
    fn: () => {},
  });
}
