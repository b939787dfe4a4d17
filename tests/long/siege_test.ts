import { ATTACKS } from "../fuzz/besieger.ts";
import { checkSiege, Siege } from "../fuzz/siege.ts";

const isLong = Deno.env.get("MOM_TEST_LONG") === "1";

for (const victim of ["broker", "daemon"] as const) {
  for (const attack of Object.keys(ATTACKS)) {
    // Apps introduce nobody.
    if (attack === "introductions" && victim === "daemon") continue;
    Deno.test({
      name: `a ${victim} under attack: ${attack}`,
      ignore: !isLong || Deno.build.os === "windows",
      async fn() {
        await using siege = await Siege.start();
        checkSiege(attack, await siege.endure(attack, victim, 25));
        await siege.check();
      },
    });
  }
}
