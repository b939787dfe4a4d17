/**
 * Which filter takes which topic, written a second time and by another road
 * than the product's: what judges must not lean on what is judged.
 *
 * @module
 */

/**
 * Whether `filter` takes `topic`: `+` stands for one level, a last `#` for that
 * level and all below, neither for a first level that begins with `$`.
 */
export function filterTakes(filter: string, topic: string): boolean {
  if (topic.startsWith("$") && /^[+#]/.test(filter)) return false;
  return patternOf(filter).test(topic);
}

const patterns = new Map<string, RegExp>();

function patternOf(filter: string): RegExp {
  const known = patterns.get(filter);
  if (known !== undefined) return known;
  const levels = filter.split("/");
  const below = levels.at(-1) === "#";
  if (below) levels.pop();
  const head = levels
    .map((level) => level === "+" ? "[^/]*" : escapeLevel(level))
    .join("/");
  const tail = !below ? "" : levels.length === 0 ? ".*" : "(?:/.*)?";
  const pattern = new RegExp(`^${head}${tail}$`, "su");
  patterns.set(filter, pattern);
  return pattern;
}

function escapeLevel(level: string): string {
  return level.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&");
}
