/**
 * What a program was built of. `deno task compile` writes the commit into the
 * copy of `build.json` that it compiles; run from a clone, git's own files tell.
 *
 * @module
 */

import { PROTOCOL_VERSION } from "../protocol/messages.ts";
import { VERSION } from "../protocol/version.ts";
import build from "./build.json" with { type: "json" };
import { readCommit } from "./source_commit.ts";

/** What else has a version: `{ store: 1 }`. */
export type FormatVersions = Readonly<Record<string, number>>;

/** `mom 0.1.0 (commit 1a2b3c4d5e6f, protocol 1, store 1)`. */
export function versionLine(formats: FormatVersions = {}): string {
  const commit = build.commit ?? readCommit(import.meta.dirname);
  const versions = { protocol: PROTOCOL_VERSION, ...formats };
  const parts = [
    ...commit === null ? [] : [`commit ${commit}`],
    ...Object.entries(versions).map(([name, number]) => `${name} ${number}`),
  ];
  return `mom ${VERSION} (${parts.join(", ")})`;
}
