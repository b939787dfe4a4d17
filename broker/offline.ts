/**
 * Work on a broker's data while no broker runs. It takes the folder as a broker
 * does, so that there is one owner at a time.
 *
 * @module
 */

import { systemClock, systemEntropy } from "../protocol/clock.ts";
import { MomError } from "../protocol/errors.ts";
import { LIMITS } from "../protocol/limits.ts";
import { silentLogger } from "../program/log.ts";
import { sourceOf } from "../storage/backup.ts";
import { Store } from "../storage/store.ts";
import { Core } from "./core/core.ts";
import type { PurgeReport, PurgeWish } from "./core/purging.ts";
import { RETENTION_LIMITS } from "./core/retention.ts";

/**
 * Purges; resolves when that is on disk.
 *
 * @throws {MomError} `data_in_use` while a broker runs; `option_invalid`,
 *   `data_damaged`, `data_version`, `store_unavailable`.
 */
export async function purgeOffline(
  data: string,
  wish: PurgeWish,
): Promise<PurgeReport> {
  await sourceOf(data);
  let failure: unknown = null;
  let core: Core | null = null;
  const store = await Store.open({
    data,
    role: "broker",
    clock: systemClock,
    entropy: systemEntropy,
    onFailed: (error) => failure = error,
    onSeal: () => core?.seal() ?? null,
  });
  try {
    core = new Core({
      store,
      maxMessageBytes: LIMITS.messageBytes,
      retention: RETENTION_LIMITS,
      logger: silentLogger,
      onDefect: (error) => failure = error,
    });
    const report = core.purge(wish);
    await store.committed();
    await core.stop();
    if (failure === null) return report;
    throw new MomError("internal", "Cannot purge: defect", { cause: failure });
  } finally {
    await store.close();
  }
}
