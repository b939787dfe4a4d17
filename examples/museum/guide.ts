/**
 * The museum's guide: waits to be called, then takes along all who have signed.
 *
 * @module
 */

import {
  act,
  type Actor,
  holding,
  readValue,
  receive,
  unlessAborted,
  writeValue,
} from "../simulation/actor.ts";
import {
  GUIDE_TOPIC,
  type MuseumEvent,
  type PersonMessage,
  personTopic,
  SEM_TOUR,
  SEM_VACANCY,
  SHM_TOUR,
  type TourRequest,
} from "./event.ts";

async function guide(actor: Actor<MuseumEvent>): Promise<void> {
  const { mom, coordinator, closing } = actor;
  await mom.subscribe(GUIDE_TOPIC);
  actor.record({ kind: "ready" });
  const called = coordinator.semaphore(SEM_TOUR);
  // A call is used up; it is not to be given back when the guide goes home.
  while (
    await unlessAborted(
      called.wait({ signal: closing, consume: true }),
      closing,
    )
  ) {
    actor.record({ kind: "wakes" });
    await holding(actor, SEM_VACANCY, () => takeParty(actor));
  }
}

async function takeParty(actor: Actor<MuseumEvent>): Promise<void> {
  const { mom } = actor;
  const signed = await readValue(actor, SHM_TOUR);
  const people: number[] = [];
  while (people.length < signed) {
    people.push((await receive<TourRequest>(mom)).person);
  }
  actor.record({ kind: "tour", people });
  await actor.settled();
  const answer: PersonMessage = { from: "guide" };
  for (const person of people) await mom.publish(personTopic(person), answer);
  await writeValue(actor, SHM_TOUR, 0);
}

if (import.meta.main) await act(guide);
