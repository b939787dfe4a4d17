/**
 * A network that listens in on an app's own conversation, so that its notes are
 * exact:
 *
 * - What the app does in the turn in which `receive` answered (it notes the
 *   take) is done before the acknowledgement leaves: each write waits for the
 *   turn's end. So a message that was acknowledged was noted.
 * - A confirmation is noted before the library sees it. So a message that the
 *   library knows to be settled was noted as settled.
 *
 * @module
 */

import type { ByteStream, Dialer } from "../../protocol/byte_stream.ts";
import { type Message, OUTCOME } from "../../protocol/messages.ts";
import { MessageTap } from "../helpers/message_tap.ts";

/** Told of every range of offsets that is confirmed. */
export type OnConfirmed = (topic: string, from: number, to: number) => void;

/** A dialer whose connections are listened in on. */
export class NotingDialer implements Dialer {
  readonly #inner: Dialer;
  readonly #onConfirmed: OnConfirmed;
  readonly #turn: () => Promise<void>;
  readonly #topics = new Map<number, string>();

  /** @param turn Resolves when the turn is at its end. */
  constructor(
    inner: Dialer,
    onConfirmed: OnConfirmed,
    turn: () => Promise<void> = nextTurn,
  ) {
    this.#inner = inner;
    this.#onConfirmed = onConfirmed;
    this.#turn = turn;
  }

  /** Connects once. */
  async dial(
    address: string,
    options?: { signal?: AbortSignal },
  ): Promise<ByteStream> {
    const stream = await this.#inner.dial(address, options);
    return new NotingStream(stream, (outcomes) => this.#confirm(outcomes), {
      topics: this.#topics,
      turn: this.#turn,
    });
  }

  #confirm(outcomes: readonly number[]): void {
    for (let at = 0; at < outcomes.length; at += 4) {
      const [kind, logId, from, to] = outcomes.slice(at, at + 4);
      const topic = this.#topics.get(logId);
      if (kind === OUTCOME.held || topic === undefined) continue;
      this.#onConfirmed(topic, from, to);
    }
  }
}

/** One connection. */
class NotingStream implements ByteStream {
  readonly #stream: ByteStream;
  readonly #onConfirmed: (outcomes: readonly number[]) => void;
  readonly #topics: Map<number, string>;
  readonly #turn: () => Promise<void>;
  readonly #incoming = new MessageTap((message) => this.#hear(message));
  readonly #outgoing = new MessageTap((message) => this.#say(message));
  #known: readonly number[] = [];
  #acks: { number: number; outcomes: readonly number[] }[] = [];

  constructor(
    stream: ByteStream,
    onConfirmed: (outcomes: readonly number[]) => void,
    { topics, turn }: {
      topics: Map<number, string>;
      turn: () => Promise<void>;
    },
  ) {
    this.#stream = stream;
    this.#onConfirmed = onConfirmed;
    this.#topics = topics;
    this.#turn = turn;
  }

  get remote(): string {
    return this.#stream.remote;
  }

  get isLocal(): boolean {
    return this.#stream.isLocal;
  }

  async read(): Promise<Uint8Array | null> {
    const chunk = await this.#stream.read();
    if (chunk !== null) this.#incoming.push(chunk);
    return chunk;
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.#outgoing.push(bytes);
    await this.#turn();
    await this.#stream.write(bytes);
  }

  close(): void {
    this.#stream.close();
  }

  #say(message: Message): void {
    if (message.type === "ACK") this.#acks.push(message);
    if (message.type !== "ATTACH") return;
    this.#known = message.known;
    this.#acks = [];
  }

  #hear(message: Message): void {
    if (message.type === "DELIVER") {
      this.#topics.set(message.logId, message.topic);
    } else if (message.type === "ATTACHED") {
      this.#onConfirmed(this.#known);
      this.#known = [];
    } else if (message.type === "CONFIRM") {
      while ((this.#acks[0]?.number ?? Infinity) <= message.number) {
        this.#onConfirmed(this.#acks.shift()!.outcomes);
      }
    }
  }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
