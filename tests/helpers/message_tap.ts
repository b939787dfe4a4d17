/**
 * Listening in on a conversation.
 *
 * @module
 */

import { decodeFrameFields } from "../../protocol/cbor.ts";
import { FrameReader } from "../../protocol/frames.ts";
import { frameBytesMax, LIMITS } from "../../protocol/limits.ts";
import { type Message, parseMessage } from "../../protocol/messages.ts";

/** Messages out of bytes that pass by. */
export class MessageTap {
  readonly #frames = new FrameReader(
    frameBytesMax(LIMITS.messageBytes),
  );
  readonly #onMessage: (message: Message) => void;

  constructor(onMessage: (message: Message) => void) {
    this.#onMessage = onMessage;
  }

  /** Reads on; the bytes are copied, the passer-by keeps what it has. */
  push(bytes: Uint8Array): void {
    this.#frames.push(bytes.slice());
    while (true) {
      const content = this.#frames.next();
      if (content === null) return;
      this.#onMessage(parseMessage(decodeFrameFields(content)));
    }
  }
}
