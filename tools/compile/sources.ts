/**
 * A copy of the sources that knows its commit: what is compiled, so that an
 * executable can tell what it was built of and the clone stays as it is.
 *
 * @module
 */

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

/** How much of a commit is told. */
const COMMIT_CHARS = 12;

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
 * What is checked out: the commit, with `+changes` if files differ from it.
 *
 * @throws {Error} If git does not tell.
 */
export async function describeCommit(root: string): Promise<string> {
  const commit = await git(root, ["rev-parse", "HEAD"]);
  const changes = await git(root, ["status", "--porcelain", "--", ...PARTS]);
  return commit.slice(0, COMMIT_CHARS) + (changes === "" ? "" : "+changes");
}

async function git(root: string, args: string[]): Promise<string> {
  const { code, stdout, stderr } = await new Deno.Command("git", {
    args: ["-C", root, ...args],
  }).output();
  const [output, error] = [stdout, stderr].map((bytes) =>
    new TextDecoder().decode(bytes).trim()
  );
  if (code === 0) return output!;
  throw new Error(`Cannot tell the commit: git ${args[0]}: ${error}`);
}

async function copy(from: string, to: string): Promise<void> {
  if ((await Deno.stat(from)).isFile) return await Deno.copyFile(from, to);
  await Deno.mkdir(to);
  for await (const { name } of Deno.readDir(from)) {
    await copy(`${from}/${name}`, `${to}/${name}`);
  }
}
