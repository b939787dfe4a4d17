/**
 * What one sees of the table: who eats, where each stick is, what is in the
 * buffers.
 *
 * @module
 */

import { actorOf, type CommonEvent } from "../simulation/entry.ts";
import { numbers } from "../simulation/numbers.ts";
import type { Line, Size, Span, Style } from "../simulation/screen.ts";
import type { View } from "../simulation/simulation.ts";
import { Story } from "../simulation/story.ts";
import {
  bufferName,
  isProducer,
  type PhilosopherEvent,
  stickName,
} from "./event.ts";
import {
  EMPTY_TABLE,
  type Phase,
  type PhilosopherEntry,
  stepTable,
  type TableState,
} from "./state.ts";

/** Follows the log and draws it. */
export class PhilosopherView implements View<PhilosopherEvent | CommonEvent> {
  readonly #settings: Record<string, number>;
  readonly #story: Story;
  #state: TableState = EMPTY_TABLE;

  /** @param settings The flags. */
  constructor(settings: Record<string, number>) {
    this.#settings = settings;
    this.#story = new Story(settings.speed!);
  }

  /** Takes in what happened. */
  take(entry: PhilosopherEntry): string | null {
    this.#state = stepTable(this.#state, entry);
    this.#story.goTo(entry);
    const what = tellEvent(entry, this.#settings);
    return what === null ? null : this.#story.add(what[0], what[1]);
  }

  /** The picture as it is now. */
  draw({ columns, rows }: Size): Line[] {
    const clock = this.#story.clock;
    const picture = drawTable(this.#state, this.#settings, {
      clock,
      columns,
      rows,
    });
    const room = Math.min(6, rows - picture.length - 1);
    return room > 0 ? [...picture, [], ...this.#story.last(room)] : picture;
  }
}

const PAIR_COLUMNS = 38;

const LEGEND = "◂ ▸ who has the stick, │ nobody; ▪ in the buffer; items so far";

/** Draws a table; in two columns where one does not fit. */
export function drawTable(
  state: TableState,
  settings: Record<string, number>,
  { clock, columns, rows }: Size & { clock: string },
): Line[] {
  const { philosophers = 0, seed, speed } = settings;
  const pairs = numbers(philosophers).filter(isProducer)
    .map((id) => drawPair(state, settings, id));
  const head: Line[] = [
    [
      { text: "  THE PHILOSOPHERS  ", style: "strong" },
      { text: `seed ${seed}, speed ${speed}  `, style: "faint" },
      { text: clock, style: "strong" },
    ],
    [{ text: "  " }, ...summary(state, settings)],
    [{ text: `  ${LEGEND}`, style: "faint" }],
    [],
  ];
  const isWide = columns >= 2 * PAIR_COLUMNS &&
    head.length + pairs.length > rows;
  return [...head, ...(isWide ? inTwoColumns(pairs) : pairs)];
}

function summary(
  state: TableState,
  { philosophers = 0, items = 0, coordinators = 0 }: Record<string, number>,
): Span[] {
  const phases = [...state.phases.values()];
  const count = (phase: Phase) => phases.filter((one) => one === phase).length;
  const done = [...state.counts.values()].reduce((sum, one) => sum + one, 0);
  const spans: Span[] = [{
    text: `${done} of ${philosophers * items} items, ${count("eats")} eat, ` +
      `${count("hungry")} wait, ${count("rests")} rest   coordinators`,
  }];
  for (const index of numbers(coordinators)) {
    const isDown = state.down.has(`coordinator ${index + 1}`);
    spans.push({
      text: ` ${index + 1}${isDown ? "✗" : "✓"}`,
      style: isDown ? "bad" : "good",
    });
  }
  return spans;
}

/**
 * A producer, its buffer, and its consumer. An arrow shows who has the stick, a
 * bar that it lies on the table.
 */
function drawPair(
  state: TableState,
  settings: Record<string, number>,
  producer: number,
): Line {
  const { philosophers = 0, items = 0 } = settings;
  const consumer = producer + 1;
  const left = (producer + philosophers - 1) % philosophers;
  const filled = state.buffers.get(bufferName(producer)) ?? 0;
  const buffer = items <= 8
    ? "▪".repeat(filled) + "·".repeat(Math.max(0, items - filled))
    : `${filled} of ${items}`.padEnd(8);
  return [
    { text: "  " },
    drawStick(state, left, producer),
    drawOne(state, producer),
    { text: ` ${buffer} `, style: filled > 0 ? "busy" : "faint" },
    drawStick(state, producer, consumer),
    drawOne(state, consumer),
  ];
}

const SEEN: Readonly<Record<Phase, [string, Style]>> = {
  away: ["", "faint"],
  sits: ["sits", "faint"],
  hungry: ["waits", "bad"],
  eats: ["eats", "good"],
  rests: ["rests", "plain"],
  gone: ["gone", "faint"],
};

function drawOne(state: TableState, id: number): Span {
  const [word, style] = SEEN[state.phases.get(id) ?? "away"];
  const count = state.counts.get(id) ?? 0;
  return {
    text: `${String(id).padStart(3)} ${word.padEnd(5)} ${count}`,
    style,
  };
}

/** A stick between two, seen by the one on its right. */
function drawStick(state: TableState, stick: number, right: number): Span {
  const holder = state.sticks.get(stickName(stick));
  if (holder === undefined) return { text: "│", style: "faint" };
  return { text: holder === right ? "▸" : "◂", style: "strong" };
}

function inTwoColumns(lines: readonly Line[]): Line[] {
  const half = Math.ceil(lines.length / 2);
  return lines.slice(0, half).map((line, index) => {
    const other = lines[half + index];
    const width = line.reduce((sum, { text }) => sum + [...text].length, 0);
    const gap = { text: " ".repeat(Math.max(1, PAIR_COLUMNS - width)) };
    return other === undefined ? line : [...line, gap, ...other];
  });
}

/** Who does what, in words; `null` for what is not worth them. */
function tellEvent(
  entry: PhilosopherEntry,
  { philosophers, items }: Record<string, number>,
): [string, string] | null {
  switch (entry.kind) {
    case "opened":
      return ["table", `is laid for ${philosophers}, ${items} items each`];
    case "eats":
      return [`philosopher ${entry.id}`, "eats"];
    case "counted":
      return isProducer(entry.id)
        ? [`philosopher ${entry.id}`, `has made item ${entry.count}`]
        : [`philosopher ${entry.id}`, `has taken item ${entry.count}`];
    case "finds_nothing":
      return [`philosopher ${entry.id}`, "finds nothing"];
    case "killed":
      return [entry.program, "is killed with SIGKILL"];
    case "back":
      return [entry.program, "is back"];
    case "ended":
      return [
        entry.actor.replace("-", " "),
        entry.code === 0 ? "has left the table" : `ended with ${entry.code}`,
      ];
    case "closed":
      return [actorOf(entry), "clears the table"];
    default:
      return null;
  }
}
