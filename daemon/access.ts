/**
 * The tokens: what apps must have to be let in by this daemon, what this daemon has
 * to be let in by its broker.
 *
 * @module
 */

import { isLocalAddress, parseAddress } from "../protocol/address.ts";
import { MomError } from "../protocol/errors.ts";
import type { Logger } from "../program/log.ts";
import {
  checkToken,
  findToken,
  makeToken,
  readOrMakeToken,
  readTokenFile,
  tokenPath,
} from "../program/tokens.ts";
import type { DaemonOptions } from "./options.ts";

/** What the token for apps depends on beside the options. */
export interface AccessContext {
  /** Where the daemon listens, with its real port. */
  readonly address: string;
  /** Data in memory: no token file either. */
  readonly isMemory: boolean;
  readonly logger: Logger;
}

/**
 * The token for apps; `null`: everybody is let in.
 *
 * @throws {MomError} `option_invalid`: it listens beyond loopback without one.
 */
export async function readToken(
  options: DaemonOptions,
  context: AccessContext,
): Promise<string | null> {
  const address = parseAddress(context.address);
  const isLocal = isLocalAddress(address);
  if (!isLocal) context.logger.warn("no_tls", { address: context.address });
  if (options.token !== undefined) {
    return checkToken(options.token, 'option "token"');
  }
  if (options.insecureNoToken) return null;
  if (!isLocal && options.tokenFile === undefined) {
    throw new MomError(
      "option_invalid",
      `Cannot listen on ${context.address}: apps belong to this machine; ` +
        "beyond loopback a token is needed",
    );
  }
  if (context.isMemory) return makeToken();
  return await readOrMakeToken(options.tokenFile ?? tokenPath(address));
}

/** The broker's token; `null`: none is known. */
export async function readBrokerToken(
  options: DaemonOptions,
): Promise<string | null> {
  if (options.brokerToken !== undefined) return options.brokerToken;
  if (options.brokerTokenFile !== undefined) {
    return await readTokenFile(options.brokerTokenFile);
  }
  return await findToken(options.broker);
}
