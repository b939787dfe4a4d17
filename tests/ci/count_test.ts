import assert from "node:assert/strict";
import { countTests, toLines } from "../../.ci/count.ts";

const REPORT = `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="deno test" tests="6" failures="2" errors="0" time="0.079">
  <testsuite name="./a_test.ts" tests="6" disabled="0" errors="0" failures="2">
    <testcase name="a() works" classname="./a_test.ts" time="0.002" line="9">
    </testcase>
    <testcase name="b() works" classname="./a_test.ts" time="0.002"/>
    <testcase name="c() fails &amp; tells" classname="./a_test.ts" time="0.001">
      <failure message="Uncaught">AssertionError: a &lt;testcase name="x"&gt;</failure>
    </testcase>
    <testcase name="c() fails &gt; in a step" classname="./a_test.ts">
      <failure message="Uncaught">AssertionError</failure>
    </testcase>
    <testcase name="d() &gt; a step that passes" classname="./a_test.ts"/>
    <testcase name="e() is left out" classname="./a_test.ts">
      <skipped/>
    </testcase>
  </testsuite>
</testsuites>`;

Deno.test("countTests() counts tests by outcome and leaves out their steps", () => {
  const counts = countTests(REPORT);
  assert.deepEqual(counts, {
    passed: 2,
    failed: ["c() fails &amp; tells"],
    skipped: 1,
  });
  assert.deepEqual(toLines(counts), [
    "failed: c() fails &amp; tells",
    "2 passed, 1 failed, 1 skipped",
  ]);
});

Deno.test("countTests() counts nothing when there is no report", () => {
  assert.deepEqual(toLines(countTests("")), ["0 passed, 0 failed"]);
});
