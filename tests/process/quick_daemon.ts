/**
 * The daemon with a heartbeat of 300 ms, for tests that wait for silence.
 *
 * @module
 */

import { LIMITS } from "../../protocol/limits.ts";

Object.assign(LIMITS, { heartbeatMs: 300 });
await import("../../daemon/main.ts");
