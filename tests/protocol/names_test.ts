import assert from "node:assert/strict";
import { fc } from "../../deps/fast_check.ts";
import { MomError } from "../../protocol/errors.ts";
import {
  checkName,
  DIRECT_MACHINE,
  splitUser,
  toMachineName,
  userOf,
} from "../../protocol/names.ts";

const isInvalid = (pattern: RegExp) => (error: unknown) =>
  error instanceof MomError && error.code === "name_invalid" &&
  pattern.test(error.message);

Deno.test("checkName() takes names of 1 to 64 bytes", () => {
  for (const name of ["a", "Ana", "x".repeat(64), "ä".repeat(32), "日-_1"]) {
    checkName("user", name);
    checkName("machine", name);
  }
});

Deno.test("checkName() refuses what a topic may not have and / @ $ besides", () => {
  for (const character of " .:!+#/@$\n\x7f\u0090\ud800") {
    assert.throws(
      () => checkName("user", `ab${character}`),
      isInvalid(/^Cannot use user name .* at byte 2$/),
    );
  }
  assert.throws(() => checkName("user", ""), isInvalid(/empty/));
  assert.throws(() => checkName("user", "x".repeat(65)), isInvalid(/64 bytes/));
  assert.throws(() => checkName("user", "ä".repeat(33)), isInvalid(/64 bytes/));
  assert.throws(() => checkName("user", 1 as unknown as string), TypeError);
});

Deno.test("checkName() keeps the machine of direct handles for those alone", () => {
  assert.throws(
    () => checkName("machine", DIRECT_MACHINE),
    isInvalid(/reserved/),
  );
  checkName("user", DIRECT_MACHINE);
});

Deno.test("toMachineName() makes a valid name of any host name", () => {
  assert.equal(toMachineName("north.example.org"), "north-example-org");
  assert.equal(toMachineName("north"), "north");
  assert.equal(toMachineName(""), "machine");
  assert.equal(toMachineName("direct"), "direct-machine");
  fc.assert(fc.property(
    fc.string({ unit: "binary", maxLength: 100 }),
    (host) => checkName("machine", toMachineName(host)),
  ));
});

Deno.test("splitUser() gives back what userOf() joined", () => {
  assert.deepEqual(splitUser(userOf("ana", "north")), {
    name: "ana",
    machine: "north",
  });
  assert.deepEqual(splitUser("ana@direct"), { name: "ana", machine: "direct" });
  for (const wrong of ["ana", "ana@", "@north", "ana@north@x", "", "a b@c"]) {
    assert.throws(() => splitUser(wrong), isInvalid(/./));
  }
});
