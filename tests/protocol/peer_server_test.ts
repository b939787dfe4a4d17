import assert from "node:assert/strict";
import type { ByteStream } from "../../protocol/byte_stream.ts";
import { systemClock, systemEntropy } from "../../protocol/clock.ts";
import { connectPeer, type Opened } from "../../protocol/handshake.ts";
import { Heartbeats } from "../../protocol/heartbeats.ts";
import { LIMITS } from "../../protocol/limits.ts";
import type { Hello } from "../../protocol/messages.ts";
import { PeerServer } from "../../protocol/peer_server.ts";
import { MemoryNetwork } from "../../transport/memory.ts";

const clock = systemClock;
const entropy = systemEntropy;
const CLOSED = { onMessage: () => {}, onClose: () => {} };

/** A server that lets everybody in, and whom it serves. */
class Stage {
  readonly network = new MemoryNetwork();
  readonly defects: unknown[] = [];
  readonly server: PeerServer;
  readonly #address: string;
  served = 0;
  /** What the next one is asked. */
  onAdmit: (hello: Hello) => void = () => {};

  constructor() {
    const listener = this.network.listen("127.0.0.1:0");
    this.#address = listener.address;
    this.server = new PeerServer({
      clock,
      entropy,
      listener,
      token: null,
      heartbeatMs: LIMITS.heartbeatMs,
      maxMessageBytes: LIMITS.messageBytes,
      admit: (hello) => {
        this.onAdmit(hello);
        const storeId = new Uint8Array(16);
        return { role: "broker", machine: "direct", storeId, epoch: 7 };
      },
      handlers: () => {
        this.served++;
        return { onMessage: () => {}, onClose: () => this.served-- };
      },
      onDefect: (error) => this.defects.push(error),
    });
    this.server.start();
  }

  dial(): Promise<ByteStream> {
    return this.network.dial(this.#address);
  }

  async connect(stream?: ByteStream): Promise<Opened> {
    return await connectPeer(stream ?? await this.dial(), {
      clock,
      entropy,
      heartbeats: new Heartbeats(clock),
      token: null,
      hello: { role: "app", machine: null, machineKey: null, credit: 0 },
      handlers: () => CLOSED,
    });
  }

  async end(): Promise<void> {
    this.server.close();
    await this.server.idle();
  }
}

Deno.test("[P-3.4] PeerServer closes the oldest stranger for each that comes on top", async () => {
  const stage = new Stage();
  const strangers: ByteStream[] = [];
  const isOpen: boolean[] = [];
  const closing: Promise<void>[] = [];
  for (let n = 0; n < LIMITS.unwelcomedConnections + 2; n++) {
    const stream = await stage.dial();
    strangers.push(stream);
    isOpen.push(true);
    closing.push(
      stream.read().then((bytes) => {
        assert.equal(bytes, null);
        isOpen[n] = false;
      }),
    );
  }
  await Promise.all(closing.slice(0, 2));
  // Whoever is let in is no stranger any more: nobody goes for it.
  const [, , third] = strangers;
  third.close();
  await closing[2];
  const { peer, done } = await stage.connect();
  assert.equal(isOpen.filter((each) => !each).length, 3);
  assert.equal(stage.served, 1);
  await peer.close();
  await done;
  await stage.end();
  await Promise.all(closing);
});

Deno.test("PeerServer.close() lets nobody in and leaves who is in until it goes", async () => {
  const stage = new Stage();
  const { peer, done } = await stage.connect();
  const stranger = await stage.dial();
  stage.server.close();
  assert.equal(await stranger.read(), null);
  await assert.rejects(stage.dial());
  assert.equal(await peer.ping(5_000), true);
  let isIdle = false;
  const idle = stage.server.idle().then(() => isIdle = true);
  assert.equal(await peer.ping(5_000), true);
  assert.equal(isIdle, false);
  await peer.close();
  await done;
  await idle;
  assert.equal(stage.served, 0);
});

Deno.test("PeerServer ends who is being let in while it closes", async () => {
  const stage = new Stage();
  stage.onAdmit = () => stage.server.close();
  await assert.rejects(stage.connect());
  await stage.server.idle();
  assert.equal(stage.served, 0);
});

Deno.test("PeerServer tells of a defect, ends that connection and goes on", async () => {
  const stage = new Stage();
  const defect = new TypeError("of ours");
  stage.onAdmit = () => {
    throw defect;
  };
  await assert.rejects(stage.connect(), { code: "daemon_unavailable" });
  stage.onAdmit = () => {};
  const { peer, done } = await stage.connect();
  assert.deepEqual(stage.defects, [defect]);
  await peer.close();
  await done;
  await stage.end();
});
