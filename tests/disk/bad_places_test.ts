import assert from "node:assert/strict";
import { Broker, Daemon, type MomError } from "../../mod.ts";
import { within } from "../helpers/eventually.ts";
import { rejectsWith } from "../helpers/expect.ts";
import { TempFolder } from "../helpers/temp_folder.ts";
import { taskCommand, testEnvironment } from "../process/commands.ts";
import { freePort } from "../process/free_port.ts";
import { Program } from "../process/program.ts";
import {
  changedStore,
  contentOf,
  foreignDatabase,
  foreignKv,
  halfFile,
  type MakePlace,
  storeOf,
  textFile,
} from "./_bad_places.ts";

type Role = "broker" | "daemon";

interface BadPlace {
  readonly what: string;
  readonly role: Role;
  readonly code: MomError["code"];
  /** In the line on stderr. */
  readonly tells: RegExp;
  readonly make: MakePlace;
}

function flip(at: number): (value: Uint8Array) => Uint8Array {
  return (value) => value.map((byte, i) => i === at ? byte ^ 4 : byte);
}

type AnyRoot = Record<string, unknown>;

const PLACES: readonly BadPlace[] = [
  {
    what: "a file that is no database",
    role: "broker",
    code: "data_damaged",
    tells: /no database/,
    make: textFile,
  },
  {
    what: "another program's database",
    role: "broker",
    code: "data_damaged",
    tells: /another program's database \(table "diary"\)/,
    make: foreignDatabase,
  },
  {
    what: "another program's Deno KV",
    role: "daemon",
    code: "data_damaged",
    tells: /another program's Deno KV/,
    make: foreignKv,
  },
  {
    what: "a daemon's store given to a broker",
    role: "broker",
    code: "option_invalid",
    tells: /belongs to a daemon, not to a broker/,
    make: storeOf("daemon"),
  },
  {
    what: "a broker's store given to a daemon",
    role: "daemon",
    code: "option_invalid",
    tells: /belongs to a broker, not to a daemon/,
    make: storeOf("broker"),
  },
  {
    what: "a newer format",
    role: "broker",
    code: "data_version",
    tells: /format is 2, this version reads 1/,
    make: changedStore<AnyRoot>(["r"], (root) => ({ ...root, format: 2 })),
  },
  {
    what: "a root entry with another number in it",
    role: "broker",
    code: "data_damaged",
    tells: /root entry is damaged/,
    make: changedStore<AnyRoot>(
      ["r"],
      (root) => ({ ...root, foldedPosition: 2 }),
    ),
  },
  {
    what: "a root entry that is something else",
    role: "broker",
    code: "data_damaged",
    tells: /root entry is damaged/,
    make: changedStore<unknown>(["r"], () => "root"),
  },
  {
    what: "a damaged change list",
    role: "broker",
    code: "data_damaged",
    tells: /position 2 are damaged/,
    make: changedStore(["c", 2, 0], flip(9)),
  },
  {
    what: "half a file",
    role: "broker",
    code: "data_damaged",
    tells: /malformed|damaged/,
    make: halfFile,
  },
  {
    what: "a file where the folder should be",
    role: "broker",
    code: "store_unavailable",
    tells: /data folder/,
    make: (path) => Deno.writeTextFile(path, "no folder"),
  },
];

/** A program as its task starts it; what follows `data` comes last. */
function programOf(role: Role, folder: string, data: string, port = 0) {
  const address = port === 0 ? freePort() : port;
  const args = role === "broker"
    ? ["--listen", `127.0.0.1:${address}`]
    : ["--broker", `127.0.0.1:${freePort()}`, "--machine", "north"];
  return new Program({
    name: role,
    command: taskCommand(role),
    args: [...args, "--data", data],
    env: testEnvironment(folder),
  });
}

/** How a program ends that cannot start: with one line, and nothing on stdout. */
async function refusal(program: Program): Promise<string> {
  const { code } = await within("the end", 20_000, program.ended);
  assert.equal(code, 1, program.stderr);
  assert.equal(await program.lines.next(), null);
  const lines = program.stderr.trimEnd().split("\n");
  assert.equal(lines.length, 1, program.stderr);
  assert.doesNotMatch(lines[0], /\bat (file:|async)/);
  return lines[0];
}

async function startHere(role: Role, data: string): Promise<void> {
  const here = { hostname: "127.0.0.1", port: 0 };
  await using _ = role === "broker"
    ? await Broker.start({ ...here, data })
    : await Daemon.start({ broker: "127.0.0.1:1", listen: here, data });
}

for (const { what, role, code, tells, make } of PLACES) {
  Deno.test(`a ${role} refuses ${what} and harms nothing`, async () => {
    await using folder = await TempFolder.make();
    const data = `${folder.path}/data`;
    await make(data);
    const before = await contentOf(data);
    await using program = programOf(role, folder.path, data);
    const line = await refusal(program);
    assert.ok(line.startsWith(`error: ${code} `), line);
    assert.match(line, tells);
    assert.deepEqual(await contentOf(data), before);
    // By API the same, and nothing is left open.
    await rejectsWith(code, startHere(role, data));
    await rejectsWith(code, startHere(role, data));
    assert.deepEqual(await contentOf(data), before);
  });
}

for (const role of ["broker", "daemon"] as const) {
  Deno.test(`a second ${role} on the same data says who holds it`, async () => {
    await using folder = await TempFolder.make();
    const data = `${folder.path}/data`;
    await using first = programOf(role, folder.path, data);
    const { pid } = await first.ready();
    await using second = programOf(role, folder.path, data);
    const line = await refusal(second);
    assert.ok(line.startsWith("error: data_in_use "), line);
    assert.ok(line.includes(`process ${pid} (${role})`), line);
    await rejectsWith("data_in_use", startHere(role, data));
    // Not even the socket of the first one is touched.
    if (role === "daemon") await Deno.lstat(`${data}/mom.sock`);
    assert.equal((await first.stop()).code, 0);
    await startHere(role, data);
  });
}

Deno.test("a broker whose port is taken says so, and lets its data go", async () => {
  await using folder = await TempFolder.make();
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = taken.addr as Deno.NetAddr;
  const data = `${folder.path}/data`;
  await using program = programOf("broker", folder.path, data, port);
  const line = await refusal(program);
  assert.match(line, /^error: option_invalid .*in use/);
  assert.ok(line.includes(`127.0.0.1:${port}`), line);
  const start = Broker.start({ hostname: "127.0.0.1", port, data });
  await rejectsWith("option_invalid", start);
  await startHere("broker", data);
});

Deno.test("a folder that cannot be written is told in one line", async () => {
  await using folder = await TempFolder.make();
  const data = `${folder.path}/data`;
  const command = taskCommand("broker");
  const args = command.args.map((arg) =>
    arg === "--allow-write" ? `--allow-write=${folder.path}/elsewhere` : arg
  );
  await using program = new Program({
    name: "broker",
    command: { ...command, args },
    args: ["--listen", "127.0.0.1:0", "--data", data],
    env: testEnvironment(folder.path),
  });
  const line = await refusal(program);
  assert.match(line, /^error: \w+ Cannot make data folder/);
  assert.ok(line.includes(data), line);
});
