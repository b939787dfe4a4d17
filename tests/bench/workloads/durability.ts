/**
 * Whether acknowledged means synced: the syncs that strace sees at the server, by
 * acknowledged message (one in flight) and by commit (many in flight). Ours fails
 * below one; a peer's figure tells what its acknowledgement is worth.
 *
 * @module
 */

import { TempFolder } from "../../helpers/temp_folder.ts";
import type { BenchApp } from "../bench_app.ts";
import type { Contestant, Stage } from "../contestant.ts";
import { MomStage } from "../mom_stage.ts";
import type { Outcome } from "../row.ts";
import { countSyncs } from "../strace.ts";
import { TOPIC, type Workload } from "../workload.ts";

const ONE_BY_ONE = 300;
const AT_ONCE = 20_000;
/** Commits are made durable by syncs of the log that SQLite writes ahead. */
const LOG_OF_COMMITS = "-wal";

/** Syncs for each acknowledged message, or for each commit. */
export const durability: Workload = {
  takes: ({ isDurable }) => isDurable,
  isOfEverySize: false,
  async run({ contestant, bytes }) {
    await using folder = await TempFolder.make();
    const tracePath = `${folder.path}/syncs`;
    await using stage = await contestant.start({ tracePath });
    await using writer = await stage.startApp("writer");
    const message = { topic: TOPIC, bytes };
    // The first of all makes the topic, and whatever else there is to make.
    await writer.call({ do: "step", ...message, seconds: 10, count: 1 });
    const watch = new Watch(stage, writer, tracePath);
    const step = await watch.during({
      do: "step",
      ...message,
      seconds: 60,
      count: ONE_BY_ONE,
    });
    const single = outcomeOf("one in flight", "syncs/ack", step);
    if ((step.commits ?? Infinity) < step.acknowledged) {
      single.failure = "two were acknowledged by one commit";
    }
    const outcomes = [single];
    if (step.commits !== null) {
      const count = AT_ONCE;
      const flood = await watch.during({ do: "flood", ...message, count });
      outcomes.push(outcomeOf("many in flight", "syncs/commit", flood));
    }
    return outcomes.map((each) => judged(contestant, each));
  },
};

interface Watched {
  acknowledged: number;
  syncs: number;
  /** Only ours tells. */
  commits: number | null;
}

/** Counts what happens during a command. */
class Watch {
  readonly #stage: Stage;
  readonly #app: BenchApp;
  readonly #path: string;

  constructor(stage: Stage, app: BenchApp, path: string) {
    this.#stage = stage;
    this.#app = app;
    this.#path = path;
  }

  async during(command: Parameters<BenchApp["call"]>[0]): Promise<Watched> {
    const syncs = await this.#syncs();
    const commits = await this.#commits();
    const { count } = await this.#app.call<{ count: number }>(command);
    // In this order: a commit that is counted has been synced before.
    const commitsAfter = await this.#commits();
    return {
      acknowledged: count,
      syncs: await this.#syncs() - syncs,
      commits: commits === null ? null : commitsAfter! - commits,
    };
  }

  async #syncs(): Promise<number> {
    const trace = await Deno.readTextFile(this.#path);
    const isOurs = this.#stage instanceof MomStage;
    return countSyncs(trace, isOurs ? LOG_OF_COMMITS : "");
  }

  async #commits(): Promise<number | null> {
    if (!(this.#stage instanceof MomStage)) return null;
    const { store } = await this.#stage.cluster.brokerStatus();
    return store.position;
  }
}

function outcomeOf(
  variant: string,
  unit: string,
  { syncs, commits, acknowledged }: Watched,
): Outcome {
  const by = unit === "syncs/ack" ? acknowledged : commits!;
  return {
    variant,
    value: syncs / by,
    unit,
    messages: acknowledged,
    lost: 0,
    reordered: 0,
  };
}

function judged({ peer }: Contestant, outcome: Outcome): Outcome {
  const isTooFew = peer === "mom" && outcome.value < 1;
  if (!isTooFew) return outcome;
  return { ...outcome, failure: "acknowledged without a sync" };
}
