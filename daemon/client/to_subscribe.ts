/**
 * A subscription's options as they go over the wire (PROTOCOL 5.10).
 *
 * @module
 */

import type { Subscribe } from "../../protocol/messages.ts";
import type { SubscribeSettings } from "./option_checks.ts";

/** The message that asks for a subscription. */
export function toSubscribe(
  request: number,
  ref: number,
  filter: string,
  { from, ack, echo }: SubscribeSettings,
): Subscribe {
  const base = {
    type: "SUBSCRIBE" as const,
    request,
    ref,
    filter,
    manual: ack === "manual",
    echo,
  };
  if (typeof from === "string") return { ...base, from, fromValue: 0 };
  if ("offset" in from) {
    return { ...base, from: "offset", fromValue: from.offset };
  }
  const time = Math.max(0, from.time.getTime());
  return { ...base, from: "time", fromValue: time };
}
