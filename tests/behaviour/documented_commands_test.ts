/**
 * Row 28 of the original's behaviour: starting everything by its documented
 * commands.
 */
import assert from "node:assert/strict";
import { ROOT, testEnvironment } from "../process/commands.ts";
import { freePort } from "../process/free_port.ts";
import { TempFolder } from "../helpers/temp_folder.ts";
import { eventually, within } from "../helpers/eventually.ts";
import { Program } from "../process/program.ts";

function startTask(name: string, args: string[], state: string): Program {
  return new Program({
    name: `deno task ${name}`,
    command: { program: Deno.execPath(), args: ["task", "--quiet", name] },
    args,
    env: testEnvironment(state),
  });
}

Deno.test("[O-28] broker, daemon and shell, started as documented, find each other and talk", async () => {
  await using folder = await TempFolder.make();
  const port = String(freePort());
  await using broker = startTask("broker", ["127.0.0.1", port], folder.path);
  const { address, role } = await broker.ready();
  assert.deepEqual([address, role], [`127.0.0.1:${port}`, "broker"]);
  await using daemon = startTask("daemon", ["127.0.0.1", port], folder.path);
  const listening = await daemon.ready();
  assert.equal(listening.role, "daemon");
  await using ana = startTask("shell", ["--name", "ana"], folder.path);
  await ana.writeLine("S t");
  await ana.writeLine("P own/topic told when subscribed");
  await ana.writeLine("R");
  await using ben = startTask("shell", ["--name", "ben"], folder.path);
  // Said again until it is heard: nobody tells ben when ana has subscribed.
  const heard = ana.lines.next();
  let isHeard = false;
  void heard.then(() => isHeard = true);
  await eventually("hello", async () => {
    if (!isHeard) await ben.writeLine("P t hello ana");
    return isHeard;
  }, { timeoutMs: 30_000, intervalMs: 100 });
  assert.equal(await heard, "t hello ana");
  for (const shell of [ana, ben]) {
    await shell.writeLine("E");
    assert.equal((await within("E", 10_000, shell.ended)).code, 0);
  }
  for (const program of [daemon, broker]) {
    assert.equal((await program.stop()).code, 0);
  }
});

Deno.test("[O-28] the demo tells its story and ends with 0", async () => {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["task", "--quiet", "demo"],
    cwd: ROOT,
    signal: AbortSignal.timeout(90_000),
  }).output();
  const [told, failed] = [stdout, stderr].map((bytes) =>
    new TextDecoder().decode(bytes)
  );
  assert.equal(code, 0, `${told}\n${failed}`);
  assert.match(told, /killed/);
  assert.match(told, /matched/);
});
