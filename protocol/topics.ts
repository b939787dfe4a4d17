/**
 * Topics and filters: what they look like and which filter matches which topic.
 *
 * A topic is levels with `/` between them; a level may be empty. A filter may
 * have `+` as a whole level (any one level) and `#` as its last level (that
 * level and all below, and the level above by itself: `a/#` matches `a`). A
 * wildcard in the first level does not match a topic that begins with `$`:
 * those are mom's own.
 *
 * @module
 */

import { findProblem, forbid, quote } from "./characters.ts";
import { MomError } from "./errors.ts";
import { LIMITS } from "./limits.ts";

const TOPIC_FORBIDDEN = forbid("+#");
const FILTER_FORBIDDEN = forbid("");

const SLASH = 0x2f;
const PLUS = 0x2b;
const HASH = 0x23;
const DOLLAR = 0x24;

/**
 * Makes sure that `topic` can be published to.
 *
 * @param topic 1 to 255 UTF-8 bytes without space, control character, `.` `:`
 *   `!` `+` `#`.
 * @throws {MomError} `topic_invalid`, naming the byte and the rule.
 * @throws {TypeError} When it is no string.
 *
 * @example
 * ```ts
 * import { checkTopic } from "./topics.ts";
 *
 * checkTopic("museum/doors/1");
 * ```
 */
export function checkTopic(topic: string): void {
  requireString(topic, "topic");
  const problem = findProblem(topic, TOPIC_FORBIDDEN, LIMITS.topicBytes);
  if (problem !== null) {
    throw new MomError(
      "topic_invalid",
      `Cannot use topic ${quote(topic)}: ${problem}`,
    );
  }
}

/**
 * Makes sure that `filter` can be subscribed to.
 *
 * @param filter A topic, or one with `+` and a last `#` as whole levels.
 * @throws {MomError} `filter_invalid`, naming the byte or level and the rule.
 * @throws {TypeError} When it is no string.
 */
export function checkFilter(filter: string): void {
  requireString(filter, "filter");
  const problem = findProblem(filter, FILTER_FORBIDDEN, LIMITS.topicBytes) ??
    findMisplacedWildcard(filter);
  if (problem !== null) {
    throw new MomError(
      "filter_invalid",
      `Cannot use filter ${quote(filter)}: ${problem}`,
    );
  }
}

/** Whether a valid filter names one topic: it has no wildcard. */
export function isExactFilter(filter: string): boolean {
  return !filter.includes("+") && !filter.includes("#");
}

/** Whether the topic is one of mom's own: its first level begins with `$`. */
export function isOwnTopic(topic: string): boolean {
  return topic.charCodeAt(0) === DOLLAR;
}

/**
 * Whether a valid filter matches a valid topic. Looks at each character once
 * and allocates nothing.
 *
 * @example
 * ```ts
 * import { matches } from "./topics.ts";
 *
 * if (!matches("museum/+/1", "museum/doors/1")) throw new Error();
 * if (!matches("museum/#", "museum")) throw new Error();
 * if (matches("#", "$mom/events")) throw new Error();
 * ```
 */
export function matches(filter: string, topic: string): boolean {
  const first = filter.charCodeAt(0);
  if ((first === PLUS || first === HASH) && isOwnTopic(topic)) return false;
  let f = 0;
  let t = 0;
  while (true) {
    // Both stand at the beginning of a level.
    const code = filter.charCodeAt(f);
    if (code === HASH) return true;
    if (code === PLUS) {
      f++;
      while (t < topic.length && topic.charCodeAt(t) !== SLASH) t++;
    } else {
      while (f < filter.length && filter.charCodeAt(f) !== SLASH) {
        if (filter.charCodeAt(f) !== topic.charCodeAt(t)) return false;
        f++;
        t++;
      }
      if (t < topic.length && topic.charCodeAt(t) !== SLASH) return false;
    }
    if (f === filter.length) return t === topic.length;
    if (t === topic.length) {
      return f + 2 === filter.length && filter.charCodeAt(f + 1) === HASH;
    }
    f++;
    t++;
  }
}

function findMisplacedWildcard(filter: string): string | null {
  if (isExactFilter(filter)) return null;
  const levels = filter.split("/");
  for (const [index, level] of levels.entries()) {
    if (level === "+" || !/[+#]/.test(level)) continue;
    if (level !== "#") {
      return `level ${index} has a wildcard beside other characters`;
    }
    if (index < levels.length - 1) {
      return `"#" at level ${index} is not the last level`;
    }
  }
  return null;
}

function requireString(value: unknown, what: string): void {
  if (typeof value !== "string") {
    throw new TypeError(
      `Cannot use ${what}: expected a string, got ${typeof value}`,
    );
  }
}
