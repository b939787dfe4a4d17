/**
 * The reading half of an app of the soak.
 *
 * @module
 */

import { type Message, type Mom, MomError } from "../../mod.ts";
import { pause } from "../helpers/eventually.ts";
import {
  paddingOf,
  type Run,
  type SoakLine,
  type SoakValue,
} from "./app_lines.ts";

const TAKES_MAX = 500;
/** How long who acknowledges by hand holds messages: a kill hits some of them. */
const HOLD_MS = 100;

/** Takes messages and tells of them, until the handle is closed. */
export class AppReader {
  readonly #mom: Mom;
  readonly #isManual: boolean;
  readonly #say: (line: SoakLine) => void;
  readonly #acks = new Set<Promise<void>>();
  /** By topic, the last offset. */
  readonly #offsets = new Map<string, number>();

  constructor(mom: Mom, isManual: boolean, say: (line: SoakLine) => void) {
    this.#mom = mom;
    this.#isManual = isManual;
    this.#say = say;
  }

  /** Resolves when the handle is closed. */
  async run(): Promise<void> {
    while (true) {
      try {
        const messages = await this.#mom.receiveMany({ max: TAKES_MAX });
        this.#take(messages);
      } catch (error) {
        const code = error instanceof MomError ? error.code : null;
        if (code === "closed") return;
        if (code === "daemon_unavailable") continue;
        return this.#say({ told: "broken", text: `receive: ${error}` });
      }
    }
  }

  /** Resolves when all that was taken is acknowledged. */
  async settle(): Promise<void> {
    await Promise.all(this.#acks);
  }

  #take(messages: readonly Message[]): void {
    const runs = toRuns(messages);
    for (const message of messages) this.#check(message);
    // Told before an acknowledgement can leave.
    this.#say({ told: "takes", runs });
    if (!this.#isManual) return;
    const acking = this.#acknowledge(messages, runs)
      .finally(() => this.#acks.delete(acking));
    this.#acks.add(acking);
  }

  /** Within a life the offsets of a topic rise, and no byte is damaged. */
  #check({ topic, offset, value }: Message): void {
    const last = this.#offsets.get(topic) ?? -1;
    this.#offsets.set(topic, offset);
    if (offset <= last) {
      const text = `reordered: ${topic} ${offset} after ${last}`;
      this.#say({ told: "broken", text });
    }
    if (isWhole(value as SoakValue)) return;
    this.#say({ told: "broken", text: `damaged: ${topic} ${offset}` });
  }

  async #acknowledge(
    messages: readonly Message[],
    runs: Run[],
  ): Promise<void> {
    await pause(HOLD_MS);
    try {
      await Promise.all(messages.map((message) => retryAck(message)));
      this.#say({ told: "settled", runs });
    } catch (error) {
      this.#say({ told: "broken", text: `ack: ${error}` });
    }
  }
}

async function retryAck(message: Message): Promise<void> {
  while (true) {
    try {
      return await message.ack();
    } catch (error) {
      const code = error instanceof MomError ? error.code : null;
      if (code !== "daemon_unavailable") throw error;
    }
  }
}

function isWhole({ c, p }: SoakValue): boolean {
  return p === paddingOf(c);
}

/** Puts together what follows on each other, by writer and topic. */
function toRuns(messages: readonly Message[]): Run[] {
  const runs: Run[] = [];
  const open = new Map<string, Run>();
  for (const { value, topic, redelivered } of messages) {
    const { w: writer, c: from } = value as SoakValue;
    const stream = `${writer} ${topic}`;
    const run = open.get(stream);
    if (run?.to === from && run.redelivered === redelivered) {
      run.to++;
      continue;
    }
    const next: Run = { writer, topic, from, to: from + 1, redelivered };
    runs.push(next);
    open.set(stream, next);
  }
  return runs;
}
