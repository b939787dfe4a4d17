import assert from "node:assert/strict";
import { MomError } from "../../mod.ts";
import { taskCommand } from "../process/commands.ts";
import { Program } from "../process/program.ts";
import { CoordinatorSet } from "./_set.ts";

async function codeOf(call: Promise<unknown>): Promise<string> {
  try {
    await call;
    return "none";
  } catch (error) {
    return error instanceof MomError ? error.code : String(error);
  }
}

Deno.test("the program serves its shards, alone or with others, and ends with 0", async () => {
  await using set = await CoordinatorSet.start();
  const ready = await set.slot(2).program.ready();
  const { event, role, pid } = ready;
  assert.deepEqual({ event, role }, {
    event: "listening",
    role: "coordinator",
  });
  assert.equal(pid, set.slot(2).program.pid);
  assert.deepEqual(Object.assign({}, ready), {
    event: "listening",
    role: "coordinator",
    pid,
    id: 2,
    of: 3,
    shards: [2, 3],
    address: set.cluster.daemonAddress("east"),
  });

  const [ana, ben] = [await set.client("north"), await set.client("south")];
  const names = ["a", "b", "c", "d", "e", "f"];
  for (const name of names) {
    const mine = ana.semaphore(name);
    await mine.init(1);
    assert.equal(await codeOf(ben.semaphore(name).init(1)), "exists");
    const permit = await mine.wait();
    const next = ben.semaphore(name.toUpperCase()).wait();
    await permit.release();
    const taken = await next;
    assert(taken.token > permit.token);
    await taken.release();
    await mine.destroy();
    assert.equal(await codeOf(ben.semaphore(name).wait()), "unknown_name");
  }

  const second = new Program({
    name: "a second coordinator 1",
    command: taskCommand("coordinator"),
    args: ["--id", "1", "--of", "3", "--daemon"].concat(
      set.cluster.daemonAddress("north"),
    ),
    env: set.cluster.env,
  });
  await using _ = second;
  assert.equal((await second.ended).code, 1);
  assert.match(second.stderr, /^error: name_in_use [^\n]+\n$/);

  await Promise.all([ana.close(), ben.close()]);
  const ends = await Promise.all(set.slots.map((slot) => slot.stop()));
  assert.deepEqual(ends.map(({ code }) => code), [0, 0, 0]);
});

Deno.test("the program says what is wrong with its flags, and ends with 2", async () => {
  const table = [
    [["--of", "3"], "Cannot do without --id: it has no default"],
    [["--id", "0", "--of", "3"], 'Cannot use --id "0": expected a whole'],
    [["--id", "4", "--of", "3"], 'Cannot use --id "4": expected at most --of'],
    [["--id", "1", "--of", "x"], 'Cannot use --of "x": expected a whole'],
    [
      ["--id", "1", "--of", "1", "--daemon", "here"],
      'Cannot use --daemon "here": expected HOST:PORT',
    ],
    [["--id", "1", "--of", "1", "--fly"], "Cannot use --fly: there is no such"],
    [["--id", "1", "--of", "1", "here"], 'Cannot use "here": expected flags'],
    [
      ["--id", "1", "--of", "1", "--lease-ms", "5"],
      'Cannot use --lease-ms "5": expected at least',
    ],
  ] as const;
  const env = { ...Deno.env.toObject(), MOM_GROUP: "" };
  await Promise.all(table.map(async ([args, message]) => {
    await using program = new Program({
      name: "coordinator",
      command: taskCommand("coordinator"),
      args,
      env,
    });
    assert.equal((await program.ended).code, 2);
    const line = `error: option_invalid ${message}`;
    assert.equal(program.stderr.slice(0, line.length), line);
    assert.equal(program.stderr.trim().split("\n").length, 1);
  }));
});
