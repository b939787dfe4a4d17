/**
 * A door of the museum: lets in while there is a free place, lets out always.
 *
 * @module
 */

import {
  act,
  type Actor,
  holding,
  readValue,
  receiveUntil,
  writeValue,
} from "../simulation/actor.ts";
import {
  type Answer,
  type DoorRequest,
  doorTopic,
  type MuseumEvent,
  personTopic,
  type Request,
  SEM_CAPACITY,
  SHM_CAPACITY,
} from "./event.ts";

async function standThere(actor: Actor<MuseumEvent>): Promise<void> {
  const { mom, closing, pace, card } = actor;
  const door = card.id;
  await mom.subscribe(doorTopic(door));
  actor.record({ kind: "ready" });
  while (true) {
    const asked = await receiveUntil<DoorRequest>(mom, closing);
    if (asked === null) return;
    const { person, request } = asked;
    await pace.pause(card.settings.doorSeconds!);
    const answer = await holding(actor, SEM_CAPACITY, async () => {
      const answer = await decide(actor, request);
      actor.record({ kind: "decides", person, door, request, answer });
      return answer;
    });
    await mom.publish(personTopic(person), {
      from: "door",
      door,
      request,
      answer,
    });
  }
}

async function decide(
  actor: Actor<MuseumEvent>,
  request: Request,
): Promise<Answer> {
  const free = await readValue(actor, SHM_CAPACITY);
  if (request === "enter" && free <= 0) return "rejected";
  await writeValue(
    actor,
    SHM_CAPACITY,
    request === "enter" ? free - 1 : free + 1,
  );
  return "accepted";
}

if (import.meta.main) await act(standThere);
