/**
 * Names of users and machines, and the two together: `name@machine`.
 *
 * @module
 */

import { findProblem, forbid, quote } from "./characters.ts";
import { MomError } from "./errors.ts";
import { LIMITS } from "./limits.ts";

const NAME_FORBIDDEN = forbid("+#/@$");

/** The machine of handles that have no daemon; no daemon may take it. */
export const DIRECT_MACHINE = "direct";

/**
 * Makes sure that `name` can name a user or a machine.
 *
 * @param kind What it is to name; a machine may not be called `direct`.
 * @param name 1 to 64 UTF-8 bytes: a topic's characters without `/` `@` `$`.
 * @throws {MomError} `name_invalid`, naming the byte and the rule.
 * @throws {TypeError} When it is no string.
 */
export function checkName(kind: "user" | "machine", name: string): void {
  if (typeof name !== "string") {
    throw new TypeError(
      `Cannot use ${kind} name: expected a string, got ${typeof name}`,
    );
  }
  let problem = findProblem(name, NAME_FORBIDDEN, LIMITS.nameBytes);
  if (kind === "machine" && name === DIRECT_MACHINE) {
    problem = "it is reserved for handles without a daemon";
  }
  if (problem !== null) {
    throw new MomError(
      "name_invalid",
      `Cannot use ${kind} name ${quote(name)}: ${problem}`,
    );
  }
}

/**
 * A host name made into a machine name: what may not stand in one becomes `-`,
 * and what is too long is cut (`north.example.org` gives `north-example-org`).
 */
export function toMachineName(hostname: string): string {
  let name = "";
  let bytes = 0;
  for (const character of hostname.toWellFormed()) {
    const safe = findProblem(character, NAME_FORBIDDEN, 4) === null
      ? character
      : "-";
    bytes += new TextEncoder().encode(safe).length;
    if (bytes > LIMITS.nameBytes) break;
    name += safe;
  }
  if (name === "") return "machine";
  if (name === DIRECT_MACHINE) return `${name}-machine`;
  return name;
}

/** `name@machine`, as apps see a user. */
export function userOf(name: string, machine: string): string {
  return `${name}@${machine}`;
}

/**
 * The two halves of `name@machine`.
 *
 * @throws {MomError} `name_invalid` when there is not exactly one `@` or a half
 *   is no name. The machine may be `direct`.
 */
export function splitUser(user: string): { name: string; machine: string } {
  const at = user.indexOf("@");
  if (at < 0) {
    throw new MomError(
      "name_invalid",
      `Cannot use user ${quote(user)}: it has no "@"`,
    );
  }
  const name = user.slice(0, at);
  const machine = user.slice(at + 1);
  checkName("user", name);
  if (machine !== DIRECT_MACHINE) checkName("machine", machine);
  return { name, machine };
}
