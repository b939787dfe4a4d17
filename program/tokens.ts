/**
 * Tokens: who has one is let in. 32 random bytes in hex, in a file that only its
 * owner can read, at a place where that owner's other programs look for it.
 *
 * @module
 */

import {
  type Address,
  type AddressLike,
  isAnyHost,
  isLoopbackHost,
  isUnixAddress,
  parseAddress,
} from "../protocol/address.ts";
import type { Entropy } from "../protocol/clock.ts";
import { systemEntropy } from "../protocol/clock.ts";
import { MomError } from "../protocol/errors.ts";
import type { ReadEnvironment } from "./environment.ts";
import { findStateFolder, makePrivateFolder } from "./folders.ts";
import { handedToken } from "./token_registry.ts";

export { handToken } from "./token_registry.ts";

/** Random bytes of a token. */
export const TOKEN_BYTES = 32;

/** What a token may look like: some visible ASCII characters. */
const TOKEN = /^[\x21-\x7e]{16,512}$/;

/** Names under which one of this machine may be reached by another of it. */
const LOCAL_HOSTS = ["127.0.0.1", "localhost", "::1", "0.0.0.0", "::"];

/** Options of the functions here. */
export interface TokenOptions {
  /** @default {processEnvironment} */
  environment?: ReadEnvironment;
  /** @default {systemEntropy} */
  entropy?: Entropy;
}

/** A new token. */
export function makeToken(entropy: Entropy = systemEntropy): string {
  return entropy.bytes(TOKEN_BYTES).toHex();
}

/**
 * Refuses what cannot be a token: 16 to 512 visible ASCII characters are one.
 *
 * @param origin Where it comes from, for the message; the token is not shown.
 * @throws {MomError} `option_invalid`.
 */
export function checkToken(token: string, origin: string): string {
  if (TOKEN.test(token)) return token;
  throw new MomError(
    "option_invalid",
    `Cannot use the token of ${origin}: expected 16 to 512 visible ASCII ` +
      `characters, got ${token.length} characters`,
  );
}

/**
 * Where the token for an address lies: `STATE/mom/tokens/HOST_PORT`, for a unix
 * socket `PATH.token` beside it.
 *
 * @param address With the real port, not 0.
 * @throws {MomError} `option_invalid` if the environment names no state folder.
 */
export function tokenPath(
  address: AddressLike,
  options: TokenOptions = {},
): string {
  const path = findTokenPath(parseAddress(address), options);
  if (path !== null) return path;
  throw new MomError(
    "option_invalid",
    "Cannot choose a place for the token: neither XDG_STATE_HOME nor HOME is " +
      "set, or reading them is not allowed; name a token file",
  );
}

/**
 * Reads the token in `path`; makes file and token when there is none yet. Of two
 * programs that do so at once, both get the same token.
 *
 * @throws {MomError} `option_invalid` if the file holds no token or cannot be
 *   read or made.
 */
export async function readOrMakeToken(
  path: string,
  options: TokenOptions = {},
): Promise<string> {
  const present = await readTokenFile(path);
  if (present !== null) return present;
  const token = makeToken(options.entropy);
  try {
    if (await writeTokenFile(path, token, makeToken(options.entropy))) {
      return token;
    }
  } catch (cause) {
    throw failed("write", path, cause);
  }
  const others = await readTokenFile(path);
  if (others !== null) return others;
  throw new MomError(
    "option_invalid",
    `Cannot read token file "${path}": it was removed meanwhile`,
  );
}

/**
 * The token in a file, or `null` when there is no such file.
 *
 * @throws {MomError} `option_invalid` if it holds no token or cannot be read.
 */
export async function readTokenFile(path: string): Promise<string | null> {
  let text: string;
  try {
    text = await Deno.readTextFile(path);
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) return null;
    throw failed("read", path, cause);
  }
  return checkToken(text.trim(), `file "${path}"`);
}

/**
 * The token that this operating-system user's programs have for an address of
 * this machine: handed on in the process, else in its well-known file. `null` for
 * other machines, and where there is none.
 *
 * @throws {MomError} `option_invalid` if its file holds no token or cannot be
 *   read.
 */
export async function findToken(
  address: AddressLike,
  options: TokenOptions = {},
): Promise<string | null> {
  for (const candidate of candidates(parseAddress(address))) {
    const token = handedToken(candidate) ??
      await readIfAllowed(findTokenPath(candidate, options));
    if (token !== null) return token;
  }
  return null;
}

/**
 * Compares two tokens without telling by its time how much of them is equal.
 *
 * @param given What somebody sent.
 * @param expected The token.
 */
export function isSameToken(given: string, expected: string): boolean {
  const encoder = new TextEncoder();
  const left = encoder.encode(given);
  const right = encoder.encode(expected);
  let difference = left.length ^ right.length;
  for (let index = 0; index < right.length; index++) {
    difference |= (left[index] ?? 0) ^ right[index]!;
  }
  return difference === 0;
}

function findTokenPath(address: Address, options: TokenOptions): string | null {
  if (isUnixAddress(address)) return `${address.path}.token`;
  const folder = findStateFolder(options);
  if (folder === null) return null;
  // Not every file system takes a colon in a name.
  const host = address.hostname.toLowerCase().replaceAll(":", "-");
  return `${folder}/tokens/${host}_${address.port}`;
}

/** The address itself, then the other names that the same listener may go by. */
function candidates(address: Address): Address[] {
  if (isUnixAddress(address)) return [address];
  const { hostname, port } = address;
  if (!isLoopbackHost(hostname) && !isAnyHost(hostname)) return [];
  const others = LOCAL_HOSTS.filter((host) => host !== hostname);
  return [hostname, ...others].map((host) => ({ hostname: host, port }));
}

/** As a library: a file that may not be read is a token that is not there. */
async function readIfAllowed(path: string | null): Promise<string | null> {
  if (path === null) return null;
  const { state } = await Deno.permissions.query({ name: "read", path });
  return state === "granted" ? await readTokenFile(path) : null;
}

/** Whether the file came into being by this call: whole, or not at all. */
async function writeTokenFile(
  path: string,
  token: string,
  draftName: string,
): Promise<boolean> {
  await makePrivateFolder(folderOf(path));
  const draft = `${path}.${draftName.slice(0, 16)}`;
  try {
    const file = await Deno.open(draft, {
      write: true,
      createNew: true,
      mode: 0o600,
    });
    try {
      await file.write(new TextEncoder().encode(`${token}\n`));
      await file.sync();
    } finally {
      file.close();
    }
    // Unlike a rename, a link never replaces what is there.
    await Deno.link(draft, path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) return false;
    throw error;
  } finally {
    await removeIfThere(draft);
  }
}

async function removeIfThere(path: string): Promise<void> {
  try {
    await Deno.remove(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

function folderOf(path: string): string {
  const end = Math.max(path.lastIndexOf("/"), path.lastIndexOf("\\"));
  return end === -1 ? "." : path.slice(0, end) || "/";
}

function failed(doing: string, path: string, cause: unknown): MomError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new MomError(
    "option_invalid",
    `Cannot ${doing} token file "${path}": ${reason}`,
    { cause },
  );
}
