/**
 * A network that keeps the types of all messages that leave over it.
 *
 * @module
 */

import type { ByteStream, Dialer } from "../../protocol/byte_stream.ts";
import { MessageTap } from "./message_tap.ts";

/** Keeps what is sent over its connections. */
export class TappingDialer implements Dialer {
  /** Types of the messages sent, PING and PONG left out. */
  readonly sent: string[] = [];
  readonly #inner: Dialer;

  constructor(inner: Dialer) {
    this.#inner = inner;
  }

  /** Connects once. */
  async dial(
    address: string,
    options?: { signal?: AbortSignal },
  ): Promise<ByteStream> {
    const stream = await this.#inner.dial(address, options);
    const tap = new MessageTap(({ type }) => {
      if (type !== "PING" && type !== "PONG") this.sent.push(type);
    });
    return {
      remote: stream.remote,
      isLocal: stream.isLocal,
      read: () => stream.read(),
      write(bytes) {
        tap.push(bytes);
        return stream.write(bytes);
      },
      close: () => stream.close(),
    };
  }
}
