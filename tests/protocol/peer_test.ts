import assert from "node:assert/strict";
import type { ByteStream } from "../../protocol/byte_stream.ts";
import { systemClock, systemEntropy } from "../../protocol/clock.ts";
import { MomError } from "../../protocol/errors.ts";
import { encodeFrame } from "../../protocol/frames.ts";
import {
  acceptPeer,
  connectPeer,
  type Opened,
} from "../../protocol/handshake.ts";
import { Heartbeats } from "../../protocol/heartbeats.ts";
import { LIMITS } from "../../protocol/limits.ts";
import type { Message } from "../../protocol/messages.ts";
import type { Peer } from "../../protocol/peer.ts";
import { FakeClock } from "../helpers/fake_clock.ts";
import { memoryPair } from "../../transport/memory.ts";

const clock = systemClock;
const entropy = systemEntropy;
const HELLO = {
  role: "app",
  machine: null,
  machineKey: null,
  credit: 0,
} as const;
const storeId = new Uint8Array(16);

interface Side {
  got: Message[];
  closed: (MomError | null)[];
}

function recorder(side: Side) {
  return (_peer: Peer) => ({
    onMessage: (message: Message) => {
      side.got.push(message);
      if (message.type === "DESTROY") {
        throw new MomError("name_invalid", "Cannot destroy: no");
      }
    },
    onClose: (reason: MomError | null) => {
      side.closed.push(reason);
    },
  });
}

function accept(
  stream: ByteStream,
  token: string | null,
  side: Side,
): Promise<Opened | null> {
  return acceptPeer(stream, {
    clock,
    entropy,
    heartbeats: new Heartbeats(clock),
    token,
    maxMessageBytes: LIMITS.messageBytes,
    admit: () => ({ role: "broker", machine: "direct", storeId, epoch: 7 }),
    handlers: recorder(side),
  });
}

function connect(stream: ByteStream, token: string | null, side: Side) {
  return connectPeer(stream, {
    clock,
    entropy,
    heartbeats: new Heartbeats(clock),
    token,
    hello: HELLO,
    handlers: recorder(side),
  });
}

const newSide = (): Side => ({ got: [], closed: [] });

async function openBoth(token: string | null = "secret") {
  const [a, b] = memoryPair();
  const server = newSide();
  const client = newSide();
  const accepting = accept(a, token, server);
  const { peer, welcome, done } = await connect(b, token, client);
  const accepted = await accepting;
  assert(accepted !== null);
  return { server, client, peer, welcome, done, accepted };
}

Deno.test("connectPeer() and acceptPeer() open a conversation when the token fits", async () => {
  const { welcome, peer, accepted, server, done } = await openBoth();
  assert.equal(welcome.epoch, 7);
  peer.send({ type: "DETACH", request: 3, ref: 1 });
  assert.equal(await peer.ping(1000), true);
  assert.deepEqual(server.got, [{ type: "DETACH", request: 3, ref: 1 }]);
  await peer.close();
  await done;
  await accepted.done;
  assert.deepEqual(server.closed, [null]);
});

Deno.test("connectPeer() rejects with unauthorized when the token is wrong", async () => {
  const [a, b] = memoryPair();
  const accepting = accept(a, "right", newSide());
  await assert.rejects(connect(b, "wrong", newSide()), {
    code: "unauthorized",
  });
  assert.equal(await accepting, null);
});

Deno.test("[P-3.1] acceptPeer() ends a conversation that does not begin with HELLO", async () => {
  const [a, b] = memoryPair();
  const accepting = accept(a, null, newSide());
  await b.write(
    encodeFrame({ type: "PUBLISH", request: 1 } as unknown as Message),
  );
  await b.write(encodeFrame({ type: "DETACH", request: 1, ref: 1 }));
  assert.equal(await accepting, null);
  b.close();
});

Deno.test("[P-2.4] Peer answers a refused request with its number and goes on", async () => {
  const { client, peer, accepted, done } = await openBoth(null);
  peer.send({ type: "DESTROY", request: 9, name: "ana", incarnation: null });
  peer.send({ type: "SUBSCRIBE", request: 10 } as unknown as Message);
  assert.equal(await peer.ping(1000), true);
  assert.deepEqual(
    client.got.map((m) => m.type === "ERROR" && [m.request, m.code]),
    [[9, "name_invalid"], [10, "bad_message"]],
  );
  await peer.close();
  await done;
  await accepted.done;
});

Deno.test("[P-2.2] Peer ends the conversation at bytes that are no frame", async () => {
  const [a, b] = memoryPair();
  const accepting = accept(a, null, newSide());
  await b.write(new Uint8Array([0x5a, 0xff, 0xff, 0xff, 0xff]));
  assert.equal(await accepting, null);
  b.close();
});

Deno.test("[P-1.2] Peer reads on only when a handler's promise has settled", async () => {
  const [a, b] = memoryPair();
  const gate = Promise.withResolvers<void>();
  const seen: number[] = [];
  const accepting = acceptPeer(a, {
    clock,
    entropy,
    heartbeats: new Heartbeats(clock),
    token: null,
    maxMessageBytes: 1000,
    admit: () => ({ role: "broker", machine: "direct", storeId, epoch: 7 }),
    handlers: () => ({
      onMessage: (message: Message) => {
        if (message.type !== "DETACH") return;
        seen.push(message.request);
        if (message.request === 1) return gate.promise;
      },
      onClose: () => {},
    }),
  });
  const { peer, done } = await connect(b, null, newSide());
  const accepted = await accepting;
  peer.send({ type: "DETACH", request: 1, ref: 1 });
  peer.send({ type: "DETACH", request: 2, ref: 1 });
  await peer.drained();
  const held = await peer.ping(20);
  assert.equal(held, false);
  assert.deepEqual(seen, [1]);
  gate.resolve();
  assert.equal(await peer.ping(1000), true);
  assert.deepEqual(seen, [1, 2]);
  await peer.close();
  await done;
  await accepted?.done;
});

Deno.test("[P-4.2] Peer takes nobody for dead while it reads nothing itself", async () => {
  const [a, b] = memoryPair();
  const time = new FakeClock();
  const gate = Promise.withResolvers<void>();
  const closed: (MomError | null)[] = [];
  const accepting = acceptPeer(a, {
    clock: time,
    entropy,
    heartbeats: new Heartbeats(time, 20),
    token: null,
    maxMessageBytes: 1000,
    admit: () => ({ role: "broker", machine: "direct", storeId, epoch: 7 }),
    handlers: () => ({
      onMessage: () => gate.promise,
      onClose: (reason) => void closed.push(reason),
    }),
  });
  const { peer, done } = await connect(b, null, newSide());
  const accepted = await accepting;
  peer.send({ type: "DETACH", request: 1, ref: 1 });
  await peer.drained();
  // The answer to the PING of a newcomer's opening lies unread, too.
  const isThere = accepted!.peer.ping(50);
  await time.run(150, 5);
  assert.deepEqual(closed, []);
  gate.resolve();
  assert.equal(await isThere, true);
  await peer.close();
  await done;
  await accepted?.done;
});
