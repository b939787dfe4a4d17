/**
 * Counts the tests of a JUnit report: `N passed, N failed`, and skipped ones if
 * there are any. Ends with 1 when a test failed or there was none.
 *
 * @module
 */

/** What became of the tests of a report. */
export interface TestCounts {
  /** How many passed. */
  passed: number;
  /** The names of those that failed. */
  failed: string[];
  /** How many were left out. */
  skipped: number;
}

const TESTCASE =
  /<testcase\s+name="([^"]*)"[^>]*?(?:\/>|>([\s\S]*?)<\/testcase>)/g;

/**
 * Counts the tests of a report. Steps are reported as tests too, and a failing
 * one twice: their names hold ` > ` and do not count.
 */
export function countTests(report: string): TestCounts {
  const counts: TestCounts = { passed: 0, failed: [], skipped: 0 };
  for (const [, name = "", content = ""] of report.matchAll(TESTCASE)) {
    if (/ (>|&gt;) /.test(name)) continue;
    if (/<(failure|error)\b/.test(content)) counts.failed.push(name);
    else if (/<skipped\b/.test(content)) counts.skipped++;
    else counts.passed++;
  }
  return counts;
}

/** The lines that tell the counts; the last one is the sum. */
export function toLines({ passed, failed, skipped }: TestCounts): string[] {
  const sum = `${passed} passed, ${failed.length} failed`;
  return [
    ...failed.map((name) => `failed: ${name}`),
    skipped > 0 ? `${sum}, ${skipped} skipped` : sum,
  ];
}

if (import.meta.main) {
  // Tests that did not get as far as a report leave an empty file.
  const counts = countTests(await Deno.readTextFile(Deno.args[0]!));
  const lines = toLines(counts).map((line) => `${line}\n`).join("");
  await Deno.stdout.write(new TextEncoder().encode(lines));
  Deno.exit(counts.failed.length > 0 || counts.passed === 0 ? 1 : 0);
}
