/**
 * What the README tells of Python, typed; only the interpreter and the daemon's
 * address are those of the test.
 */
import assert from "node:assert/strict";
import { commandsOf, readBlocks } from "../docs/readme.ts";
import { within } from "../helpers/eventually.ts";
import { Cluster } from "../process/cluster.ts";
import { ROOT } from "../process/commands.ts";
import { Program } from "../process/program.ts";
import { findPython, withoutPython } from "./python.ts";

const EXAMPLE = "hello.py";
const python = await findPython();
const blocks = await readBlocks("README.md");

Deno.test(`[O-18] the README shows ${EXAMPLE} as it is`, async () => {
  const shown = blocks.find(({ language }) => language === "python");
  const text = await Deno.readTextFile(`${ROOT}examples/python/${EXAMPLE}`);
  assert.equal(shown?.text, text);
});

Deno.test({
  name: `[O-18] [README] ${EXAMPLE} says hello${withoutPython(python)}`,
  ignore: python === null,
  async fn() {
    await using cluster = await Cluster.start({ machines: ["north"] });
    const command = commandsOf(blocks).find((line) =>
      line.endsWith("hello.py")
    );
    const line = command!
      .replace(/^MOM_DAEMON="[^"]*" python3/, `"${python!.path}" -B`);
    await using program = new Program({
      name: line,
      command: { program: "/bin/sh", args: ["-c", line] },
      env: { ...cluster.env, MOM_DAEMON: cluster.daemonAddress("north") },
    });
    const said = await within("hello", 20_000, program.lines.next());
    assert.equal((await program.ended).code, 0, program.stderr);
    const value = "{'door': 3, 'open': True}";
    assert.equal(said, `museum/doors ${value} from ana@north`);
  },
});
