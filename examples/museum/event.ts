/**
 * What happens in the museum, where its messages go, and what is shared.
 *
 * @module
 */

/** What a person asks of a door. */
export type Request = "enter" | "exit";

/** What it answers. */
export type Answer = "accepted" | "rejected";

/** What happens, beside what happens in every simulation. */
export type MuseumEvent =
  /** A person is sent to the museum. */
  | { kind: "spawned"; person: number }
  /** A person is about to ask at a door. */
  | { kind: "asks"; person: number; door: number; request: Request }
  /** A door has decided, while it holds `sem_capacity`. */
  | {
    kind: "decides";
    person: number;
    door: number;
    request: Request;
    answer: Answer;
  }
  /** A person has been answered. */
  | {
    kind: "answered";
    person: number;
    door: number;
    request: Request;
    answer: Answer;
  }
  /** A person has signed for a tour, while it holds `sem_vacancy`. */
  | { kind: "signs"; person: number; signed: number }
  /** The guide is about to be called, by who holds `sem_vacancy`. */
  | { kind: "calls"; why: "party" | "timeout"; signed: number }
  /** The guide has heard it. */
  | { kind: "wakes" }
  /** The guide takes all who have signed, while it holds `sem_vacancy`. */
  | { kind: "tour"; people: number[] }
  /** A person has the guide's answer, and goes along. */
  | { kind: "joins"; person: number }
  /** Its tour is over. */
  | { kind: "tour_over"; person: number }
  /** A person goes; `strays` messages were there that it did not expect. */
  | { kind: "leaves"; person: number; strays: number };

/** Guards the free places. */
export const SEM_CAPACITY = "sem_capacity";
/** Guards the number of those who have signed. */
export const SEM_VACANCY = "sem_vacancy";
/** Calls the guide. */
export const SEM_TOUR = "sem_tour";
/** The free places. */
export const SHM_CAPACITY = "shm_capacity";
/** How many have signed for the next tour. */
export const SHM_TOUR = "shm_tour";

/** Where the guide is asked. */
export const GUIDE_TOPIC = "museum/guide";

/** Where a door is asked. */
export function doorTopic(door: number): string {
  return `museum/doors/${door}`;
}

/** Where a person is answered. */
export function personTopic(person: number): string {
  return `museum/people/${person}`;
}

/** Asks a door, on its topic. */
export interface DoorRequest {
  person: number;
  request: Request;
}

/** Answers a person, on its topic. */
export type PersonMessage =
  | { from: "door"; door: number; request: Request; answer: Answer }
  | { from: "guide" };

/** Asks the guide, on its topic. */
export interface TourRequest {
  person: number;
}
