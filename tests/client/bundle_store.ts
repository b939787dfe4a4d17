/**
 * What a server stores of what is published to it, by the book (PROTOCOL 8.3 and
 * 8.12).
 *
 * @module
 */

import type { Bundle, Message, Publish } from "../../protocol/messages.ts";
import { partsOf, recordsOf, type Sent } from "./bundles.ts";

/** The store. */
export class BundleStore {
  /** What is stored, in its order. */
  readonly stored: Sent[] = [];
  /** Parts that came out of sequence, or with such a part. */
  late = 0;
  readonly #last = new Map<string, number>();

  /**
   * Takes a message.
   *
   * @param refuses Whether there is no room for a part.
   * @returns The answers, one for each part.
   */
  take(
    message: Publish | Bundle,
    refuses: (part: Publish) => boolean = () => false,
  ): Message[] {
    const { parts } = partsOf(message);
    const before = new Map(parts.map(({ topic }) => [topic, this.#of(topic)]));
    const verdicts = parts.map((part) => this.#judge(part, refuses));
    const isLate = verdicts.includes("late");
    const answers = parts.map((part, i): Message => {
      const { request, topic, firstSequence, count } = part;
      const last = before.get(topic)!;
      if (verdicts[i] === "refused") return refusal(request);
      if (isLate && verdicts[i] !== "known") {
        this.late++;
        return outOfSequence(request, last);
      }
      this.#last.set(topic, Math.max(last, firstSequence + count - 1));
      return { type: "RECEIPT", request, level: 1, offset: null };
    });
    if (isLate) return answers;
    const fresh = new Set(
      parts.filter((_, i) => verdicts[i] === "fresh").map(({ topic }) => topic),
    );
    this.stored.push(
      ...recordsOf(message).filter(({ topic, sequence }) =>
        fresh.has(topic) && sequence > before.get(topic)!
      ),
    );
    return answers;
  }

  /** It is replaced by another one, which has nothing. */
  clear(): void {
    this.#last.clear();
    this.stored.length = 0;
  }

  #of(topic: string): number {
    return this.#last.get(topic) ?? 0;
  }

  #judge(part: Publish, refuses: (part: Publish) => boolean) {
    const { topic, firstSequence, count, previous } = part;
    const last = this.#of(topic);
    if (firstSequence + count - 1 <= last) return "known";
    if (last < previous) return "late";
    // What has begun is finished.
    return last < firstSequence && refuses(part) ? "refused" : "fresh";
  }
}

/** There is no room now. */
export function refusal(request: number): Message {
  const message = "Cannot store: disk is full";
  return {
    type: "ERROR",
    request,
    code: "storage_full",
    message,
    details: null,
  };
}

/** Something before it is missing. */
export function outOfSequence(request: number, last: number): Message {
  return {
    type: "ERROR",
    request,
    code: "out_of_sequence",
    message: "Cannot publish: out of sequence",
    details: new Map([["last", last]]),
  };
}
