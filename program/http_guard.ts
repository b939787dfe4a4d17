/**
 * Whom the HTTP side lets in: right host, no foreign page, right token.
 *
 * A browser can be made to send requests to this machine: under a foreign name
 * that resolves to it (told by Host), or from a foreign page (told by Origin).
 *
 * @module
 */

import { isAnyHost, isLoopbackHost } from "../protocol/address.ts";
import { isSameToken } from "./tokens.ts";

/** Why a request is refused. */
export interface Refusal {
  /** 401: the token; 403: the host or the origin. */
  status: 401 | 403;
  /** What is wrong, for people. */
  message: string;
}

/** A name or address and perhaps a port: nothing that a URL would read as more. */
const HOST = /^(?:[\w.-]+|\[[0-9a-fA-F:.]+\])(?::\d+)?$/;

const IP_LITERAL = /^(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-f:.]*:[0-9a-f:.]*)$/;

/**
 * Checks Host and Origin.
 *
 * @param headers The request's headers.
 * @param listening The host that the server listens on.
 * @returns `null` if all is well.
 */
export function refuseForeign(
  headers: Headers,
  listening: string,
): Refusal | null {
  const host = headers.get("host") ?? "";
  const hostname = HOST.test(host) ? hostnameOf(`http://${host}`) : null;
  if (hostname === null || !isOurs(hostname, listening)) {
    return {
      status: 403,
      message: `Cannot answer for host "${host}": not this server's name`,
    };
  }
  const origin = headers.get("origin");
  if (origin === null || isSameOrigin(origin, host)) return null;
  return {
    status: 403,
    message: `Cannot answer a page of "${origin}": not this server's page`,
  };
}

/**
 * Checks the bearer token.
 *
 * @param headers The request's headers.
 * @param token The token; `null` lets everybody in.
 * @returns `null` if all is well.
 */
export function refuseStranger(
  headers: Headers,
  token: string | null,
): Refusal | null {
  if (token === null) return null;
  const given = /^Bearer +(\S+) *$/i.exec(headers.get("authorization") ?? "");
  if (isSameToken(given?.[1] ?? "", token)) return null;
  // The same whatever is wrong with it.
  return {
    status: 401,
    message:
      "Cannot answer without the token: send Authorization: Bearer TOKEN",
  };
}

function isOurs(hostname: string, listening: string): boolean {
  if (isLoopbackHost(hostname)) return true;
  if (hostname === listening.toLowerCase()) return true;
  // Listening everywhere, our names are unknown; but no foreign name is a number.
  return isAnyHost(listening) && IP_LITERAL.test(hostname);
}

function isSameOrigin(origin: string, host: string): boolean {
  const scheme = /^https?:\/\//.exec(origin)?.[0];
  return scheme !== undefined &&
    origin.slice(scheme.length).toLowerCase() === host.toLowerCase();
}

function hostnameOf(url: string): string | null {
  const parsed = URL.parse(url);
  if (parsed === null || parsed.hostname === "") return null;
  return parsed.hostname.replace(/^\[(.*)\]$/, "$1");
}
