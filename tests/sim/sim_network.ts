/**
 * The memory network with distances and accidents: bytes take a while, may stand
 * still one way or both, and connections are lost, also in the middle of a
 * message.
 *
 * @module
 */

import type {
  ByteListener,
  ByteStream,
  Dialer,
} from "../../protocol/byte_stream.ts";
import {
  type MemoryConnection,
  MemoryNetwork,
} from "../../transport/memory.ts";
import type { Message } from "../../protocol/messages.ts";
import { MessageTap } from "../helpers/message_tap.ts";
import type { Kernel } from "./kernel.ts";
import type { Part } from "./part.ts";

/** Both ends of a connection. */
export class SimConnection {
  /** The address that was dialled. */
  readonly address: string;
  /** Who dialled. */
  readonly client: Part;
  /** Until then nothing arrives: at the server, at the client. */
  readonly heldUntilMs = { server: 0, client: 0 };
  /** After so many more bytes of either side it is lost. */
  bytesLeft = Infinity;
  readonly #memory: MemoryConnection;
  #isCut = false;

  constructor(memory: MemoryConnection, client: Part) {
    this.address = memory.address;
    this.client = client;
    this.#memory = memory;
  }

  /** Whether it is lost. */
  get isCut(): boolean {
    return this.#isCut;
  }

  /** It is lost, with all that is on its way. */
  cut(): void {
    this.#isCut = true;
    this.#memory.cut();
  }
}

/** One end, as the program sees it. */
class SimStream implements ByteStream {
  readonly isLocal = true;
  readonly #inner: ByteStream;
  readonly #part: Part;
  readonly #network: SimNetwork;
  readonly #connection: SimConnection;
  readonly #end: "server" | "client";
  readonly #tap: MessageTap | null;

  constructor(
    inner: ByteStream,
    part: Part,
    network: SimNetwork,
    connection: SimConnection,
    end: "server" | "client",
  ) {
    this.#inner = inner;
    this.#part = part;
    this.#network = network;
    this.#connection = connection;
    this.#end = end;
    const { kernel, name } = part;
    const other = end === "client"
      ? connection.address
      : connection.client.name;
    this.#tap = kernel.isTold
      ? new MessageTap((message) =>
        kernel.tell(`${name} to ${other}: ${textOf(message)}`)
      )
      : null;
  }

  get remote(): string {
    return this.#inner.remote;
  }

  async read(): Promise<Uint8Array | null> {
    const chunk = await this.#inner.read();
    const { kernel } = this.#part;
    const held = () => this.#connection.heldUntilMs[this.#end] - kernel.nowMs;
    do {
      const delayMs = Math.max(held(), this.#network.hopMs());
      await this.#part.sleep(delayMs, "read");
    } while (held() > 0);
    if (this.#connection.isCut) return null;
    kernel.note(this.#part.name, chunk?.length ?? -1);
    return chunk;
  }

  async write(bytes: Uint8Array): Promise<void> {
    const connection = this.#connection;
    if (bytes.length > connection.bytesLeft) {
      const fits = bytes.subarray(0, connection.bytesLeft);
      connection.bytesLeft = Infinity;
      const writing = this.#inner.write(fits);
      // What was written before the accident arrives.
      this.#inner.close();
      await writing.catch(() => {});
      throw new Error("Cannot write: the connection is lost");
    }
    connection.bytesLeft -= bytes.length;
    this.#tap?.push(bytes);
    await this.#part.gate(this.#inner.write(bytes));
  }

  close(): void {
    this.#inner.close();
  }
}

/** The network of a world. */
export class SimNetwork {
  readonly kernel: Kernel;
  /** How long a chunk takes, about. */
  latencyMs = 0.2;
  readonly #memory: MemoryNetwork;
  readonly #connections = new Set<SimConnection>();
  readonly #byServer = new WeakMap<ByteStream, SimConnection>();

  constructor(kernel: Kernel, readBytesMax: number) {
    this.kernel = kernel;
    this.#memory = new MemoryNetwork({ readBytesMax });
  }

  /** How long the next chunk takes. */
  hopMs(): number {
    return this.latencyMs * (0.2 + this.kernel.random.fraction());
  }

  /** The connections that may still live, oldest first. */
  connections(isWanted: (one: SimConnection) => boolean): SimConnection[] {
    for (const one of this.#connections) {
      if (one.isCut || one.client.isDead) this.#connections.delete(one);
    }
    return [...this.#connections].filter(isWanted);
  }

  /** What one life dials with. */
  dialer(part: Part): Dialer {
    return {
      dial: async (address, options) => {
        await part.sleep(this.hopMs(), "dial");
        if (part.isUnplugged) throw new Error("no network");
        const inner = await part.gate(this.#memory.dial(address, options));
        const memory = this.#memory.connections.find(({ client }) =>
          client === inner
        );
        if (memory === undefined) throw new Error("the connection is over");
        const connection = new SimConnection(memory, part);
        this.#byServer.set(memory.server, connection);
        return this.#adopt(inner, part, connection, "client");
      },
    };
  }

  /** Where one life listens; free again when it is dead. */
  listen(part: Part, address: string): ByteListener {
    const inner = this.#memory.listen(address);
    part.onUnplug(() => inner.close());
    return {
      address: inner.address,
      accept: async () => {
        const stream = await inner.accept();
        if (stream !== null && part.isDead) stream.close();
        await part.sleep(this.hopMs(), "accept");
        if (stream === null) return null;
        const connection = this.#byServer.get(stream);
        if (connection === undefined) throw new Error("nobody dialled");
        return this.#adopt(stream, part, connection, "server");
      },
      close: () => inner.close(),
    };
  }

  #adopt(
    inner: ByteStream,
    part: Part,
    connection: SimConnection,
    end: "server" | "client",
  ): ByteStream {
    this.#connections.add(connection);
    // What a process had written mostly arrives after its end.
    part.onUnplug(() =>
      this.kernel.random.chance(0.7) ? inner.close() : connection.cut()
    );
    return new SimStream(inner, part, this, connection, end);
  }
}

/** For readers of a told run. */
function textOf(message: Message): string {
  return JSON.stringify(message, (_key, value) => {
    if (value instanceof Map) return Object.fromEntries(value);
    if (!(value instanceof Uint8Array)) return value;
    return value.length > 16 ? `${value.length} bytes` : value.toHex();
  });
}
