import assert from "node:assert/strict";
import { parseArgs } from "../../deps/cli.ts";
import { MUSEUM_FLAGS } from "../../examples/museum/museum.ts";
import { PHILOSOPHER_FLAGS } from "../../examples/philosophers/philosophers.ts";
import {
  type Flags,
  readFlags,
  type Settings,
  tellFlags,
  UsageError,
} from "../../examples/simulation/flags.ts";

function read(flags: Flags, ...args: string[]): Settings {
  return readFlags(args, flags, (args, options) => parseArgs(args, options));
}

Deno.test("readFlags() gives the constants of the original when nothing is said", () => {
  const museum = read(MUSEUM_FLAGS);
  const { doors, people, capacity, party } = museum.numbers;
  assert.deepEqual([doors, people, capacity, party], [3, 12, 6, 3]);
  const { spawnSeconds, doorSeconds, insideSeconds, insideExtraSeconds } =
    museum.numbers;
  assert.deepEqual(
    [spawnSeconds, doorSeconds, insideSeconds, insideExtraSeconds],
    [2, 1, 5, 4],
  );
  const { tourTimeoutSeconds, tourSeconds, spawnPercent, tourPercent } =
    museum.numbers;
  assert.deepEqual([tourTimeoutSeconds, tourSeconds], [10, 7]);
  assert.deepEqual([spawnPercent, tourPercent], [81, 81]);
  assert.deepEqual(museum.switches, { forever: false });
  const { philosophers, items } = read(PHILOSOPHER_FLAGS).numbers;
  assert.deepEqual([philosophers, items], [30, 6]);
});

Deno.test("readFlags() reads numbers, parts of one, switches and files", () => {
  const settings = read(
    PHILOSOPHER_FLAGS,
    "--philosophers",
    "10",
    "--eat-seconds-max=0.5",
    "--kill-coordinator",
    "--log",
    "7",
  );
  assert.equal(settings.numbers.philosophers, 10);
  assert.equal(settings.numbers.eatSecondsMax, 0.5);
  assert.equal(settings.switches.killCoordinator, true);
  assert.equal(settings.log, "7");
  assert.equal(settings.check, null);
});

Deno.test("readFlags() refuses what it does not know, naming flag, value and rule", () => {
  const wrong = [
    [["--people", "0"], /--people 0: must be a whole number from 1 to 500/],
    [["--people", "1.5"], /--people 1\.5: must be a whole number/],
    [["--people", ""], /--people : must be/],
    [["--people", "many"], /--people many: must be/],
    [["--speed=-1"], /--speed -1: must be a number/],
    [["--door", "2"], /--door: there is no such flag/],
    [["somewhere"], /somewhere: there is no such flag/],
    [["--log", ""], /--log : must name one file/],
    [["--log"], /--log : must name one file/],
    [["--seed", "0"], /--seed 0: must be/],
  ] as const;
  for (const [args, message] of wrong) {
    assert.throws(() => read(MUSEUM_FLAGS, ...args), (error: unknown) => {
      assert.ok(error instanceof UsageError);
      assert.match(error.message, message);
      return true;
    });
  }
  assert.throws(
    () => read(PHILOSOPHER_FLAGS, "--philosophers", "7"),
    /--philosophers 7: must be even/,
  );
});

Deno.test("tellFlags() has a line for every flag", () => {
  const lines = tellFlags(PHILOSOPHER_FLAGS);
  for (const name of ["speed 20", "items 6", "kill-coordinator", "log FILE"]) {
    assert.ok(lines.some((line) => line.includes(`--${name} `)), name);
  }
});
