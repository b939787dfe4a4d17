/**
 * What a handle has to tell of what others did, as events.
 *
 * @module
 */

import type { MessageNamed } from "../../protocol/messages.ts";
import type { MomEvent } from "./events.ts";

/** The store of whom a handle is connected to is another one. */
export function replacedNews(whose: string, epoch: unknown): MomEvent {
  const reason = `the ${whose}'s store was replaced, it has epoch ${epoch} now`;
  return { type: "replaced", reason };
}

/** What had been acknowledged is not in that store. */
export function lostNews(topic: string, count: number): MomEvent {
  const reason = `${count} of "${topic}" had been acknowledged and may be gone`;
  return { type: "lost", topic, count, reason };
}

/** What a daemon tells, or `null`: nothing for apps. */
export function newsOf(
  { kind, details }: MessageNamed<"NOTICE">,
): MomEvent | null {
  const of = (key: string) => String(details?.get(key) ?? "unknown");
  switch (kind) {
    case "epoch":
      return replacedNews("broker", details?.get("to"));
    case "lost":
      return lostNews(
        String(details?.get("topic")),
        Number(details?.get("count")),
      );
    case "rejected": {
      const what = `${of("count")} of "${of("topic")}"`;
      const reason = `${what}: ${of("code")}: ${of("message")}`;
      return { type: "rejected", reason };
    }
    default:
      return null;
  }
}
