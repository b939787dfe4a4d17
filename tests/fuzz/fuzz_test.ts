import assert from "node:assert/strict";
import { runFuzz } from "./campaign.ts";

/** Another seed each time; a failure names that of its round. */
const seed = Date.now() % 1_000_000;
const FRAMES = 200_000;

Deno.test(`${FRAMES} damaged frames break neither codec, broker, daemon nor apps`, async () => {
  const report = await runFuzz({ frames: FRAMES, seed });
  assert(report.frames >= FRAMES);
  // It got past the codec, and deep enough to be refused for many reasons.
  assert(report.accepted > FRAMES / 10);
  for (const code of ["bad_message", "bad_frame", "unsupported"]) {
    assert((report.errors.get(code) ?? 0) > 100, code);
  }
  assert(report.errors.has("out_of_sequence"));
});
