/**
 * Row 17 of the original's behaviour: the interactive client.
 */
import assert from "node:assert/strict";
import { eventually, within } from "../helpers/eventually.ts";
import { takeValues } from "../helpers/expect.ts";
import { Cluster } from "../process/cluster.ts";
import { taskCommand } from "../process/commands.ts";
import { Guests } from "../process/guests.ts";
import { Program } from "../process/program.ts";

function startShell(cluster: Cluster, name: string): Program {
  return new Program({
    name: `shell of ${name}`,
    command: taskCommand("shell"),
    args: ["--name", name, "--daemon", cluster.daemonAddress("north")],
    env: cluster.env,
  });
}

async function printed(shell: Program): Promise<string | null> {
  return await within(
    `a line of ${shell.name}; stderr: ${shell.stderr}`,
    10_000,
    shell.lines.next(),
  );
}

async function complained(shell: Program, text: RegExp): Promise<void> {
  await eventually(`${text} on stderr`, () => text.test(shell.stderr));
}

Deno.test("[O-17] the shell obeys S U P R E in either case, and helps at a bad line", async () => {
  await using cluster = await Cluster.start({ machines: ["north"] });
  await using guests = new Guests(cluster);
  const ben = await guests.connect("north", "ben");
  await ben.subscribe("from/ana");
  await using ana = startShell(cluster, "ana");

  await ana.writeLine("S t");
  await ana.writeLine("s u/v");
  await ana.writeLine("S t");
  await complained(ana, /^error: already_subscribed /m);
  await ben.publish("t", "plain  text ");
  await ben.publish("u/v", { n: 1 });
  await ana.writeLine("R");
  assert.equal(await printed(ana), "t plain  text ");
  await ana.writeLine("r");
  assert.equal(await printed(ana), 'u/v {"n":1}');

  await ana.writeLine("P from/ana two  words");
  await ana.writeLine("p from/ana ä");
  assert.deepEqual(await takeValues(ben, 2), ["two  words", "ä"]);

  for (const bad of ["", "X", "publish t x", "P t", "S"]) {
    await ana.writeLine(bad);
  }
  await complained(ana, /S topic|S <topic>|S TOPIC/i);
  await ana.writeLine("U t");
  await ana.writeLine("u t");
  await complained(ana, /^error: not_subscribed /m);
  await ana.writeLine("P a.b x");
  await complained(ana, /^error: topic_invalid /m);
  await ana.writeLine("P from/ana still here");
  assert.deepEqual(await takeValues(ben, 1), ["still here"]);
  await ana.writeLine("e");
  const ended = await within("the shell's end", 10_000, ana.ended);
  assert.equal(ended.code, 0);
});

Deno.test("[O-17] the shell ends with 0 at the end of its input, also without any", async () => {
  await using cluster = await Cluster.start({ machines: ["north"] });
  for (const lines of [[], ["S t"], ["S t", "P t half a l"]]) {
    await using shell = startShell(cluster, "ana");
    for (const line of lines) await shell.writeLine(line);
    await shell.endInput();
    const ended = await within("the shell's end", 10_000, shell.ended);
    assert.deepEqual([ended.code, shell.stderr.match(/error: closed/)], [
      0,
      null,
    ]);
  }
});

Deno.test("[O-17] the shell shows its prompt on a terminal", {
  ignore: Deno.build.os !== "linux" || !hasScript(),
}, async () => {
  await using cluster = await Cluster.start({ machines: ["north"] });
  const { program, args } = taskCommand("shell");
  const line = [program, ...args, "--name", "ana", "--daemon"]
    .concat(cluster.daemonAddress("north")).map(quote).join(" ");
  await using terminal = new Program({
    name: "shell on a terminal",
    command: { program: "script", args: ["-qec", line, "/dev/null"] },
    env: { ...cluster.env, TERM: "xterm" },
  });
  const seen: string[] = [];
  await terminal.writeLine("S t");
  await terminal.writeLine("E");
  const collecting = (async () => {
    for (
      let one = await terminal.lines.next();
      one !== null;
      one = await terminal.lines.next()
    ) seen.push(one);
  })();
  const ended = await within("the terminal's end", 15_000, terminal.ended);
  await collecting;
  assert.equal(ended.code, 0, seen.join("\n"));
  assert.match(seen.join("\n"), /mom> /);
});

function hasScript(): boolean {
  try {
    const { success } = new Deno.Command("script", {
      args: ["--version"],
      stdout: "null",
      stderr: "null",
    }).outputSync();
    return success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

function quote(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}
