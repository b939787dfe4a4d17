/**
 * The commit of a clone, read from git's files: git itself may not be there, and
 * programs may not run others.
 *
 * @module
 */

import { resolve } from "node:path";

/** How much of a commit is told. */
export const COMMIT_CHARS = 12;

/**
 * The commit that is checked out.
 *
 * @param room A folder right below the root of the clone; none for sources that
 *   come from a URL.
 * @returns `null` where there is no clone, or reading it is not allowed.
 */
export function readCommit(room: string | undefined): string | null {
  if (room === undefined) return null;
  const git = findGitFolder(resolve(room, "../.git"));
  const head = git === null ? null : read(`${git}/HEAD`);
  if (git === null || head === null) return null;
  const [, ref] = /^ref: (.+)$/.exec(head) ?? [];
  const commit = ref === undefined ? head : readRef(git, ref);
  return commit === null || !/^[0-9a-f]{40,64}$/.test(commit)
    ? null
    : commit.slice(0, COMMIT_CHARS);
}

/** In a worktree `.git` is a file that says where the folder is. */
function findGitFolder(path: string): string | null {
  if (read(`${path}/HEAD`) !== null) return path;
  const [, told] = /^gitdir: (.+)$/.exec(read(path) ?? "") ?? [];
  return told === undefined ? null : resolve(path, "..", told);
}

function readRef(git: string, ref: string): string | null {
  const common = resolve(git, read(`${git}/commondir`) ?? ".");
  const loose = read(`${common}/${ref}`);
  if (loose !== null) return loose;
  const packed = read(`${common}/packed-refs`)?.split("\n") ?? [];
  return packed.find((line) => line.endsWith(` ${ref}`))?.split(" ")[0] ?? null;
}

/** A small file's text; `null` when there is none that may be read. */
function read(path: string): string | null {
  const { state } = Deno.permissions.querySync({ name: "read", path });
  if (state !== "granted") return null;
  try {
    return Deno.readTextFileSync(path).trim();
  } catch {
    // No such file, or a folder: then the commit is not known, and no more.
    return null;
  }
}
