/**
 * A coordinator, in this process.
 *
 * @module
 */

import * as v from "../../deps/valibot.ts";
import {
  type AddressLike,
  type Clock,
  type Dialer,
  type Entropy,
  type Logger,
  Mom,
  MomError,
} from "../../mod.ts";
import { GROUP } from "../client/options.ts";
import { COORDINATOR_LIMITS } from "../limits.ts";
import { pause, systemClock, systemEntropy } from "../system.ts";
import { coordinatorUser } from "../topics.ts";
import { Life } from "./life.ts";

/** Options of {@linkcode CoordinatorNode.start}. */
export interface CoordinatorNodeOptions {
  /** Its number, from 1 to `of`; one process at a time has it. */
  id: number;
  /** How many coordinators there are; the same for all of them and all clients. */
  of: number;
  /**
   * The number of coordinators that each shard lies on; the same for all of them.
   *
   * @default {2}
   */
  replicas?: number;
  /**
   * After how many milliseconds of silence another one answers in its place.
   *
   * @default {5_000}
   */
  leaseMs?: number;
  /** The name of the set, if there is more than one at the broker. @default None. */
  group?: string;
  /** The address of its daemon. @default As for `Mom.connect`. */
  daemon?: AddressLike;
  /** The daemon's token. @default As for `Mom.connect`. */
  token?: string;
  /** Where events are told. @default {nowhere} */
  logger?: Logger;
  /** How connections are made; for tests. @default The operating system's network. */
  dialer?: Dialer;
  /** Where the time comes from; for tests. @default The operating system's clock. */
  clock?: Clock;
  /** Where chance comes from; for tests. @default The operating system's. */
  entropy?: Entropy;
}

const count = (max: number, rule: string) =>
  v.pipe(
    v.number(),
    v.safeInteger(rule),
    v.minValue(1, rule),
    v.maxValue(max, rule),
  );
const { leaseMsMin, leaseMsMax } = COORDINATOR_LIMITS;

/** What a coordinator is told, as numbers and text. */
export const NODE_NUMBERS = {
  id: count(10_000, "expected a whole number from 1 to 10000"),
  of: count(10_000, "expected a whole number from 1 to 10000"),
  replicas: count(100, "expected a whole number from 1 to 100"),
  leaseMs: v.pipe(
    v.number(),
    v.safeInteger(),
    v.minValue(leaseMsMin, `expected at least ${leaseMsMin} milliseconds`),
    v.maxValue(leaseMsMax, `expected at most ${leaseMsMax} milliseconds`),
  ),
} as const;

const schema = v.pipe(
  v.object({
    id: NODE_NUMBERS.id,
    of: NODE_NUMBERS.of,
    replicas: v.optional(NODE_NUMBERS.replicas, 2),
    leaseMs: v.optional(
      NODE_NUMBERS.leaseMs,
      COORDINATOR_LIMITS.coordinatorLeaseMs,
    ),
    group: v.optional(
      v.pipe(
        v.string(),
        v.regex(GROUP, "expected at most 24 letters, digits, - or _"),
      ),
      "",
    ),
  }),
  v.forward(
    v.check(({ id, of }) => id <= of, "expected at most the number `of`"),
    ["id"],
  ),
);

/** The options with their defaults. */
interface NodeSettings extends CoordinatorNodeOptions {
  readonly replicas: number;
  readonly leaseMs: number;
  readonly group: string;
}

/** Between two lives. */
const REST_MS = 250;

/**
 * A coordinator: holds the shards that fall to it, and answers for those of which it
 * has the lease. It is a named user of mom, whose mailbox keeps for it what it needs
 * to begin again.
 *
 * @example
 * ```ts ignore
 * await using node = await CoordinatorNode.start({ id: 1, of: 3 });
 * ```
 */
export class CoordinatorNode implements AsyncDisposable {
  readonly #options: NodeSettings;
  readonly #failed = Promise.withResolvers<unknown>();
  #life: Life | null = null;
  readonly #stopped = Promise.withResolvers<null>();
  #isStopped = false;
  #living: Promise<void> = Promise.resolve();

  private constructor(
    options: NodeSettings,
  ) {
    this.#options = options;
  }

  /**
   * Starts a coordinator.
   *
   * @returns When it serves all its shards.
   * @throws {MomError} `option_invalid`; `name_in_use` if another process has its
   *   number; `daemon_unavailable`, `unauthorized`.
   */
  static async start(
    options: CoordinatorNodeOptions,
  ): Promise<CoordinatorNode> {
    const result = v.safeParse(schema, options, { abortEarly: true });
    if (!result.success) {
      const [issue] = result.issues;
      throw new MomError(
        "option_invalid",
        `Cannot start a coordinator: option "${
          v.getDotPath(issue) ?? "options"
        }": ${issue.message}`,
      );
    }
    const node = new CoordinatorNode({ ...options, ...result.output });
    await node.#begin();
    return node;
  }

  /** Its shards. */
  get shards(): number[] {
    return [...this.#life?.replicas.keys() ?? []];
  }

  /** The shards that it answers for at this moment. */
  get leads(): number[] {
    const all = [...this.#life?.replicas ?? []];
    return all.filter(([, { isLeader }]) => isLeader).map(([shard]) => shard);
  }

  /** Resolves with the reason when it cannot go on; never otherwise. */
  get failed(): Promise<unknown> {
    return this.#failed.promise;
  }

  /** Ends it. Its state stays with the others, and in its mailbox. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#stopped.resolve(null);
    await this.#life?.stop();
    await this.#living;
  }

  /** The same as {@linkcode CoordinatorNode.stop}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #begin(): Promise<void> {
    const life = await this.#startLife();
    const failure = await Promise.race([life.ended, Promise.resolve(null)]);
    if (failure?.kind === "failed") {
      await this.stop();
      throw failure.error;
    }
    this.#living = this.#live(life);
  }

  async #live(first: Life): Promise<void> {
    let life = first;
    while (!this.#isStopped) {
      const stopped = this.#stopped.promise;
      const end = await Promise.race([life.ended, stopped]);
      if (end === null || this.#isStopped) return;
      if (end.kind === "replaced") await life.stopAndForget();
      else await life.stop();
      if (end.kind === "failed") return this.#failed.resolve(end.error);
      this.#options.logger?.warn("begins_again", { reason: end.reason });
      try {
        await pause(this.#options.clock ?? systemClock, REST_MS);
        life = await this.#startLife();
      } catch (error) {
        return this.#failed.resolve(error);
      }
    }
  }

  async #startLife(): Promise<Life> {
    const { id, of, replicas, group, leaseMs, daemon, token } = this.#options;
    const { clock = systemClock, entropy = systemEntropy, logger, dialer } =
      this.#options;
    const mom = await Mom.connect({
      name: coordinatorUser(id, of, group),
      ...daemon !== undefined && { daemon },
      ...token !== undefined && { token },
      ...dialer !== undefined && { dialer },
    });
    const life = this.#life = new Life({
      mom,
      clock,
      id,
      of,
      replicas,
      group,
      leaseMs,
      incarnation: entropy.bytes(8).toHex(),
      tell: (event, fields) => logger?.info(event, fields),
    });
    if (this.#isStopped) await life.stop();
    else await life.start();
    return life;
  }
}
