/**
 * Addresses: `{ hostname, port }` or `{ path }` in the API, `HOST:PORT` or
 * `unix:PATH` in text (`[::1]:6270` for IPv6). Either form is taken everywhere.
 *
 * @module
 */

import { MomError } from "./errors.ts";

/** A TCP address. */
export interface TcpAddress {
  /** A name or an IP address, IPv6 without brackets. */
  readonly hostname: string;
  /** 0 to 65535; 0 when listening means any free one. */
  readonly port: number;
}

/** A unix socket. */
export interface UnixAddress {
  /** Path of the socket file. */
  readonly path: string;
}

/** Where something listens or is to be reached. */
export type Address = TcpAddress | UnixAddress;

/** An address in either form: text or object. */
export type AddressLike = string | Address;

const UNIX_PREFIX = "unix:";
const BRACKETED = /^\[([0-9a-fA-F:.]+(?:%[\w.-]+)?)\]$/;
const HOST_FORBIDDEN = /[\s/@?#\\[\]\0]/;
const LOOPBACK_V4 = /^(?:::ffff:)?127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/i;
const ANY_HOSTS: readonly string[] = ["0.0.0.0", "::"];

/** Whether `address` is a unix socket's. */
export function isUnixAddress(address: Address): address is UnixAddress {
  return "path" in address;
}

/**
 * Reads an address of either form and checks it.
 *
 * @param address `HOST:PORT`, `unix:PATH`, `{ hostname, port }` or `{ path }`.
 * @returns The address as an object; an IPv6 host without brackets.
 * @throws {TypeError} If it is neither a string nor such an object.
 * @throws {MomError} `option_invalid` if it breaks the rules.
 *
 * @example
 * ```ts
 * import { parseAddress } from "./address.ts";
 *
 * const address = parseAddress("[::1]:6270");
 * if (!("port" in address) || address.hostname !== "::1") throw address;
 * ```
 */
export function parseAddress(address: AddressLike): Address {
  if (typeof address === "string") return parseText(address);
  if (typeof address !== "object" || address === null) {
    throw new TypeError(
      `Cannot read address: expected text or an object, got ${
        address === null ? "null" : typeof address
      }`,
    );
  }
  if ("path" in address) return checkPath(address.path, address.path);
  if (typeof address.hostname !== "string") {
    throw new TypeError("Cannot read address: hostname is no string");
  }
  if (typeof address.port !== "number") {
    throw new TypeError("Cannot read address: port is no number");
  }
  const shown = `${address.hostname}:${address.port}`;
  return checkTcp(address.hostname, address.port, shown);
}

/**
 * An address as text: `HOST:PORT` or `unix:PATH`.
 *
 * @param address Taken as right; a text is handed back as it is.
 */
export function formatAddress(address: AddressLike): string {
  if (typeof address === "string") return address;
  if (isUnixAddress(address)) return UNIX_PREFIX + address.path;
  const { hostname, port } = address;
  return hostname.includes(":")
    ? `[${hostname}]:${port}`
    : `${hostname}:${port}`;
}

/** Whether a host name or IP address means this machine alone. */
export function isLoopbackHost(hostname: string): boolean {
  const name = hostname.toLowerCase();
  return name === "localhost" || name === "::1" || LOOPBACK_V4.test(name);
}

/** Whether a host means every interface: `0.0.0.0` or `::`. */
export function isAnyHost(hostname: string): boolean {
  return ANY_HOSTS.includes(hostname);
}

/** Whether only this machine's programs can reach the address. */
export function isLocalAddress(address: Address): boolean {
  return isUnixAddress(address) || isLoopbackHost(address.hostname);
}

function parseText(text: string): Address {
  if (text.startsWith(UNIX_PREFIX)) {
    return checkPath(text.slice(UNIX_PREFIX.length), text);
  }
  const colon = text.lastIndexOf(":");
  if (colon === -1) throw invalid(text, "expected HOST:PORT or unix:PATH");
  const port = text.slice(colon + 1);
  if (!/^\d{1,5}$/.test(port)) {
    throw invalid(text, "the port is no number from 0 to 65535");
  }
  const host = text.slice(0, colon);
  if (host.includes(":") && !BRACKETED.test(host)) {
    throw invalid(text, "an IPv6 host stands in brackets, [::1]:6270");
  }
  return checkTcp(host, Number(port), text);
}

function checkTcp(host: string, port: number, shown: string): TcpAddress {
  const hostname = BRACKETED.exec(host)?.[1] ?? host;
  if (hostname === "") throw invalid(shown, "the host is empty");
  if (hostname.length > 255) throw invalid(shown, "the host is too long");
  if (HOST_FORBIDDEN.test(hostname)) {
    throw invalid(shown, "the host has a character that no host has");
  }
  if (!Number.isInteger(port) || port < 0 || port > 65535) {
    throw invalid(shown, "the port is no number from 0 to 65535");
  }
  return { hostname, port };
}

function checkPath(path: unknown, shown: unknown): UnixAddress {
  if (typeof path !== "string") {
    throw new TypeError("Cannot read address: path is no string");
  }
  if (path === "") throw invalid(String(shown), "the path is empty");
  if (path.includes("\0")) {
    throw invalid(String(shown), "the path has a zero character");
  }
  return { path };
}

function invalid(shown: string, rule: string): MomError {
  return new MomError(
    "option_invalid",
    `Cannot read address "${shown}": ${rule}`,
  );
}
