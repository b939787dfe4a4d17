import assert from "node:assert/strict";
import { systemClock } from "../../protocol/clock.ts";
import { Heartbeats } from "../../protocol/heartbeats.ts";
import { LIMITS } from "../../protocol/limits.ts";
import { Peer } from "../../protocol/peer.ts";
import { Unread } from "../../protocol/unread.ts";
import { memoryPair } from "../../transport/memory.ts";

/** A server's peer whose client reads nothing. */
function unreadPeer(unread: Unread): Peer {
  const [stream] = memoryPair();
  return new Peer({
    stream,
    clock: systemClock,
    heartbeats: new Heartbeats(systemClock),
    frameBytesMax: 1,
    isServer: true,
    unread,
  });
}

/** A message that is as good as any. */
function fill(peer: Peer, bytes: number): void {
  const message = "x".repeat(LIMITS.textLength);
  for (let sent = 0; sent < bytes; sent += message.length) {
    peer.send({
      type: "ERROR",
      request: null,
      code: "closed",
      message,
      details: null,
    });
  }
}

Deno.test("[P-1.3] many who leave some unread are given as little as one who leaves all", () => {
  const unread = new Unread();
  const peers: Peer[] = [];
  while (unread.bytes <= LIMITS.unreadBytesOfAll) {
    const peer = unreadPeer(unread);
    fill(peer, LIMITS.unreadDeliverBytes - 2 ** 20);
    assert.equal(peer.isClogged, unread.bytes > LIMITS.unreadBytesOfAll);
    peers.push(peer);
  }
  const late = unreadPeer(unread);
  assert.equal(late.isClogged, false);
  fill(late, 100_000);
  assert.equal(late.isClogged, true);
  // Whoever goes makes room.
  for (const peer of peers.splice(0, 5)) peer.abort();
  assert.equal(late.isClogged, false);
  for (const peer of peers) peer.abort();
  late.abort();
  assert.equal(unread.bytes, 0);
});

Deno.test("Unread counts down as the other side reads", async () => {
  const unread = new Unread();
  const [near, far] = memoryPair();
  const peer = new Peer({
    stream: near,
    clock: systemClock,
    heartbeats: new Heartbeats(systemClock),
    frameBytesMax: 1,
    unread,
  });
  fill(peer, 300_000);
  assert(unread.bytes > 300_000);
  const draining = peer.drained();
  let read = 0;
  const reading = (async () => {
    for (let c = await far.read(); c !== null; c = await far.read()) {
      read += c.length;
    }
  })();
  await draining;
  assert.equal(unread.bytes, 0);
  peer.abort();
  await reading;
  assert(read > 300_000);
});
