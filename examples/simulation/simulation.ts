/**
 * What makes a simulation: resources, actors, rules and a picture.
 *
 * @module
 */

import type { Mom } from "../../mod.ts";
import type { Coordinator } from "../../coordinator/mod.ts";
import type { Card } from "./actor.ts";
import type { Cast } from "./cast.ts";
import type { Chronicle } from "./chronicle.ts";
import type { Condition } from "./conditions.ts";
import type { CommonEvent, Entry, ResourceKind } from "./entry.ts";
import type { Pace } from "./pace.ts";
import type { Random } from "./random.ts";
import type { Line, Size } from "./screen.ts";
import type { Settings } from "./flags.ts";
import type { Stage } from "./stage.ts";

/** A semaphore or a shared value, as it begins. */
export interface Resource {
  /** Which of the two. */
  what: ResourceKind;
  /** Its name at the coordinators. */
  name: string;
  /** What it begins with. */
  is: number;
}

/** What shows a simulation; told of each entry. */
export interface View<E> {
  /** Takes in what happened; gives it as a line, `null` if it is not worth one. */
  take(entry: Entry<E>): string | null;
  /** The picture as it is now. */
  draw(size: Size): Line[];
}

/** What the one who runs a simulation works with. */
export interface Company<E> {
  /** The flags. */
  settings: Settings;
  /** Its own handle. */
  mom: Mom;
  /** Its way to semaphores and shared values. */
  coordinator: Coordinator;
  /** The log. */
  chronicle: Chronicle<E>;
  /** The actors. */
  cast: Cast;
  /** Broker, daemons and coordinators. */
  stage: Stage;
  /** Its time. */
  pace: Pace;
  /** Its chance. */
  random: Random;
  /** Aborted when nobody new is to be let in. */
  closing: AbortSignal;
  /** The card for an actor, which is put at one of the daemons, going round. */
  card(name: string, id: number): Card;
}

/** A simulation. */
export interface Simulation<E extends { kind: string }> {
  /** What it is called; its topics begin with that. */
  name: string;
  /** What stands at its end if all went well. */
  lastWords: string;
  /** Semaphores and values. */
  resources(settings: Settings): Resource[];
  /** What a log must show. */
  conditions: readonly Condition<E | CommonEvent>[];
  /** Makes its picture. */
  view(settings: Settings): View<E | CommonEvent>;
  /** Whether a first Ctrl+C only lets nobody new in. */
  closesGently(settings: Settings): boolean;
  /** Plays it, until all actors have ended. */
  perform(company: Company<E>): Promise<void>;
}
