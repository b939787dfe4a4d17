/**
 * Sees to it that nobody waits for ever for a party: calls the guide from time to
 * time for those few who have signed.
 *
 * @module
 */

import {
  act,
  type Actor,
  holding,
  readValue,
  unlessAborted,
} from "../simulation/actor.ts";
import { type MuseumEvent, SEM_TOUR, SEM_VACANCY, SHM_TOUR } from "./event.ts";

async function watch(actor: Actor<MuseumEvent>): Promise<void> {
  const { card, pace, closing } = actor;
  actor.record({ kind: "ready" });
  const seconds = card.settings.tourTimeoutSeconds!;
  const isTime = () => pace.pause(seconds, closing).then(() => true);
  while (await unlessAborted(isTime(), closing)) {
    await holding(actor, SEM_VACANCY, () => callForFew(actor));
  }
}

async function callForFew(actor: Actor<MuseumEvent>): Promise<void> {
  const signed = await readValue(actor, SHM_TOUR);
  if (signed === 0 || signed >= actor.card.settings.party!) return;
  actor.record({ kind: "calls", why: "timeout", signed });
  await actor.settled();
  await actor.coordinator.semaphore(SEM_TOUR).signal();
}

if (import.meta.main) await act(watch);
