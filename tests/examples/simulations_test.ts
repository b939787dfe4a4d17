/**
 * Rows 24 and 25 of the original's behaviour: the museum and the philosophers,
 * every actor a process, at several daemons. Their long form is in `tests/long`.
 */
import assert from "node:assert/strict";
import { eventually } from "../helpers/eventually.ts";
import { TempFolder } from "../helpers/temp_folder.ts";
import { exampleCommand, ROOT } from "../process/commands.ts";
import { type Played, Playing } from "./played.ts";

const ignore = Deno.build.os !== "linux";

/** Not over before it is struck, however long that takes. */
const UNHURRIED = ["--speed", "5"];

function told({ lines, stderr }: Played): string {
  return [...lines.slice(-40), stderr].join("\n");
}

Deno.test(
  "[O-24] the museum keeps all conditions and leaves nothing behind",
  { ignore },
  async () => {
    const args = ["--seed", "24", "--speed", "50"];
    await using playing = await Playing.start("museum", args);
    const played = await playing.end(120_000);
    assert.equal(played.code, 0, told(played));
    assert.deepEqual(played.leftovers, []);
    const machines = new Set(played.log.map(({ user }) => user.split("@")[1]));
    assert.ok(machines.has("north") && machines.has("south"));
    const tours = played.log.filter(({ kind }) => kind === "joins");
    assert.ok(tours.length > 0, "nobody was on a tour");
    assert.match(told(played), /kept +0 ≤ free ≤ capacity at every read/);
    const lines = played.log.map((entry) => JSON.stringify(entry));
    assert.equal(await checkAgain(lines), 0);
    const without = played.log.findIndex(({ kind }) => kind === "decides");
    assert.equal(await checkAgain(lines.toSpliced(without, 1)), 1);
  },
);

/** The exit code of a look at a log of before. */
async function checkAgain(lines: readonly string[]): Promise<number> {
  await using folder = await TempFolder.make();
  const path = `${folder.path}/log`;
  await Deno.writeTextFile(path, lines.join("\n"));
  const { program, args } = exampleCommand("museum");
  const { code } = await new Deno.Command(program, {
    args: [...args, "--check", path],
    cwd: ROOT,
  }).output();
  return code;
}

Deno.test(
  "[O-25] the philosophers keep all conditions while each coordinator is killed in turn",
  { ignore },
  async () => {
    const args = ["--seed", "25", "--speed", "20", "--kill-coordinator"];
    args.push("--philosophers", "8", "--items", "4");
    args.push("--coordinator-lease-ms", "500");
    await using playing = await Playing.start("philosophers", args);
    const played = await playing.end(180_000);
    assert.equal(played.code, 0, told(played));
    assert.deepEqual(played.leftovers, []);
    const count = (kind: string) =>
      played.log.filter((entry) => entry.kind === kind).length;
    assert.deepEqual([count("killed"), count("back")], [3, 3]);
    assert.equal(count("counted"), 32);
  },
);

Deno.test(
  "[O-24] the museum leaves nothing behind when it is interrupted",
  { ignore },
  async () => {
    await using playing = await Playing.start("museum", UNHURRIED);
    await playing.line(/asks door/);
    playing.program.signal("SIGINT");
    const played = await playing.end(30_000);
    assert.equal(played.code, 130, told(played));
    assert.deepEqual(played.leftovers, []);
  },
);

for (
  const [what, file] of [["door", "door.ts"], ["broker", "broker/main.ts"]]
) {
  Deno.test(
    `[O-24] the museum fails and leaves nothing behind when a ${what} dies`,
    { ignore },
    async () => {
      await using playing = await Playing.start("museum", UNHURRIED);
      await playing.line(/asks door/);
      const [pid] = await playing.processes(file!);
      Deno.kill(pid!, "SIGKILL");
      const played = await playing.end(60_000);
      assert.equal(played.code, 1, told(played));
      assert.match(told(played), new RegExp(`${what}.* ended with 137`));
      assert.deepEqual(played.leftovers, []);
    },
  );
}

Deno.test(
  "[O-24] the museum leaves nothing behind when it is killed itself",
  { ignore },
  async () => {
    await using playing = await Playing.start("museum", UNHURRIED);
    await playing.line(/asks door/);
    await playing.program.kill();
    await eventually(
      "the end of all",
      async () => (await playing.leftovers()).length === 0,
      { timeoutMs: 20_000 },
    );
  },
);
