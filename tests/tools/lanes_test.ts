import assert from "node:assert/strict";
import { countTests } from "../../.ci/count.ts";
import { toBlocks } from "../../tools/test/blocks.ts";
import { type Lane, LANES } from "../../tools/test/lanes.ts";
import { mergeReports } from "../../tools/test/report.ts";
import { runLanes } from "../../tools/test/run.ts";
import { TempFolder } from "../helpers/temp_folder.ts";
import { ROOT, testCommand } from "../process/commands.ts";

/** What a lane runs, and what it leaves out. */
function placesOf({ args }: Lane) {
  const ignored = args.find((one) => one.startsWith("--ignore="));
  return {
    taken: args.filter((one) => !one.startsWith("--")),
    ignored: ignored?.slice("--ignore=".length).split(",") ?? [],
  };
}

Deno.test("every test is in one lane: the second has all that the others do not name", async () => {
  const [first, second, alone] = LANES.flat().map(placesOf);
  assert.deepEqual(second.taken, []);
  for (const place of first.taken) {
    const inside = alone.taken.filter((file) => file.startsWith(`${place}/`));
    assert.deepEqual(inside, [], `both ${place} and ${inside}`);
  }
  assert.deepEqual(
    second.ignored.toSorted(),
    [...first.taken, ...alone.taken].toSorted(),
  );
  // A name that is nowhere would leave what it meant in the second lane.
  for (const place of second.ignored) await Deno.stat(`${ROOT}${place}`);
});

Deno.test("lanes that run at the same time have different ports", () => {
  for (const group of LANES) {
    assert.equal(new Set(group.map(({ ports }) => ports)).size, group.length);
  }
});

Deno.test("toBlocks() keeps together what is said of a file, and loses nothing", async () => {
  const blocks = [
    "before\n",
    "running 1 test from ./a_test.ts\na ... ok (1ms)\n",
    "\x1b[90mrunning 2 tests from ./b_test.ts\nä ... ok\nb ... ok\n\nok | 3",
  ];
  const bytes = new TextEncoder().encode(blocks.join(""));
  for (const size of [1, 7, bytes.length]) {
    const chunks = function* () {
      for (let at = 0; at < bytes.length; at += size) {
        yield bytes.slice(at, at + size);
      }
    };
    const found = await Array.fromAsync(
      toBlocks(ReadableStream.from(chunks())),
    );
    assert.deepEqual(found, blocks, `${size} bytes each`);
  }
});

Deno.test("mergeReports() adds up", () => {
  const suites = (name: string) =>
    `<?xml version="1.0" encoding="UTF-8"?>\n` +
    `<testsuites name="deno test" tests="2" failures="1" errors="0" time="0.25">
    <testsuite name="./${name}"></testsuite>
</testsuites>\n`;
  assert.equal(
    mergeReports([suites("a"), "", suites("b")]),
    `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="deno test" tests="4" failures="2" errors="0" time="0.500">
    <testsuite name="./a"></testsuite>
    <testsuite name="./b"></testsuite>
</testsuites>
`,
  );
});

Deno.test("runLanes() ends with the worst of its lanes, and reports all of them", async () => {
  await using folder = await TempFolder.make();
  const tests = {
    good: 'Deno.test("good", () => {});',
    bad: 'Deno.test("bad", () => { throw new Error("bad"); });',
    last: `Deno.test("last", () => {
      if (Deno.env.get("MOM_TEST_PORTS") !== "low") throw new Error("ports");
    });`,
  };
  for (const [name, text] of Object.entries(tests)) {
    await Deno.writeTextFile(`${folder.path}/${name}_test.ts`, text);
  }
  const lane = (name: string, ports: Lane["ports"]): Lane => {
    return { name, args: [`${name}_test.ts`], ports };
  };
  const report = `${folder.path}/report.xml`;
  const run = async (lanes: Lane[][]) => {
    let told = "";
    const code = await runLanes({
      root: folder.path,
      command: ["test", "--quiet", "--no-config", "--allow-env"],
      lanes,
      report,
      write: (text) => void (told += text),
    });
    const { passed, failed } = countTests(await Deno.readTextFile(report));
    return { code, passed, failed, told };
  };
  const wrong = await run([
    [lane("good", "low"), lane("bad", "high")],
    [lane("last", "low")],
  ]);
  assert.equal(wrong.code, 1);
  assert.deepEqual([wrong.passed, wrong.failed], [2, ["bad"]]);
  assert.match(wrong.told, /^ok: good$/m);
  assert.match(wrong.told, /^FAILED: bad$/m);
  assert.match(wrong.told, /^ok: last$/m);
  const right = await run([[lane("good", "low"), lane("last", "low")]]);
  assert.equal(right.code, 0, right.told);
  assert.deepEqual([right.passed, right.failed], [2, []]);
  // One that does not get as far as its tests.
  const none = await run([[lane("good", "low"), lane("nowhere", "high")]]);
  assert.equal(none.code, 1);
  assert.equal(none.passed, 1);
});

Deno.test("the test task hands any other argument to deno test", async () => {
  const { program, args } = testCommand("tools/test/main.ts");
  const { code, stdout } = await new Deno.Command(program, {
    args: [...args, "tests/ci", "--filter", "nothing of this name"],
  }).output();
  assert.equal(code, 0);
  assert.match(
    new TextDecoder().decode(stdout),
    /\| 0 passed \| 0 failed \| \d+ filtered out/,
  );
});
