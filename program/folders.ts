/**
 * Where things lie by default, and folders that only their owner can enter.
 *
 * @module
 */

import { resolve } from "node:path";
import { type AddressLike, parseAddress } from "../protocol/address.ts";
import { MomError } from "../protocol/errors.ts";
import { toMachineName } from "../protocol/names.ts";
import { processEnvironment, type ReadEnvironment } from "./environment.ts";

/** Where daemons listen by default on systems without unix sockets. */
export const DAEMON_LOOPBACK_ADDRESS = "127.0.0.1:6272";

/** Options of the functions here. */
export interface FolderOptions {
  /** @default {processEnvironment} */
  environment?: ReadEnvironment;
}

/**
 * mom's part of the user's state folder: `$XDG_STATE_HOME/mom`, by default
 * `~/.local/state/mom`.
 *
 * @throws {MomError} `option_invalid` if the environment names no such folder.
 */
export function stateFolder(options: FolderOptions = {}): string {
  const folder = findStateFolder(options);
  if (folder !== null) return folder;
  throw new MomError(
    "option_invalid",
    "Cannot choose a folder: neither XDG_STATE_HOME nor HOME is set, or " +
      "reading them is not allowed",
  );
}

/** As {@linkcode stateFolder}, but `null` where the environment names none. */
export function findStateFolder(options: FolderOptions = {}): string | null {
  const { environment = processEnvironment } = options;
  const state = environment("XDG_STATE_HOME");
  // The base directory rules have relative paths ignored.
  if (state !== undefined && isAbsolute(state)) return `${state}/mom`;
  const home = environment("HOME");
  return home === undefined ? null : `${home}/.local/state/mom`;
}

/** Where a broker keeps its data by default. */
export function brokerDataFolder(options: FolderOptions = {}): string {
  return `${stateFolder(options)}/broker`;
}

/** Where the daemon of `machine` keeps its data by default. */
export function daemonDataFolder(
  machine: string,
  options: FolderOptions = {},
): string {
  return `${stateFolder(options)}/daemon/${machine}`;
}

/** Where a daemon with its data in `data` listens by default. */
export function daemonSocketAddress(data: string): string {
  return Deno.build.os === "windows"
    ? DAEMON_LOOPBACK_ADDRESS
    : `unix:${data}/mom.sock`;
}

/**
 * Where an app looks for its daemon when it is told nothing: `MOM_DAEMON`, else
 * the default address of the daemon that is named like this host.
 *
 * @throws {MomError} `option_invalid` if the environment gives no answer.
 */
export function defaultDaemonAddress(
  options: FolderOptions = {},
): AddressLike {
  const { environment = processEnvironment } = options;
  const told = environment("MOM_DAEMON");
  if (told !== undefined) return parseAddress(told);
  if (Deno.build.os === "windows") return DAEMON_LOOPBACK_ADDRESS;
  return daemonSocketAddress(daemonDataFolder(defaultMachine(), options));
}

/**
 * The machine's name when none is given: the host's name, with a hyphen for what
 * no name may have.
 *
 * @throws {MomError} `option_invalid` if reading it is not allowed.
 */
export function defaultMachine(): string {
  const kind = "hostname";
  if (Deno.permissions.querySync({ name: "sys", kind }).state !== "granted") {
    throw new MomError(
      "option_invalid",
      "Cannot name this machine: the host name may not be read " +
        "(--allow-sys=hostname), and no name is given",
    );
  }
  return toMachineName(Deno.hostname());
}

/**
 * A data folder as given, made absolute, so that what is printed means the same
 * everywhere. `:memory:` and a URL stay as they are.
 */
export function toAbsoluteData(data: string): string {
  const isFolder = data !== ":memory:" && !/^https?:\/\//.test(data);
  return isFolder ? resolve(data) : data;
}

/** Makes a folder, and those above it, that only its owner can enter (0700). */
export async function makePrivateFolder(path: string): Promise<void> {
  await Deno.mkdir(path, { recursive: true, mode: 0o700 });
}

function isAbsolute(path: string): boolean {
  return path.startsWith("/") || /^[A-Za-z]:[\\/]/.test(path);
}
