/**
 * What this software calls itself.
 *
 * @module
 */

import config from "../deno.json" with { type: "json" };

/** The version of mom, as released. */
export const VERSION: string = config.version;

/** Name and version, as told in HELLO and WELCOME. */
export const SOFTWARE: string = `mom/${VERSION}`;
