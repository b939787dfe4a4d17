import assert from "node:assert/strict";
import { Broker, Mom } from "../../mod.ts";
import { findWrongSums } from "../../program/status.ts";
import { eventually } from "../helpers/eventually.ts";
import { range, rejectsWith, take, takeValues } from "../helpers/expect.ts";
import { TempFolder } from "../helpers/temp_folder.ts";
import { Cluster } from "../process/cluster.ts";
import { ROOT, taskCommand } from "../process/commands.ts";
import { Guests } from "../process/guests.ts";

interface Ended {
  code: number;
  out: string;
  complaint: string;
}

/** Runs a command of a program to its end. */
async function run(
  program: "broker" | "daemon",
  args: readonly string[],
  env: Record<string, string>,
): Promise<Ended> {
  const command = taskCommand(program);
  const { code, stdout, stderr } = await new Deno.Command(command.program, {
    args: [...command.args, ...args],
    cwd: ROOT,
    env,
    clearEnv: true,
    signal: AbortSignal.timeout(30_000),
  }).output();
  const decoder = new TextDecoder();
  return {
    code,
    out: decoder.decode(stdout).trim(),
    complaint: decoder.decode(stderr).trim(),
  };
}

/** Publishes numbers until told to stop; counts those that are acknowledged. */
class Load {
  acknowledged = 0;
  /** The longest that one publish took, in milliseconds. */
  slowestMs = 0;
  readonly done: Promise<void>;
  #isOver = false;
  #next = 0;

