import assert from "node:assert/strict";
import { type Meddling, MeddlingProxy, MEDDLINGS } from "./meddling_proxy.ts";
import { makePlan } from "./plan.ts";
import { playRound } from "./round.ts";
import { Stage } from "./stage.ts";

const MUST_TELL: Record<Meddling, RegExp> = {
  forget: /^lost at /m,
  double: /^duplicated at /m,
  swap: /^reordered at /m,
};

for (const meddling of MEDDLINGS) {
  Deno.test(`playRound() notices when something on the way makes the system ${meddling} a message`, async () => {
    await using proxy = new MeddlingProxy(meddling);
    await using stage = await Stage.open({
      linkThrough: { south: (broker) => proxy.standBefore(broker) },
    });
    const plan = makePlan({ seed: 1, appsToo: false, kills: false });
    const restWithinMs = meddling === "forget" ? 1_500 : undefined;
    const report = await playRound(stage, plan, { restWithinMs });
    assert.equal(proxy.meddled, 1);
    assert.match(report.failures.join("\n"), MUST_TELL[meddling]);
  });
}
