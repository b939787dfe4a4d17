import assert from "node:assert/strict";
import { readCommit } from "../../program/source_commit.ts";
import { TempFolder } from "../helpers/temp_folder.ts";

const COMMIT = "0123456789abcdef0123456789abcdef01234567";
const SHORT = "0123456789ab";

/** Files of a clone, by path. */
async function makeClone(
  files: Record<string, string>,
): Promise<TempFolder> {
  const folder = await TempFolder.make();
  for (const [path, text] of Object.entries(files)) {
    const file = `${folder.path}/${path}`;
    await Deno.mkdir(file.slice(0, file.lastIndexOf("/")), { recursive: true });
    await Deno.writeTextFile(file, `${text}\n`);
  }
  return folder;
}

const ON_MAIN = { ".git/HEAD": "ref: refs/heads/main" };

const CLONES: Record<string, Record<string, string>> = {
  "a branch": { ...ON_MAIN, ".git/refs/heads/main": COMMIT },
  "a packed branch": {
    ...ON_MAIN,
    ".git/packed-refs": `# pack-refs\n${COMMIT} refs/heads/main`,
  },
  "no branch": { ".git/HEAD": COMMIT },
  "a worktree": {
    ".git": "gitdir: real/worktrees/one",
    "real/worktrees/one/HEAD": "ref: refs/heads/one",
    "real/worktrees/one/commondir": "../..",
    "real/refs/heads/one": COMMIT,
  },
};

for (const [name, files] of Object.entries(CLONES)) {
  Deno.test(`readCommit() tells the commit of ${name}`, async () => {
    await using clone = await makeClone(files);
    assert.equal(readCommit(`${clone.path}/program`), SHORT);
  });
}

Deno.test("readCommit() tells nothing where there is no clone, or a broken one", async () => {
  assert.equal(readCommit(undefined), null);
  for (const files of [{}, ON_MAIN, { ".git/HEAD": "nonsense" }]) {
    await using folder = await makeClone(files);
    assert.equal(readCommit(`${folder.path}/program`), null);
  }
});
