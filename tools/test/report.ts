/**
 * One JUnit report of several.
 *
 * @module
 */

const SUITES = /<testsuites\b([^>]*)>([\s\S]*)<\/testsuites>/;
const SUMS = ["tests", "failures", "errors", "time"] as const;

/** Puts the suites of all reports into one; a lane that got to none has "". */
export function mergeReports(reports: readonly string[]): string {
  const sums = new Map<string, number>();
  let suites = "";
  for (const report of reports) {
    const [, attributes = "", content = ""] = SUITES.exec(report) ?? [];
    for (const name of SUMS) {
      const told = new RegExp(`\\b${name}="([\\d.]+)"`).exec(attributes);
      sums.set(name, (sums.get(name) ?? 0) + Number(told?.[1] ?? 0));
    }
    suites += content.trimEnd();
  }
  const told = SUMS.map((name) => {
    const sum = sums.get(name) ?? 0;
    return `${name}="${name === "time" ? sum.toFixed(3) : sum}"`;
  });
  return '<?xml version="1.0" encoding="UTF-8"?>\n' +
    `<testsuites name="deno test" ${told.join(" ")}>${suites}\n` +
    "</testsuites>\n";
}
