/**
 * What one sees of the museum: who is where, the free places, the tours.
 *
 * @module
 */

import { numbers } from "../simulation/numbers.ts";
import type { Line, Size, Span } from "../simulation/screen.ts";
import type { View } from "../simulation/simulation.ts";
import { Story } from "../simulation/story.ts";
import type { CommonEvent } from "../simulation/entry.ts";
import type { MuseumEvent } from "./event.ts";
import {
  EMPTY_MUSEUM,
  type MuseumEntry,
  type MuseumState,
  type Place,
  stepMuseum,
} from "./state.ts";

/** Follows the log and draws it. */
export class MuseumView implements View<MuseumEvent | CommonEvent> {
  readonly #settings: Record<string, number>;
  readonly #story: Story;
  #state: MuseumState = EMPTY_MUSEUM;

  /** @param settings The flags. */
  constructor(settings: Record<string, number>) {
    this.#settings = settings;
    this.#story = new Story(settings.speed!);
  }

  /** Takes in what happened. */
  take(entry: MuseumEntry): string | null {
    this.#state = stepMuseum(this.#state, entry);
    this.#story.goTo(entry);
    const what = tellEvent(entry, this.#settings);
    return what === null ? null : this.#story.add(what[0], what[1]);
  }

  /** The picture as it is now. */
  draw({ rows }: Size): Line[] {
    const picture = drawMuseum(this.#state, this.#settings, this.#story.clock);
    const room = Math.min(8, rows - picture.length - 1);
    return room > 0 ? [...picture, [], ...this.#story.last(room)] : picture;
  }
}

/** Draws a museum. */
export function drawMuseum(
  state: MuseumState,
  settings: Record<string, number>,
  clock: string,
): Line[] {
  const { doors = 0, capacity = 0, seed, speed } = settings;
  const { free, signed, tours, inside } = state;
  const full = Math.max(0, capacity - free);
  const places: Span[] = [
    { text: "■".repeat(full), style: "busy" },
    { text: "□".repeat(Math.max(0, free)), style: "good" },
  ];
  return [
    [
      { text: "  THE MUSEUM  ", style: "strong" },
      { text: `seed ${seed}, speed ${speed}  `, style: "faint" },
      { text: clock, style: "strong" },
    ],
    [],
    row("places", [...places, {
      text: `  ${inside.size} inside, ${free} free`,
    }]),
    row("tours", [{ text: `${tours} so far, ${signed} signed for the next` }]),
    [],
    row("on the way", those(state, ({ at }) => at === "coming")),
    ...numbers(doors).map((door) => doorRow(state, door)),
    row("in the rooms", those(state, ({ at }) => at === "rooms", "good")),
    row("wait for tour", those(state, ({ at }) => at === "queue", "busy")),
    row("on a tour", those(state, ({ at }) => at === "tour", "good")),
    [],
    row(
      "went home",
      those(state, (place) => place.at === "gone" && place.visited, "faint"),
    ),
    row(
      "turned away",
      those(state, (place) => place.at === "gone" && !place.visited, "bad"),
    ),
  ];
}

function doorRow(state: MuseumState, door: number): Line {
  const wants = (what: "enter" | "exit") => (place: Place) =>
    place.at === "door" && place.door === door && place.wants === what;
  const [enter, exit] = [
    those(state, wants("enter"), "busy"),
    those(state, wants("exit"), "busy"),
  ];
  const spans: Span[] = [];
  if (enter.length > 0) spans.push({ text: "in " }, ...enter, { text: "  " });
  if (exit.length > 0) spans.push({ text: "out " }, ...exit);
  return row(`door ${door}`, spans);
}

function row(label: string, spans: readonly Span[]): Line {
  return [{ text: `  ${label.padEnd(16)}`, style: "faint" }, ...spans];
}

/** The people who are at a place. */
function those(
  { people }: MuseumState,
  isThere: (place: Place) => boolean,
  style: Span["style"] = "plain",
): Span[] {
  const found = [...people].filter(([, place]) => isThere(place));
  if (found.length === 0) return [];
  return [{ text: found.map(([person]) => person).join(" "), style }];
}

/** Who does what, in words; `null` for what is not worth them. */
function tellEvent(
  entry: MuseumEntry,
  { capacity, people }: Record<string, number>,
): [string, string] | null {
  switch (entry.kind) {
    case "opened":
      return [
        "museum",
        `opens: ${capacity} places, ${people} people will come`,
      ];
    case "spawned":
      return [`person ${entry.person}`, "is on the way"];
    case "asks":
      return [
        `person ${entry.person}`,
        `asks door ${entry.door} to ${entry.request}`,
      ];
    case "decides":
      return [
        `door ${entry.door}`,
        `${entry.answer} person ${entry.person}, ${entry.request}`,
      ];
    case "signs":
      return [`person ${entry.person}`, `signs as number ${entry.signed}`];
    case "calls":
      return entry.why === "party"
        ? ["party", `calls the guide: ${entry.signed} have signed`]
        : ["timeout", `calls the guide: ${entry.signed} have waited`];
    case "tour":
      return entry.people.length === 0
        ? ["guide", "finds nobody"]
        : ["guide", `starts a tour with ${entry.people.join(", ")}`];
    case "tour_over":
      return [`person ${entry.person}`, "has seen it all"];
    case "leaves":
      return [`person ${entry.person}`, "goes home"];
    case "ended":
      return entry.code === 0
        ? null
        : [entry.actor, `ended with ${entry.code}`];
    case "closed":
      return ["museum", "closes"];
    default:
      return null;
  }
}
