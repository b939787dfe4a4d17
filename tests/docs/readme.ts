/**
 * The code blocks of the README.
 *
 * @module
 */

import { ROOT } from "../process/commands.ts";

/** A block of code. */
export interface CodeBlock {
  /** `ts`, `sh`. */
  language: string;
  text: string;
  /** For programs: the last file named before it. */
  file: string | null;
}

/** All code blocks of a file, in their order. */
export async function readBlocks(path: string): Promise<CodeBlock[]> {
  const text = await Deno.readTextFile(`${ROOT}${path}`);
  const blocks: CodeBlock[] = [];
  let file: string | null = null;
  for (const part of text.split(/^(```\w.*\n[^]*?^```)$/m)) {
    const [, language, code] = /^```(\w+).*\n([^]*?)```$/.exec(part) ?? [];
    if (language !== undefined) blocks.push({ language, text: code!, file });
    else file = [...part.matchAll(/`(\w+\.ts)`/g)].at(-1)?.[1] ?? file;
  }
  return blocks;
}

/** The commands of all shell blocks, a line each; continued lines are one. */
export function commandsOf(blocks: readonly CodeBlock[]): string[] {
  return blocks.filter(({ language }) => language === "sh")
    .flatMap(({ text }) => text.replace(/\s*\\\n\s*/g, " ").split("\n"))
    .map((line) => line.replace(/\s+#.*$/, "").trim())
    .filter((line) => line !== "");
}
