import { runDisasters } from "./disaster_round.ts";
import { DISASTERS } from "./disasters.ts";

/** Another seed each time; a failure names the seed of its round. */
const seed = Date.now() % 1_000_000;

for (const kind of DISASTERS) {
  Deno.test(`a ${kind} costs what it explains, and nothing else`, async () => {
    await runDisasters([kind], { rounds: 1, seed });
  });
}
