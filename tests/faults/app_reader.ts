/**
 * The reading half of an app under test.
 *
 * @module
 */

import type { Message, Mom } from "../../daemon/client.ts";
import { MomError } from "../../protocol/errors.ts";
import { pause } from "../helpers/eventually.ts";
import type { AppSettings, Payload } from "./app_protocol.ts";
import type { NoteBook } from "./notes.ts";

/** How long a reader that acknowledges by hand lets its takes wait at most. */
const ACK_AFTER_MS = 25;
/** How long a reader that dawdles reads nothing. */
const PAUSE_MS = 250;

/** Takes messages and notes them, until the handle is closed. */
export class AppReader {
  readonly #mom: Mom;
  readonly #settings: AppSettings;
  readonly #book: NoteBook;
  #held: Message[] = [];
  #sincePause = 0;
  #timer: ReturnType<typeof setTimeout> | null = null;

  constructor(mom: Mom, settings: AppSettings, book: NoteBook) {
    this.#mom = mom;
    this.#settings = settings;
    this.#book = book;
  }

  /** Resolves when the handle is closed. */
  async run(): Promise<void> {
    while (true) {
      try {
        await this.#takeAll();
        return;
      } catch (error) {
        if (codeOf(error) === "closed") return;
        if (codeOf(error) === "daemon_unavailable") continue;
        this.#book.write({ kind: "broken", text: `receive failed: ${error}` });
        return;
      }
    }
  }

  /** Acknowledges what is held. */
  async settle(): Promise<void> {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    await Promise.all(this.#held.splice(0).map((held) => this.#ack(held)));
  }

  async #takeAll(): Promise<void> {
    const { style } = this.#settings;
    if (style === "iterate") {
      for await (const message of this.#mom) {
        this.#take(message);
        await this.#dawdle(1);
      }
      return;
    }
    while (true) {
      const messages = style === "receive"
        ? [await this.#mom.receive()]
        : await this.#mom.receiveMany({ max: 7 });
      // Noted in the turn in which they came: see noting_dialer.ts.
      for (const message of messages) this.#take(message);
      await this.#dawdle(messages.length);
    }
  }

  /** Now and then reads nothing for a while, so that messages gather. */
  async #dawdle(taken: number): Promise<void> {
    const { pauseEvery } = this.#settings;
    this.#sincePause += taken;
    if (pauseEvery === 0 || this.#sincePause < pauseEvery) return;
    this.#sincePause = 0;
    await pause(PAUSE_MS);
  }

  #take(message: Message | null): void {
    if (message === null) throw new Error("receive gave null without a limit");
    const value = message.value as Payload;
    this.#book.write({
      kind: "take",
      writer: value.w,
      counter: value.c,
      topic: message.topic,
      offset: message.offset,
      redelivered: message.redelivered,
      sender: message.sender,
    });
    if (!isWhole(value)) {
      const text = `${value.w}#${value.c}: its padding came damaged`;
      this.#book.write({ kind: "broken", text });
    }
    if (this.#settings.ackEvery > 0) this.#hold(message);
  }

  #hold(message: Message): void {
    this.#held.push(message);
    if (this.#held.length >= this.#settings.ackEvery) void this.settle();
    this.#timer ??= setTimeout(() => void this.settle(), ACK_AFTER_MS);
  }

  async #ack(message: Message): Promise<void> {
    while (true) {
      try {
        return await message.ack();
      } catch (error) {
        if (codeOf(error) === "daemon_unavailable") continue;
        const text = `ack of ${message.topic} ${message.offset}: ${error}`;
        this.#book.write({ kind: "broken", text });
        return;
      }
    }
  }
}

function isWhole({ c, p }: Payload): boolean {
  return p instanceof Uint8Array && p.every((byte) => byte === (c & 0xff));
}

function codeOf(error: unknown): string | null {
  return error instanceof MomError ? error.code : null;
}
