/**
 * A copy of the sources that knows its commit: what is compiled, so that an
 * executable can tell what it was built of and the clone stays as it is.
 *
 * @module
 */

import { readCommit } from "../../program/source_commit.ts";

/** What programs are made of. */
const PARTS = [
  "broker",
  "daemon",
  "deno.json",
  "deno.lock",
  "deps",
  "mod.ts",
  "program",
  "protocol",
  "storage",
  "transport",
];

/**
 * Copies what the programs are made of.
 *
 * @param root The clone.
 * @param folder Where to; must be empty.
 * @param commit As {@linkcode describeCommit} tells it.
 */
export async function copySources(
  root: string,
  folder: string,
  commit: string,
): Promise<void> {
  for (const part of PARTS) await copy(`${root}/${part}`, `${folder}/${part}`);
  const build = `${JSON.stringify({ commit })}\n`;
  await Deno.writeTextFile(`${folder}/program/build.json`, build);
}

/**
 * What is checked out: the commit, with `+changes` if files differ from it;
 * `unknown` where there is no clone.
 */
export async function describeCommit(root: string): Promise<string> {
  const commit = readCommit(`${root}/program`);
  if (commit === null) return "unknown";
  return await hasChanges(root) ? `${commit}+changes` : commit;
}

async function hasChanges(root: string): Promise<boolean> {
  const { stdout } = await new Deno.Command("git", {
    args: [
      // Whoever builds may be another user than who cloned.
      ...["-c", `safe.directory=${root}`, "-C", root],
      ...["status", "--porcelain", "--", ...PARTS],
    ],
  }).output();
  return stdout.length > 0;
}

async function copy(from: string, to: string): Promise<void> {
  if ((await Deno.stat(from)).isFile) return await Deno.copyFile(from, to);
  await Deno.mkdir(to);
  for await (const { name } of Deno.readDir(from)) {
    await copy(`${from}/${name}`, `${to}/${name}`);
  }
}
