import assert from "node:assert/strict";
import { fc } from "../../deps/fast_check.ts";
import { MomError } from "../../protocol/errors.ts";
import {
  checkFilter,
  checkTopic,
  isExactFilter,
  isOwnTopic,
  matches,
} from "../../protocol/topics.ts";

function problemOf(call: () => void): string {
  try {
    call();
  } catch (error) {
    assert(error instanceof MomError, String(error));
    return `${error.code}: ${error.message}`;
  }
  return "none";
}

Deno.test("checkTopic() takes names of one and more levels when they keep the rules", () => {
  for (
    const topic of [
      "a",
      "museum/doors/1",
      "Ärger/日本/🚪",
      "a//b",
      "/",
      "$mom/events",
      "x".repeat(255),
      "ä".repeat(127),
      "a@b",
      "a$b",
      "-_~*?&%",
    ]
  ) {
    checkTopic(topic);
  }
});

Deno.test("checkTopic() names byte and rule when a topic breaks one", () => {
  const cases: [string, RegExp][] = [
    ["", /^topic_invalid: Cannot use topic "": it is empty$/],
    ["a b", /: space at byte 1$/],
    ["ä b", /: space at byte 2$/],
    ["a.b", /: "\." at byte 1$/],
    ["a:b", /: ":" at byte 1$/],
    ["!", /: "!" at byte 0$/],
    ["日+", /: "\+" at byte 3$/],
    ["🚪#", /: "#" at byte 4$/],
    ["a\nb", /: control character at byte 1$/],
    ["a\x7f", /: control character at byte 1$/],
    ["a\0", /: control character at byte 1$/],
    ["a\u0085", /: control character at byte 1$/],
    ["a\ud800", /: lone surrogate at byte 1$/],
    ["\udc00a", /: lone surrogate at byte 0$/],
    ["\ud800a", /: lone surrogate at byte 0$/],
    ["x".repeat(256), /: it has more than 255 bytes$/],
    ["ä".repeat(128), /: it has more than 255 bytes$/],
  ];
  for (const [topic, expected] of cases) {
    assert.match(problemOf(() => checkTopic(topic)), expected);
  }
});

Deno.test("checkTopic() and checkFilter() throw a TypeError when given no string", () => {
  for (const wrong of [undefined, null, 1, {}, new String("a")]) {
    assert.throws(() => checkTopic(wrong as unknown as string), TypeError);
    assert.throws(() => checkFilter(wrong as unknown as string), TypeError);
  }
});

Deno.test("checkTopic() does not repeat a huge topic when it refuses one", () => {
  const problem = problemOf(() => checkTopic("x".repeat(1_000_000)));
  assert(problem.length < 200, problem);
});

Deno.test("checkFilter() takes wildcards when they are whole levels and # is last", () => {
  for (const filter of ["a", "+", "#", "+/#", "a/+/b", "a/#", "/+", "+//#"]) {
    checkFilter(filter);
  }
});

Deno.test("checkFilter() names the level when a wildcard is misplaced", () => {
  const cases: [string, RegExp][] = [
    ["", /^filter_invalid: Cannot use filter "": it is empty$/],
    ["a/#/b", /: "#" at level 1 is not the last level$/],
    ["a/b+", /: level 1 has a wildcard beside other characters$/],
    ["#a", /: level 0 has a wildcard beside other characters$/],
    ["a/##", /: level 1 has a wildcard/],
    ["a b/#", /: space at byte 1$/],
    ["x".repeat(254) + "/#", /: it has more than 255 bytes$/],
  ];
  for (const [filter, expected] of cases) {
    assert.match(problemOf(() => checkFilter(filter)), expected);
  }
});

Deno.test("matches() decides as the rules say", () => {
  const cases: [string, string, boolean][] = [
    ["a", "a", true],
    ["a", "b", false],
    ["a", "a/b", false],
    ["a/b", "a", false],
    ["a", "ab", false],
    ["ab", "a", false],
    ["A", "a", false],
    ["+", "a", true],
    ["+", "a/b", false],
    ["a/+", "a", false],
    ["a/+", "a/", true],
    ["a/+", "a/b", true],
    ["a/+", "a/b/c", false],
    ["+/b", "a/b", true],
    ["a/+/c", "a/b/c", true],
    ["a/+/c", "a/b/d", false],
    ["a/+/c", "a//c", true],
    ["#", "a", true],
    ["#", "a/b/c", true],
    ["#", "/", true],
    ["a/#", "a", true],
    ["a/#", "a/", true],
    ["a/#", "a/b/c", true],
    ["a/#", "ab", false],
    ["a/#", "b", false],
    ["+/#", "a", true],
    ["+/b/#", "a/b", true],
    ["+/+", "a", false],
    ["/", "/", true],
    ["/", "//", false],
    ["#", "$mom", false],
    ["#", "$mom/x", false],
    ["+", "$mom", false],
    ["+/x", "$mom/x", false],
    ["$mom/#", "$mom/x", true],
    ["$mom/+", "$mom/x", true],
    ["$mom/#", "$mom", true],
    ["a/#", "a/$x", true],
    ["a/+", "a/$x", true],
  ];
  for (const [filter, topic, expected] of cases) {
    assert.equal(matches(filter, topic), expected, `${filter} on ${topic}`);
  }
});

function slowMatches(filter: string, topic: string): boolean {
  const wanted = filter.split("/");
  const levels = topic.split("/");
  if (levels[0].startsWith("$") && "+#".includes(wanted[0])) {
    if (wanted[0] !== "") return false;
  }
  for (const [i, want] of wanted.entries()) {
    if (want === "#") return true;
    if (i === levels.length) return false;
    if (want !== "+" && want !== levels[i]) return false;
    if (i === levels.length - 1 && wanted[i + 1] === "#") return true;
  }
  return wanted.length === levels.length;
}

Deno.test("matches() agrees with a plain comparison of levels when topics are random", () => {
  const level = fc.constantFrom("", "a", "b", "ab", "$", "$a");
  const topics = fc.array(level, { minLength: 1, maxLength: 4 })
    .map((levels) => levels.join("/"));
  const filters = fc.tuple(
    fc.array(fc.oneof(level, fc.constant("+")), { maxLength: 4 }),
    fc.boolean(),
  ).map(([levels, hash]) => [...levels, ...(hash ? ["#"] : [])].join("/"));
  fc.assert(
    fc.property(filters, topics, (filter, topic) => {
      fc.pre(filter !== "" && topic !== "");
      checkFilter(filter);
      assert.equal(matches(filter, topic), slowMatches(filter, topic));
    }),
    { numRuns: 5_000 },
  );
});

Deno.test("checkTopic() lets pass exactly what has the length and characters that are allowed", () => {
  fc.assert(fc.property(
    fc.string({ unit: "binary", maxLength: 10 }),
    (topic) => {
      const good = topic.length > 0 && topic.isWellFormed() &&
        !/[\p{Cc} .:!+#]/u.test(topic);
      assert.equal(problemOf(() => checkTopic(topic)) === "none", good);
    },
  ));
});

Deno.test("isExactFilter() and isOwnTopic() tell wildcards and mom's own topics apart", () => {
  assert.equal(isExactFilter("a/b"), true);
  assert.equal(isExactFilter("a/+"), false);
  assert.equal(isExactFilter("#"), false);
  assert.equal(isOwnTopic("$mom/x"), true);
  assert.equal(isOwnTopic("a/$x"), false);
});
