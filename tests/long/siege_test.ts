import { ATTACKS } from "../fuzz/besieger.ts";
import {
  checkSiege,
  Siege,
  type SiegeReport,
  type Spread,
} from "../fuzz/siege.ts";

const isLong = Deno.env.get("MOM_TEST_LONG") === "1";

/** Long enough to see whether memory goes on growing. */
const LEAST_MS = 1_000 *
  Number(Deno.env.get("MOM_TEST_SIEGE_SECONDS") ?? 120);

function tell(what: string, report: SiegeReport): void {
  const { calm, under, grownBytes, laterBytes } = report;
  const mib = (bytes: number) => `${Math.round(bytes / 2 ** 20)} MiB`;
  const ms = ({ best, median }: Spread) =>
    `${best.toFixed(1)} to ${median.toFixed(1)} ms`;
  const line = `${what}: best to median p99 ${ms(under)}, calm ${
    ms(calm)
  }; memory +${mib(grownBytes)}, in the second half +${mib(laterBytes)}, load ${
    Deno.loadavg()[0].toFixed(1)
  }\n`;
  Deno.stdout.writeSync(new TextEncoder().encode(line));
}

for (const victim of ["broker", "daemon"] as const) {
  for (const attack of Object.keys(ATTACKS)) {
    // Apps introduce nobody.
    if (attack === "introductions" && victim === "daemon") continue;
    Deno.test({
      name: `a ${victim} under attack: ${attack}`,
      ignore: !isLong || Deno.build.os === "windows",
      async fn() {
        await using siege = await Siege.start();
        const report = await siege.endure(attack, victim, 25, LEAST_MS);
        tell(`${attack} on ${victim}`, report);
        checkSiege(attack, report);
        await siege.check();
      },
    });
  }
}