  constructor(mom: Mom) {
    const lanes = range(16).map(() => this.#run(mom));
    this.done = Promise.all(lanes).then(() => {});
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await this.done;
  }

  async #run(mom: Mom): Promise<void> {
    const padding = new Uint8Array(2_000);
    while (!this.#isOver) {
      const startMs = performance.now();
      const value = { number: this.#next++, padding };
      await mom.publish(`doors/${value.number % 4}`, value);
      this.slowestMs = Math.max(this.slowestMs, performance.now() - startMs);
      this.acknowledged++;
    }
  }
}

Deno.test("broker backup under load copies all that was acknowledged, publishing goes on, and restore puts it in place", async () => {
  await using cluster = await Cluster.start({ machines: ["north"] });
  await using guests = new Guests(cluster);
  const { env, folder } = cluster;
  const data = `${folder.path}/broker`;
  const file = `${folder.path}/backup`;
  const ana = await guests.connect(null, "ana");
  const ben = await guests.connect("north", "ben");
  await ben.subscribe("doors/#");
  const load = new Load(ana);
  await eventually("some load", () => load.acknowledged > 3_000, {
    timeoutMs: 30_000,
  });
  const before = load.acknowledged;
  load.slowestMs = 0;
  const made = await run("broker", ["backup", file, "--data", data], env);
  const during = load.acknowledged - before;
  const { slowestMs } = load;
  assert.equal(made.code, 0, made.complaint);
  assert.match(
    made.out,
    /^backed up to .*: position \d+ of epoch \d+, \d+ messages, \d+ bytes$/,
  );
  const messages = Number(/(\d+) messages/.exec(made.out)?.[1]);
  assert.ok(messages >= before, `${messages} of ${before} messages`);
  assert.ok(during > 100, `only ${during} publishes while it was made`);
  assert.ok(slowestMs < 2_000, `a publish took ${slowestMs} ms`);
  await eventually(
    "more load",
    () => load.acknowledged > before + during + 500,
  );
  await load.stop();
  assert.equal(((await Deno.stat(file)).mode ?? 0) & 0o777, 0o600);

  const again = await run("broker", ["backup", file, "--data", data], env);
  assert.equal(again.code, 1);
  assert.match(again.complaint, /^error: option_invalid .*--force/);
  const held = await run("broker", ["restore", file, "--data", data], env);
  assert.equal(held.code, 1);
  assert.match(
    held.complaint,
    new RegExp(`^error: data_in_use .*process ${cluster.broker.program.pid}`),
  );

  const lost = (await cluster.brokerStatus()).totals.published - messages;
  await cluster.broker.kill();
  const done = await run("broker", ["restore", file, "--data", data], env);
  assert.equal(done.code, 0, done.complaint);
  assert.match(
    done.out,
    new RegExp(`, ${lost} messages since the backup lost`),
  );
  const previous = /previous data kept in (.*)$/.exec(done.out)?.[1];
  assert.ok((await Deno.stat(`${previous}/store.kv`)).size > 0);
  await cluster.broker.start();
  await cluster.linked();
  const report = await cluster.brokerStatus();
  assert.deepEqual(findWrongSums(report), []);
  assert.equal(report.totals.published, messages);
  // Whoever reads the copy from the start finds no gap.
  const late = await guests.connect(null, "late");
  await late.subscribe("doors/#", { from: "earliest" });
  const ends = new Map<string, number>();
  for (const { topic, offset } of await take(late, messages, 20_000)) {
    assert.equal(offset, ends.get(topic) ?? 0);
    ends.set(topic, offset + 1);
  }
  const receipt = await ana.publish("doors/0", "new", { level: "broker" });
  assert.equal(receipt.offset, ends.get("doors/0"));
});

Deno.test("restore refuses what is no backup, and leaves all as it was", async () => {
  await using folder = await TempFolder.make();
  await using cluster = await Cluster.start({ machines: ["north"] });
  const { env } = cluster;
  const data = `${cluster.folder.path}/broker`;
  const north = `${cluster.folder.path}/north`;
  const file = `${folder.path}/daemon-backup`;
  const made = await run("daemon", ["backup", file, "--data", north], env);
  assert.equal(made.code, 0, made.complaint);
  await cluster.broker.stop();
  const garbage = `${folder.path}/garbage`;
  await Deno.writeFile(garbage, crypto.getRandomValues(new Uint8Array(9_000)));
  const before = [...Deno.readDirSync(data)].map(({ name }) => name).sort();
  for (
    const [path, code] of [
      [file, "option_invalid"],
      [garbage, "data_damaged"],
      [`${folder.path}/nowhere`, "option_invalid"],
    ]
  ) {
    const ended = await run("broker", ["restore", path, "--data", data], env);
    assert.equal(ended.code, 1, ended.out);
    assert.match(ended.complaint, new RegExp(`^error: ${code} [^\\n]*$`));
  }
  assert.deepEqual(
    [...Deno.readDirSync(data)].map(({ name }) => name).sort(),
    before,
  );
  for (
    const [args, rule] of [
      [["restore"], "Cannot do without FILE"],
      [["purge"], "name exactly one of --topic, --user and --all"],
      [["purge", "--all", "--topic", "a"], "name exactly one of"],
    ] as const
  ) {
    const bad = await run("broker", [...args], env);
    assert.deepEqual([bad.code, bad.out], [2, ""]);
    assert.ok(bad.complaint.includes(rule), bad.complaint);
  }
  await cluster.broker.start();
});

Deno.test("broker.backup() copies while the broker goes on; what it needs it says", async () => {
  await using folder = await TempFolder.make();
  const data = `${folder.path}/broker`;
  const file = `${folder.path}/backup`;
  await using broker = await Broker.start({ port: 0, data });
  await using memory = await Broker.start({ port: 0, data: ":memory:" });
  await rejectsWith("unsupported", memory.backup(file));
  const ana = await Mom.connect({ broker: broker.address, name: "ana" });
  await ana.publishMany("doors/1", range(50));
  const [report] = await Promise.all([
    broker.backup(file),
    ana.publishMany("doors/1", range(50)),
  ]);
  assert.ok(report.messages >= 50 && report.messages <= 100);
  assert.equal(report.epoch, broker.status().store.epoch);
  assert.equal(report.storeId, broker.status().store.id);
  await rejectsWith("option_invalid", broker.backup(file));
  await broker.backup(file, { force: true });
  // The broker's own lock is still there.
  await rejectsWith("data_in_use", Broker.start({ port: 0, data }));
  await ana.subscribe("doors/1", { from: "earliest", echo: true });
  assert.deepEqual(await takeValues(ana, 1), [0]);
  await ana.close();
});

Deno.test("broker.backup() without --allow-run names the permission and the command", async () => {
  await using folder = await TempFolder.make();
  const script = `
    import { Broker } from "${new URL("../../mod.ts", import.meta.url)}";
    await using broker = await Broker.start({
      port: 0, data: "${folder.path}/broker", insecureNoToken: true,
    });
    const error = await broker.backup("${folder.path}/b").catch((e) => e);
    console.log(error.code, error.message);
  `;
  const path = `${folder.path}/script.ts`;
  await Deno.writeTextFile(path, script);
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--quiet",
      "--no-prompt",
      "--unstable-kv",
      `--config=${ROOT}deno.json`,
      `--allow-read`,
      `--allow-write`,
      "--allow-net=127.0.0.1",
      "--allow-sys=hostname,statfs",
      path,
    ],
    signal: AbortSignal.timeout(30_000),
  }).output();
  const out = new TextDecoder().decode(stdout);
  assert.match(
    out,
    /^unsupported .*--allow-run=.*backup/,
    new TextDecoder().decode(stderr),
  );
});
