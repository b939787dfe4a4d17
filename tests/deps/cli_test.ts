import assert from "node:assert/strict";
import { parseArgs } from "../../deps/cli.ts";

/** The documented cases of `parseArgs`, whoever implements it. */
const CASES: {
  name: string;
  args: string[];
  options?: Parameters<typeof parseArgs>[1];
  expected: Record<string, unknown>;
}[] = [
  {
    name: "flags without value are true, with = they have one",
    args: ["--foo", "--bar=baz", "./quux.txt"],
    expected: { foo: true, bar: "baz", _: ["./quux.txt"] },
  },
  {
    name: "a flag takes the next argument unless that begins with a hyphen",
    args: ["-a", "beep", "-b", "boop", "--c", "-d"],
    expected: { a: "beep", b: "boop", c: true, d: true, _: [] },
  },
  {
    name: "single letters run together, numbers behind one are its value",
    args: ["-x", "3", "-y", "4", "-n5", "-abc", "--beep=boop", "foo", "bar"],
    expected: {
      x: 3,
      y: 4,
      n: 5,
      a: true,
      b: true,
      c: true,
      beep: "boop",
      _: ["foo", "bar"],
    },
  },
  {
    name: "what looks like a number becomes one",
    args: ["--n", "5", "--f=1.5e3", "7", "0x10", "1a"],
    expected: { n: 5, f: 1500, _: [7, 16, "1a"] },
  },
  {
    name: "string keeps flags and operands as they are",
    args: ["--n", "005", "007"],
    options: { string: ["n", "_"] },
    expected: { n: "005", _: ["007"] },
  },
  {
    name: "a string flag without value is the empty string",
    args: ["--n", "--m"],
    options: { string: ["n"] },
    expected: { n: "", m: true, _: [] },
  },
  {
    name: "boolean flags take no value and are false when absent",
    args: ["--foo", "bar"],
    options: { boolean: ["foo", "quiet"] },
    expected: { foo: true, quiet: false, _: ["bar"] },
  },
  {
    name: "boolean: true makes all two-hyphen flags without = boolean",
    args: ["--foo", "bar", "--baz=1", "-f", "x"],
    options: { boolean: true },
    expected: { foo: true, baz: 1, f: "x", _: ["bar"] },
  },
  {
    name: "-- ends the flags",
    args: ["--a", "--", "--b", "c"],
    expected: { a: true, _: ["--b", "c"] },
  },
  {
    name: '"--": true keeps apart what follows',
    args: ["x", "--", "--b", "--no-c"],
    options: { "--": true },
    expected: { _: ["x"], "--": ["--b", "--no-c"] },
  },
  {
    name: "alias gives a flag all its names",
    args: ["-h", "-p", "8"],
    options: { alias: { h: "help", port: ["p", "P"] }, boolean: ["help"] },
    expected: { h: true, help: true, p: 8, P: 8, port: 8, _: [] },
  },
  {
    name: "default fills in what is absent, also arrays",
    args: ["--a", "1"],
    options: { default: { a: 5, b: 6, c: [1, 2] } },
    expected: { a: 1, b: 6, c: [1, 2], _: [] },
  },
  {
    name: "the last one counts when a flag is given twice",
    args: ["--a=1", "--a=2", "--b", "--b=x"],
    expected: { a: 2, b: "x", _: [] },
  },
  {
    name: "collect gathers all into an array, empty when absent",
    args: ["--a=1", "--a=2", "-b", "x"],
    options: { collect: ["a", "b", "c"], string: ["b"] },
    expected: { a: [1, 2], b: ["x"], c: [], _: [] },
  },
  {
    name: "--no- negates what is negatable",
    args: ["--no-color"],
    options: { boolean: ["color"], negatable: ["color"] },
    expected: { color: false, _: [] },
  },
  {
    name: "--no- is part of the name of what is not negatable",
    args: ["--no-color", "--no-lint", "--no-x=5"],
    options: { negatable: ["lint"] },
    expected: { "no-color": true, lint: false, "no-x": 5, _: [] },
  },
  {
    name: "a flag whose name begins with no- can be declared",
    args: ["--no-fmt", "file", "--no-name", "7"],
    options: { boolean: ["no-fmt", "no-run"], string: ["no-name"] },
    expected: {
      "no-fmt": true,
      "no-run": false,
      "no-name": "7",
      _: ["file"],
    },
  },
  {
    name: "stopEarly leaves everything from the first operand on alone",
    args: ["--a", "--b=1", "cmd", "--c", "--no-d"],
    options: { stopEarly: true, boolean: ["a"] },
    expected: { a: true, b: 1, _: ["cmd", "--c", "--no-d"] },
  },
  {
    name: "dots make objects",
    args: ["--a.b=1", "--a.c", "x", "--a.b=2"],
    expected: { a: { b: 2, c: "x" }, _: [] },
  },
];

for (const { name, args, options, expected } of CASES) {
  Deno.test(`parseArgs() follows its documentation: ${name}`, () => {
    assert.deepEqual({ ...parseArgs(args, options) }, expected);
  });
}

Deno.test("parseArgs() tells unknown what no option names, and leaves out what it refuses", () => {
  const told: unknown[] = [];
  const args = parseArgs(["--known=1", "--other=2", "file", "--no-x"], {
    string: ["known"],
    unknown: (arg, key) => {
      told.push([arg, key]);
      return key === undefined;
    },
  });
  assert.deepEqual({ ...args }, { known: "1", _: ["file"] });
  assert.deepEqual(told, [
    ["--other=2", "other"],
    ["file", undefined],
    ["--no-x", "no-x"],
  ]);
});

Deno.test("parseArgs() leaves Object.prototype alone", () => {
  parseArgs(["--__proto__.polluted=1", "--constructor.prototype.polluted=1"]);
  assert.equal(({} as Record<string, unknown>).polluted, undefined);
});
