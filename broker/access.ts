/**
 * Who is let in: the broker's token.
 *
 * @module
 */

import { isLocalAddress, parseAddress } from "../protocol/address.ts";
import type { Entropy } from "../protocol/clock.ts";
import { MomError } from "../protocol/errors.ts";
import type { Logger } from "../program/log.ts";
import {
  checkToken,
  makeToken,
  readOrMakeToken,
  tokenPath,
} from "../program/tokens.ts";
import type { BrokerOptions } from "./options.ts";

/** What the token depends on beside the options. */
export interface AccessContext {
  /** Where the broker listens, with its real port. */
  readonly address: string;
  /** Data in memory: no token file either. */
  readonly isMemory: boolean;
  readonly entropy: Entropy;
  readonly logger: Logger;
}

/**
 * The token that is asked for; `null`: everybody is let in.
 *
 * @throws {MomError} `option_invalid`: no token can be had, or it listens beyond
 *   loopback without one.
 */
export async function readToken(
  options: BrokerOptions,
  context: AccessContext,
): Promise<string | null> {
  const { address, entropy } = context;
  const isLocal = isLocalAddress(parseAddress(address));
  if (!isLocal) context.logger.warn("no_tls", { address });
  if (options.token !== undefined) {
    return checkToken(options.token, 'option "token"');
  }
  if (options.insecureNoToken === true) return null;
  if (options.tokenFile !== undefined) {
    return await readOrMakeToken(options.tokenFile, { entropy });
  }
  if (!isLocal) {
    throw new MomError(
      "option_invalid",
      `Cannot listen on ${address}: beyond loopback name a token (option token ` +
        "or tokenFile), or let everybody in (insecureNoToken)",
    );
  }
  if (context.isMemory) return makeToken(entropy);
  return await readOrMakeToken(tokenPath(address), { entropy });
}
