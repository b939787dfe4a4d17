import assert from "node:assert/strict";
import { frameBytesMax, LIMITS } from "../../protocol/limits.ts";

Deno.test("LIMITS are what the documents promise", () => {
  assert.equal(LIMITS.messageBytes, 8_388_608);
  assert.equal(frameBytesMax(LIMITS.messageBytes), 8_388_608 + 65_536);
  assert.equal(LIMITS.helloFrameBytes, 4_096);
  assert.equal(LIMITS.helloMs, 5_000);
  assert.equal(LIMITS.unwelcomedConnections, 256);
  assert.equal(LIMITS.heartbeatMs * LIMITS.heartbeatsMissed, 30_000);
  assert.equal(LIMITS.reconnectMinMs, 100);
  assert.equal(LIMITS.reconnectMaxMs, 5_000);
  assert.equal(LIMITS.unconfirmedTakes, 65_536);
  assert.equal(LIMITS.headerBytes, 16_384);
  assert.equal(LIMITS.valueDepth, 64);
  assert.equal(LIMITS.nameBytes, 64);
  assert.equal(LIMITS.topicBytes, 255);
});

Deno.test("LIMITS leave room in a frame for everything beside the largest message", () => {
  const beside = LIMITS.headerBytes + LIMITS.attributesBytes +
    LIMITS.topicBytes + 2 * LIMITS.nameBytes;
  assert(beside * 2 < LIMITS.frameOverheadBytes);
});
