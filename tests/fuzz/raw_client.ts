/**
 * A client that sends any bytes it likes and reads what comes back.
 *
 * @module
 */

import type { ByteStream } from "../../protocol/byte_stream.ts";
import { encodeFrame, FrameReader } from "../../protocol/frames.ts";
import { decodeFrameFields } from "../../protocol/cbor.ts";
import {
  type Hello,
  type Message,
  type MessageNamed,
  parseMessage,
} from "../../protocol/messages.ts";
import { within } from "../helpers/eventually.ts";

/** A HELLO that is fine. */
export function helloOf(fields: Partial<Hello> = {}): Hello {
  return {
    type: "HELLO",
    versionMin: 1,
    versionMax: 1,
    software: "raw",
    role: "app",
    machine: null,
    machineKey: null,
    nonce: new Uint8Array(16),
    features: [],
    credit: Number.MAX_SAFE_INTEGER,
    ...fields,
  };
}

/** One connection. */
export class RawClient {
  /** ERRORs by code. */
  readonly errors = new Map<string, number>();
  /** The last ERROR. */
  lastError: MessageNamed<"ERROR"> | null = null;
  /** The last messages that came, oldest first. */
  readonly heard: Message[] = [];
  /** Settles when the other side has ended the connection. */
  readonly ended: Promise<void>;
  /** Hangs up by itself at the ERROR that ends a conversation: that saves time. */
  hangsUp = false;
  /** PINGs are answered. */
  answersPings = true;
  isEnded = false;
  readonly #stream: ByteStream;
  readonly #frames = new FrameReader(2 ** 30);
  #wake = (): void => {};
  #token = 0;
  #pause: PromiseWithResolvers<void> | null = null;

  constructor(stream: ByteStream) {
    this.#stream = stream;
    this.ended = this.#read();
  }

  /** Sends bytes; that the connection is over meanwhile is no failure. */
  async send(bytes: Uint8Array): Promise<void> {
    if (this.isEnded) return;
    await this.#stream.write(bytes).catch(() => this.#end());
  }

  /** Sends a message as it should be. */
  async say(message: Message): Promise<void> {
    await this.send(encodeFrame(message));
  }

  /** Opens the conversation; `null` when the other side does not want that. */
  async greet(
    token: string,
    hello: Partial<Hello> = {},
  ): Promise<MessageNamed<"WELCOME"> | null> {
    const greeting = helloOf(hello);
    await this.say(greeting);
    const challenge = await this.next("CHALLENGE");
    if (challenge === null) return null;
    const proof = await proofOf(token, greeting.nonce, challenge.nonce);
    await this.say({ type: "AUTH", proof });
    return await this.next("WELCOME");
  }

  /** Attaches a user at ref 1, with all the credit there is. */
  async attach(
    name: string,
    handle: Uint8Array = crypto.getRandomValues(new Uint8Array(16)),
    fields: Partial<MessageNamed<"ATTACH">> = {},
  ): Promise<MessageNamed<"ATTACHED"> | null> {
    await this.say({
      type: "ATTACH",
      request: 1,
      ref: 1,
      name,
      named: false,
      incarnation: handle,
      create: true,
      handle,
      credit: Number.MAX_SAFE_INTEGER,
      known: [],
      ...fields,
    });
    return await this.next("ATTACHED");
  }

  /** Reads no more until `readOn`. */
  stopReading(): void {
    this.#pause = Promise.withResolvers();
  }

  /** Reads again. */
  readOn(): void {
    this.#pause?.resolve();
    this.#pause = null;
  }

  /** The next message of one type, of those heard since the last call. */
  async next<T extends Message["type"]>(
    type: T,
    timeoutMs = 10_000,
  ): Promise<MessageNamed<T> | null> {
    const find = async () => {
      while (true) {
        const index = this.heard.findIndex((each) => each.type === type);
        if (index !== -1) return this.heard.splice(0, index + 1).at(-1);
        if (this.isEnded) return null;
        await new Promise<void>((resolve) => this.#wake = resolve);
      }
    };
    return await within(`a ${type}`, timeoutMs, find()) as
      | MessageNamed<T>
      | null;
  }

  /** Whether everything sent before is dealt with; `false`: the connection is over. */
  async isThrough(timeoutMs = 20_000): Promise<boolean> {
    const token = ++this.#token;
    await this.say({ type: "PING", token });
    while (true) {
      const pong = await this.next("PONG", timeoutMs);
      if (pong === null) return false;
      if (pong.token === token) return true;
    }
  }

  /** Ends it. */
  async close(): Promise<void> {
    this.readOn();
    this.#end();
    await this.ended;
  }

  #end(): void {
    this.isEnded = true;
    this.#stream.close();
    this.#wake();
  }

  async #read(): Promise<void> {
    for (
      let chunk = await this.#stream.read();
      chunk !== null;
      chunk = await this.#stream.read()
    ) {
      await this.#pause?.promise;
      this.#frames.push(chunk as Uint8Array<ArrayBuffer>);
      for (
        let content = this.#frames.next();
        content !== null;
        content = this.#frames.next()
      ) this.#hear(parseMessage(decodeFrameFields(content)));
    }
    this.#end();
  }

  #hear(message: Message): void {
    if (message.type === "ERROR") {
      const { code } = message;
      this.lastError = message;
      this.errors.set(code, (this.errors.get(code) ?? 0) + 1);
      if (this.hangsUp && code === "bad_frame") this.#end();
    }
    if (message.type === "PING" && this.answersPings) {
      void this.say({ type: "PONG", token: message.token });
    }
    this.heard.push(message);
    if (this.heard.length > 1_000) this.heard.splice(0, 500);
    this.#wake();
  }
}

/** The proof that fits a token (PROTOCOL 3.2), made independently of the product. */
export async function proofOf(
  token: string,
  clientNonce: Uint8Array,
  serverNonce: Uint8Array,
): Promise<Uint8Array> {
  const utf8 = new TextEncoder();
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const secret = utf8.encode(token);
  const key = await crypto.subtle.importKey("raw", secret, algorithm, false, [
    "sign",
  ]);
  const said = Uint8Array.of(
    ...utf8.encode("mom1"),
    ...clientNonce,
    ...serverNonce,
  );
  return new Uint8Array(await crypto.subtle.sign("HMAC", key, said));
}
