/**
 * Builds the executables with `deno compile`.
 *
 * @module
 */

import { compileArgs, type Recipe, RECIPES, type Scope } from "./recipe.ts";
import { copySources, describeCommit } from "./sources.ts";

/** What to build. */
export interface BuildOptions {
  /** The clone. */
  root: string;
  /** The folder for the executables; made if need be. */
  folder: string;
  /** Another system's triple; this one's if unset. */
  target?: string;
  scope?: Scope;
  /** The base binary, as `DENORT_BIN` names it; to be downloaded if unset. */
  base?: string;
  /**
   * Only see whether each graph compiles: nothing is left in `folder`, and Deno
   * itself stands in for the base binary.
   */
  checkOnly?: boolean;
  /** Told of each executable. */
  onLine(line: string): void;
}

/** Why an executable cannot be built, on one line. */
export class BuildError extends Error {
  override name = "BuildError";
}

interface Outcome {
  code: number;
  output: string;
  error: string;
}

/**
 * Builds all executables, or none that is left.
 *
 * @throws {BuildError}
 */
export async function build(options: BuildOptions): Promise<void> {
  const { base, checkOnly = false, folder } = options;
  if (!checkOnly) await checkBase(base);
  const work = await Deno.makeTempDir({ prefix: "mom-compile-" });
  try {
    const commit = await describeCommit(options.root);
    await Deno.mkdir(`${work}/sources`);
    await copySources(options.root, `${work}/sources`, commit);
    for (const recipe of RECIPES) {
      await buildOne(recipe, options, work);
      if (checkOnly || options.target !== undefined) continue;
      await checkVersion(recipe, work, commit);
    }
    if (!checkOnly) await moveAll(`${work}/out`, folder, options.onLine);
  } finally {
    await Deno.remove(work, { recursive: true });
  }
}

/** Deno itself makes files that look right and are the CLI, not the program. */
async function checkBase(base: string | undefined): Promise<void> {
  if (base === undefined) return;
  const { output } = await run(base, ["--version"]);
  if (!/^deno \d/.test(output)) return;
  throw new BuildError(
    `Cannot build executables: DENORT_BIN "${base}" is the Deno CLI, not the ` +
      `base binary denort (with --check it does, to compile and throw away)`,
  );
}

async function buildOne(
  recipe: Recipe,
  options: BuildOptions,
  work: string,
): Promise<void> {
  const { target, scope, base, checkOnly = false, onLine } = options;
  const output = `${work}/out/${recipe.name}`;
  const used = checkOnly ? Deno.execPath() : base;
  const env = {
    NO_COLOR: "1",
    ...used !== undefined && { DENORT_BIN: used },
  };
  const args = compileArgs(recipe, { output, target, scope });
  const { code, error } = await run(Deno.execPath(), args, {
    cwd: `${work}/sources`,
    env,
  });
  if (code !== 0) throw toBuildError(recipe, options, error);
  if (checkOnly) {
    onLine(`${recipe.name}: its graph compiles (no executable is kept)`);
  }
}

function toBuildError(
  { name }: Recipe,
  { target }: BuildOptions,
  error: string,
): BuildError {
  // Without a base binary nothing is wrong with the sources: one line tells.
  if (!/denort|base binary/i.test(error)) {
    // What follows an empty line is the compiler's own stack.
    const [text] = error.trim().split("\n\n");
    return new BuildError(`Cannot build ${name}: ${text}`);
  }
  const [reason = error] = /https?:[^\s)]*denort[^\s)]*/.exec(error) ?? [];
  const system = target ?? Deno.build.target;
  return new BuildError(
    `Cannot build ${name}: Deno's base binary denort for ${system} cannot be ` +
      `had from ${oneLine(reason)}; DENORT_BIN=PATH names one that is there`,
  );
}

/** That what was built is the program, and knows its commit. */
async function checkVersion(
  { name }: Recipe,
  work: string,
  commit: string,
): Promise<void> {
  const { output, error } = await run(`${work}/out/${name}`, ["--version"]);
  if (output.startsWith("mom ") && output.includes(commit)) return;
  throw new BuildError(
    `Cannot build ${name}: what came out does not tell its version but ` +
      `"${oneLine(output || error)}"`,
  );
}

async function moveAll(
  from: string,
  to: string,
  onLine: (line: string) => void,
): Promise<void> {
  await Deno.mkdir(to, { recursive: true });
  for await (const { name } of Deno.readDir(from)) {
    // The two may lie on different disks, where a file cannot be renamed.
    await Deno.copyFile(`${from}/${name}`, `${to}/${name}.new`);
    await Deno.rename(`${to}/${name}.new`, `${to}/${name}`);
    onLine(`${to}/${name}`);
  }
}

async function run(
  program: string,
  args: string[],
  options: { cwd?: string; env?: Record<string, string> } = {},
): Promise<Outcome> {
  try {
    const { code, stdout, stderr } = await new Deno.Command(program, {
      args,
      ...options,
    }).output();
    const [output, error] = [stdout, stderr].map((bytes) =>
      new TextDecoder().decode(bytes)
    );
    return { code, output: output!, error: error! };
  } catch (cause) {
    // Another system's base binary does not run here; it may be right all the same.
    return { code: 1, output: "", error: `${cause}` };
  }
}

function oneLine(text: string): string {
  return text.trim().replace(/\s*[\r\n]+\s*/g, " ").slice(0, 200);
}
