import assert from "node:assert/strict";
import { eventually, within } from "../helpers/eventually.ts";
import { taskCommand, testEnvironment } from "./commands.ts";
import { freePort } from "./free_port.ts";
import { Program } from "./program.ts";
import { Slot } from "./slot.ts";

/** A program that says it listens, then says what it is told. */
const ECHO = `
  const say = (line) => Deno.stdout.writeSync(new TextEncoder().encode(line));
  const { pid } = Deno;
  say(JSON.stringify({ event: "listening", role: "broker", pid }) + "\\n");
  console.error("a complaint");
  const decoder = new TextDecoder();
  for await (const chunk of Deno.stdin.readable) say(decoder.decode(chunk));
`;

function echo(code = ECHO) {
  return {
    name: "echo",
    command: { program: Deno.execPath(), args: ["eval", "--quiet", code] },
    env: testEnvironment("/nowhere"),
  };
}

function isAlive(pid: number): boolean {
  try {
    Deno.kill(pid, "SIGCONT");
    return true;
  } catch {
    return false;
  }
}

Deno.test("Program tells its ready line, its lines and its complaints", async () => {
  await using program = new Program(echo());
  const { pid } = await program.ready();
  assert.equal(pid, program.pid);
  await program.writeLine("one\ntwo");
  assert.equal(await program.lines.next(), "one");
  assert.equal(await program.lines.next(), "two");
  await eventually("stderr", () => program.stderr === "a complaint\n");
  await program.endInput();
  assert.equal((await within("end", 10_000, program.ended)).code, 0);
  assert.equal(await program.lines.next(), null);
});

Deno.test("Program is gone after its scope, also when the test fails in it", async () => {
  let pid = 0;
  await assert.rejects(async () => {
    await using program = new Program(echo());
    pid = (await program.ready()).pid;
    assert.ok(isAlive(pid));
    throw new Error("the test fails");
  }, /the test fails/);
  assert.ok(!isAlive(pid));
});

Deno.test("Program rejects when it ends before it is ready, with what it complained", async () => {
  const code = "console.error('no data'); Deno.exit(3)";
  await using program = new Program(echo(code));
  await assert.rejects(program.ready(), /ended with 3 .*no data/);
});

Deno.test("Slot starts again what was killed", async () => {
  await using slot = new Slot(echo());
  const first = await slot.start();
  assert.throws(() => slot.launch(), /runs already/);
  const second = await slot.restart();
  assert.notEqual(first.pid, second.pid);
  assert.ok(!isAlive(first.pid));
  assert.equal(slot.lives, 2);
});

Deno.test("taskCommand() gives the task of deno.json, or what the environment names", () => {
  const task = taskCommand("broker", {});
  assert.equal(task.program, Deno.execPath());
  assert.equal(task.args.at(-1), "broker/main.ts");
  const environment = { MOM_TEST_BROKER: "/opt/broker --flag" };
  const named = { program: "/opt/broker", args: ["--flag"] };
  assert.deepEqual(taskCommand("broker", environment), named);
});

Deno.test("testEnvironment() keeps no setting of mom, freePort() stays out of the system's range", () => {
  const env = testEnvironment("/state", { MOM_TEST_X: "1", OTHER: "2" });
  assert.deepEqual([env.MOM_TEST_X, env.OTHER], [undefined, "2"]);
  assert.equal(env.XDG_STATE_HOME, "/state");
  assert.ok(freePort() < 30_000);
});
