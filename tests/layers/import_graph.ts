/**
 * The import graph of all sources, as Deno sees it.
 *
 * @module
 */

import type { ImportEdge } from "./rules.ts";

/** The folder of the sources. */
export const ROOT = new URL("../../", import.meta.url);

interface InfoDependency {
  specifier: string;
  code?: { specifier?: string; error?: string };
  type?: { specifier?: string; error?: string };
}

interface InfoModule {
  specifier: string;
  error?: string;
  dependencies?: InfoDependency[];
}

/** All sources, as paths from the root; folders with a dot are left out. */
export async function listSources(folder: URL = ROOT): Promise<string[]> {
  const files: string[] = [];
  for await (const entry of Deno.readDir(folder)) {
    if (entry.name.startsWith(".") || entry.name === "node_modules") continue;
    if (entry.isDirectory) {
      files.push(...await listSources(new URL(`${entry.name}/`, folder)));
    } else if (entry.name.endsWith(".ts")) {
      files.push(toPath(new URL(entry.name, folder).href));
    }
  }
  return files.sort();
}

/** Every import of these files and of all that they import. */
export async function readImportGraph(
  files: readonly string[],
): Promise<ImportEdge[]> {
  const root = await Deno.makeTempFile({ suffix: ".ts" });
  try {
    const lines = files.map((file) =>
      `import ${JSON.stringify(new URL(file, ROOT).href)};`
    );
    await Deno.writeTextFile(root, lines.join("\n"));
    const { modules } = await runInfo(root);
    return modules.flatMap(edgesOf).filter(({ from }) =>
      from.endsWith(".ts") && !from.startsWith("file:")
    );
  } finally {
    await Deno.remove(root);
  }
}

async function runInfo(root: string): Promise<{ modules: InfoModule[] }> {
  const config = new URL("deno.json", ROOT);
  const command = new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", "--quiet", "--config", config.pathname, root],
    stdout: "piped",
    stderr: "piped",
  });
  const { success, stdout, stderr } = await command.output();
  const decoder = new TextDecoder();
  if (!success) {
    throw new Error(`Cannot run deno info: ${decoder.decode(stderr)}`);
  }
  return JSON.parse(decoder.decode(stdout));
}

function edgesOf(module: InfoModule): ImportEdge[] {
  const from = toPath(module.specifier);
  return (module.dependencies ?? []).map((dependency) => {
    const { specifier, code, type } = dependency;
    const failure = code?.error ?? type?.error;
    if (failure !== undefined) {
      throw new Error(`Cannot resolve "${specifier}" in ${from}: ${failure}`);
    }
    // The stand-in of a package counts as the package.
    const isPackage = /^(npm|jsr|node|https?):/.test(specifier);
    const target = isPackage
      ? specifier
      : toPath(code?.specifier ?? type?.specifier ?? specifier);
    return { from, to: target, isCode: code !== undefined };
  });
}

function toPath(specifier: string): string {
  return specifier.startsWith(ROOT.href)
    ? decodeURIComponent(specifier.slice(ROOT.href.length))
    : specifier;
}
