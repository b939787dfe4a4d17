/**
 * What the log of the philosophers must show. Pure.
 *
 * @module
 */

import {
  allEnded,
  at,
  type Condition,
  oneHolder,
  programsEnded,
  resourcesGone,
  settingsOf,
  trueValues,
  wholeLog,
} from "../simulation/conditions.ts";
import { actorOf, type CommonEvent } from "../simulation/entry.ts";
import { numbers } from "../simulation/numbers.ts";
import {
  bufferName,
  isProducer,
  type PhilosopherEvent,
  producerOf,
  stickName,
  sticksOf,
} from "./event.ts";
import {
  type PhilosopherEntry,
  philosopherOf,
  type TableState,
  walk,
} from "./state.ts";

type Log = readonly PhilosopherEntry[];

/** An entry with the table before and after it. */
interface Moment {
  entry: PhilosopherEntry;
  before: TableState;
  after: TableState;
}

/** All rules of the table. */
export const PHILOSOPHER_CONDITIONS: readonly Condition<
  PhilosopherEvent | CommonEvent
>[] = [
  {
    id: "whole_log",
    text: "the log is whole: every offset once, from opened to closed",
    faults: wholeLog,
  },
  {
    id: "one_holder",
    text: "each stick has one holder at most, and its tokens only grow",
    faults: oneHolder,
  },
  {
    id: "neighbours_apart",
    text: "neighbours never eat at the same time",
    faults: neighboursApart,
  },
  {
    id: "both_sticks",
    text: "who eats has its two sticks, the higher-numbered taken first",
    faults: bothSticks,
  },
  {
    id: "true_values",
    text: "a buffer is read as written last, and only with the stick between",
    faults: (log) => trueValues(log, (buffer) => stickOfBuffer(buffer)),
  },
  {
    id: "buffer_in_bounds",
    text: "0 ≤ buffer ≤ items always",
    faults: (log) => {
      const { items = 0 } = settingsOf(log);
      return each(
        log,
        ({ entry }) =>
          (entry.kind === "reads" || entry.kind === "writes") &&
          (entry.is < 0 || entry.is > items) &&
          `${entry.value} holds ${entry.is}`,
      );
    },
  },
  {
    id: "buffer_balance",
    text: "produced − consumed = buffer, and who finds nothing has found 0",
    faults: bufferBalance,
  },
  {
    id: "all_made",
    text: "each producer has made all its items, each consumer taken as many",
    faults: allMade,
  },
  {
    id: "buffers_empty",
    text: "at the end all buffers are 0",
    faults: buffersEmpty,
  },
  {
    id: "coordinators_killed",
    text:
      "if asked for: each coordinator was killed and started while they ate",
    faults: coordinatorsKilled,
  },
  {
    id: "all_ended",
    text: "every philosopher's process has ended, with 0",
    faults: (log) => allEnded(log, actorsOf(log)),
  },
  {
    id: "programs_ended",
    text: "coordinators, daemons and broker have ended, with 0",
    faults: programsEnded,
  },
  {
    id: "resources_gone",
    text: "all sticks and buffers are gone",
    faults: (log) => {
      const wanted = (settingsOf(log).philosophers ?? 0) * 3 / 2;
      const count = log.filter(({ kind }) => kind === "created").length;
      const faults = resourcesGone(log);
      return count === wanted
        ? faults
        : [...faults, `${count} came into being`];
    },
  },
];

/** What a look at each moment finds. */
function each(log: Log, look: (moment: Moment) => string | false): string[] {
  const faults: string[] = [];
  for (const moment of walk(log)) {
    const fault = look(moment);
    if (fault !== false) faults.push(`${at(moment.entry)}: ${fault}`);
  }
  return faults;
}

function stickOfBuffer(buffer: string): string {
  return stickName(Number(buffer.split("_").at(-1)));
}

function neighboursApart(log: Log): string[] {
  const { philosophers = 0 } = settingsOf(log);
  return each(log, ({ entry, before }) => {
    if (entry.kind !== "eats") return false;
    const { id } = entry;
    const both = [id + 1, id - 1 + philosophers].map((one) =>
      one % philosophers
    );
    const other = both.find((one) => before.phases.get(one) === "eats");
    return other !== undefined && `${id} eats beside ${other}`;
  });
}

function bothSticks(log: Log): string[] {
  const { philosophers = 0 } = settingsOf(log);
  return each(log, ({ entry, before }) => {
    const id = philosopherOf(entry);
    const [first, second] = sticksOf(id, philosophers).map(stickName);
    const has = (stick: string | undefined) =>
      stick !== undefined && before.sticks.get(stick) === id;
    if (entry.kind === "taken") {
      const { semaphore } = entry;
      if (semaphore !== first && semaphore !== second) {
        return `takes ${semaphore}, which is not at hand`;
      }
      return semaphore === second && !has(first) &&
        `takes ${second} before ${first}`;
    }
    return (entry.kind === "eats" || entry.kind === "stops") &&
      (entry.id !== id || !has(first) || !has(second)) &&
      `${entry.kind} without two sticks`;
  });
}

/** The books: every item that was counted moved its buffer by one, once. */
function bufferBalance(log: Log): string[] {
  const books = new Map<string, number>();
  const own = new Map<number, number>();
  const faults = each(log, ({ entry, after }) => {
    if (entry.kind !== "counted" && entry.kind !== "finds_nothing") {
      return false;
    }
    const { id } = entry;
    const buffer = bufferName(producerOf(id));
    const is = after.buffers.get(buffer);
    if (entry.kind === "finds_nothing") {
      return is !== 0 && `${id} finds nothing in ${is}`;
    }
    const book = (books.get(buffer) ?? 0) + (isProducer(id) ? 1 : -1);
    books.set(buffer, book);
    const count = (own.get(id) ?? 0) + 1;
    own.set(id, count);
    if (count !== entry.count) {
      return `${id} counts ${entry.count}, not ${count}`;
    }
    return book !== is && `${buffer} holds ${is} and should hold ${book}`;
  });
  // Whatever was written without being counted shows at the next read.
  return [
    ...faults,
    ...each(log, ({ entry, before }) => {
      if (entry.kind !== "reads") return false;
      const was = before.buffers.get(entry.value);
      return was !== entry.is && `${entry.value} was ${was}, is ${entry.is}`;
    }),
  ];
}

function allMade(log: Log): string[] {
  const { philosophers = 0, items = 0 } = settingsOf(log);
  const counts = new Map<number, number>();
  for (const entry of log) {
    if (entry.kind !== "counted") continue;
    counts.set(entry.id, (counts.get(entry.id) ?? 0) + 1);
  }
  return numbers(philosophers)
    .filter((id) => counts.get(id) !== items)
    .map((id) => `${id} has counted ${counts.get(id) ?? 0}, not ${items}`);
}

function buffersEmpty(log: Log): string[] {
  const { philosophers = 0 } = settingsOf(log);
  return numbers(philosophers).filter(isProducer).flatMap((id) => {
    const last = log.findLast((entry) =>
      entry.kind === "reads" && entry.value === bufferName(id) &&
      actorOf(entry) === "main"
    );
    const found = last?.kind === "reads" ? last.is : "not read";
    return found === 0 ? [] : [`${bufferName(id)} is ${found}, not 0`];
  });
}

function coordinatorsKilled(log: Log): string[] {
  const { coordinators = 0, killCoordinator = 0 } = settingsOf(log);
  if (killCoordinator === 0) return [];
  const first = log.findIndex(({ kind }) => kind === "eats");
  const last = log.findLastIndex(({ kind }) => kind === "eats");
  return numbers(coordinators).flatMap((index) => {
    const program = `coordinator ${index + 1}`;
    const when = (kind: "killed" | "restarts" | "back") =>
      log.findIndex((entry) =>
        entry.kind === kind && entry.program === program
      );
    const [killed, restarts] = [when("killed"), when("restarts")];
    const isMeanwhile = first < killed && killed < restarts && restarts < last;
    const faults = isMeanwhile ? [] : [`${program} not while they ate`];
    return when("back") > restarts
      ? faults
      : [...faults, `${program} not back`];
  });
}

function actorsOf(log: Log): string[] {
  return numbers(settingsOf(log).philosophers ?? 0)
    .map((id) => `philosopher-${id}`);
}
