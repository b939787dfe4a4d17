/**
 * One life of an app in a simulated world: a handle, and all that is done with
 * it. Everything is noted as in the fault runs.
 *
 * @module
 */

import { Mom } from "../../daemon/client.ts";
import type { Message, SubscribeOptions } from "../../daemon/client.ts";
import { MomError } from "../../protocol/errors.ts";
import type { Payload } from "../faults/app_protocol.ts";
import { NotingDialer } from "../faults/noting_dialer.ts";
import type { Random } from "../helpers/random.ts";
import type { Journal, SimLife, SimReader } from "./journal.ts";
import type { Part } from "./part.ts";
import type { SimNetwork } from "./sim_network.ts";

/** Whose life, and where. */
export interface LifeOptions {
  readonly part: Part;
  readonly network: SimNetwork;
  readonly journal: Journal;
  readonly random: Random;
  /** `undefined`: unnamed. */
  readonly name?: string;
  /** Its machine; `null`: it talks to the broker itself. */
  readonly machine: string | null;
  /** Address of its daemon or broker. */
  readonly address: string;
  /** What the broker takes. */
  readonly messageBytesMax?: number;
  /** Whether nothing may make the handle useless. */
  readonly mustLast?: boolean;
}

/** How it reads. */
export interface ReadStyle {
  readonly how: "receive" | "receiveMany" | "iterate";
  /** Acknowledge by hand after so many; 0: by taking. */
  readonly ackEvery: number;
  /** Share of the turns after which it reads nothing for a while. */
  readonly pauseShare: number;
}

/** What it writes. */
export interface WriteStyle {
  readonly topics: readonly string[];
  readonly count: number;
  readonly window: number;
  readonly overMs: number;
  /** How often it makes a pause; between, what it publishes to several topics is a bundle. */
  readonly pauseShare: number;
  readonly brokerShare: number;
  readonly expiresShare: number;
  readonly largeShare: number;
}

const TOKEN = "unused-unused-unused-unused";
/** The handle is of no use any more. */
const LAST_WORDS: readonly string[] = ["closed", "user_expired", "name_in_use"];
/** Nobody has answered: it is asked again. */
const AWAY: readonly (string | null)[] = [
  "daemon_unavailable",
  "outcome_unknown",
];
/** What may befall a publish when parts die. */
const MISHAPS: readonly string[] = [
  "message_too_large",
  "daemon_unavailable",
  "outcome_unknown",
  "closed",
  "user_expired",
];

/** A life. */
export class Life {
  readonly options: LifeOptions;
  readonly part: Part;
  notes: SimLife;
  /** Why it can't go on, if it can't. */
  lastWord: string | null = null;
  /** While this is true it must not be killed: nobody could know what came of it. */
  isDelicate = false;
  #reader: SimReader | null = null;
  #mom: Mom | null = null;
  #held: Message[] = [];
  #isHolding = false;
  #counter = 0;

  constructor(options: LifeOptions) {
    this.options = options;
    this.part = options.part;
    this.notes = { life: options.part.name, takes: [], confirmed: [] };
  }

  /** Whether it is a handle of that user which takes messages. */
  isReading(user: string): boolean {
    return this.#mom?.user === user && this.lastWord === null;
  }

  /** The handle. */
  get mom(): Mom {
    if (this.#mom === null) throw new Error("Not connected");
    return this.#mom;
  }

  /** Whether it has ever been connected. */
  get isConnected(): boolean {
    return this.#mom !== null;
  }

  /** Connects, however long that takes. @returns Whether it did. */
  async connect(tries = Infinity): Promise<boolean> {
    const { part, network, name, machine, address } = this.options;
    const dialer = new NotingDialer(
      network.dialer(part),
      (topic, from, to) => this.notes.confirmed.push([topic, from, to]),
      () => Promise.resolve(),
    );
    const { clock, entropy } = part;
    const where = machine === null ? { broker: address } : { daemon: address };
    for (let left = tries; left > 0; left--) {
      try {
        this.#mom = await Mom.connect({
          ...where,
          name,
          token: TOKEN,
          dialer,
          clock,
          entropy,
        });
        return true;
      } catch (error) {
        const code = codeOf(error);
        if (code !== "daemon_unavailable" && code !== "name_in_use") {
          this.#break(`connect failed: ${error}`);
          return false;
        }
      }
      if (left > 1) await part.sleep(300, "connect again");
    }
    return false;
  }

  /** Notes what it takes as that of `reader`. */
  become(reader: SimReader): void {
    const { life } = this.notes;
    this.#reader = reader;
    this.notes = { life, takes: [], confirmed: [] };
    reader.lives.push(this.notes);
  }

  /** Reads until the handle is closed. */
  async read(style: ReadStyle): Promise<void> {
    const { random, part } = this.options;
    while (this.lastWord === null) {
      try {
        for (const message of await this.#receive(style)) {
          this.#take(message, style);
        }
      } catch (error) {
        if (!this.#goesOn(error, "receive")) return;
      }
      if (random.chance(style.pauseShare)) {
        await part.sleep(random.pick([3, 50, 300, 1500]), "pause");
      }
    }
  }

  /** Acknowledges what is held. */
  async settle(): Promise<void> {
    await Promise.all(this.#held.splice(0).map((held) => this.#ack(held)));
  }

  /** Publishes, with so many receipts under way at most. */
  async write(style: WriteStyle): Promise<void> {
    const { random, part } = this.options;
    const underway = new Set<Promise<void>>();
    for (let n = 0; n < style.count && this.lastWord === null; n++) {
      const one = this.#publish(style).finally(() => underway.delete(one));
      underway.add(one);
      if (underway.size >= style.window) await Promise.race(underway);
      // Bursts, so that batches of more than one come about.
      if (random.chance(style.pauseShare)) {
        const meanMs = style.overMs /
          Math.max(1, style.count * style.pauseShare);
        await part.sleep(random.fraction() * 2 * meanMs, "write");
      }
    }
    await Promise.all(underway);
  }

  /** Subscribes; notes for `reader` since when. */
  async subscribe(
    reader: SimReader,
    filter: string,
    options: SubscribeOptions = {},
  ): Promise<void> {
    const { kernel } = this.part;
    const { from = "now" } = options;
    const noted = {
      filter,
      isBack: from !== "now",
      askedMs: kernel.nowMs,
      beganMs: null as number | null,
      endAskedMs: null,
      endedMs: null,
    };
    reader.subscriptions.push(noted);
    try {
      await this.mom.subscribe(filter, { ...options, ifNew: true });
      noted.beganMs = kernel.nowMs;
    } catch (error) {
      const code = codeOf(error);
      if (code === "broker_unavailable") return;
      this.#goesOn(error, "subscribe");
    }
  }

  /** Subscribes until it is certain. */
  async subscribeSurely(
    reader: SimReader,
    filter: string,
    options: SubscribeOptions = {},
  ): Promise<void> {
    while (this.lastWord === null) {
      await this.subscribe(reader, filter, options);
      if (reader.subscriptions.at(-1)?.beganMs !== null) return;
      await this.part.sleep(100, "subscribe again");
    }
  }

  /** Ends all subscriptions to a filter. */
  async unsubscribe(reader: SimReader, filter: string): Promise<void> {
    const { kernel } = this.part;
    const concerned = reader.subscriptions.filter((one) =>
      one.filter === filter && one.endedMs === null
    );
    for (const one of concerned) one.endAskedMs ??= kernel.nowMs;
    const end = () => {
      for (const one of concerned) one.endedMs = kernel.nowMs;
    };
    try {
      await this.mom.unsubscribe(filter);
      end();
    } catch (error) {
      const code = codeOf(error);
      if (code === "not_subscribed") return end();
      if (code === "broker_unavailable") return;
      this.#goesOn(error, "unsubscribe");
    }
  }

  /** Closes the handle. */
  async close(): Promise<void> {
    await this.settleSoon();
    await this.mom.close();
    this.lastWord ??= "closed";
  }

  /** Destroys the user, however long that takes. */
  async destroy(reader: SimReader): Promise<void> {
    this.isDelicate = true;
    reader.isExcused = true;
    while (true) {
      try {
        await this.mom.destroy();
        break;
      } catch (error) {
        if (codeOf(error) === "user_expired") break;
        if (codeOf(error) === "closed") break;
        if (!AWAY.includes(codeOf(error))) {
          this.#break(`destroy failed: ${error}`);
          break;
        }
      }
    }
    this.lastWord ??= "closed";
    this.isDelicate = false;
  }

  /** Acknowledges what is held, unless that takes long. */
  async settleSoon(): Promise<void> {
    await Promise.race([this.settle(), this.part.sleep(500, "settle")]);
  }

  async #receive(style: ReadStyle): Promise<Message[]> {
    const { random } = this.options;
    switch (style.how) {
      case "iterate":
        for await (const message of this.mom) return [message];
        throw new MomError("closed", "the loop ended");
      case "receiveMany":
        return await this.mom.receiveMany({
          max: random.integer(1, 9),
          timeoutMs: random.pick([0, 20, 700]) || undefined,
        });
      case "receive": {
        const message = random.chance(0.1)
          ? await this.#receiveOrAbort()
          : await this.mom.receive({ timeoutMs: random.pick([1, 30, 900]) });
        return message === null ? [] : [message];
      }
    }
  }

  /** A receive that is called off after a while. */
  async #receiveOrAbort(): Promise<Message | null> {
    const { random, part } = this.options;
    const abort = new AbortController();
    const reason = new Error("called off");
    const timer = part.clock.setTimer(
      random.pick([1, 5, 40]),
      () => abort.abort(reason),
    );
    try {
      return await this.mom.receive({ signal: abort.signal });
    } catch (error) {
      if (error !== reason) throw error;
      return null;
    } finally {
      timer.cancel();
    }
  }

  #take(message: Message, style: ReadStyle): void {
    const { journal } = this.options;
    const value = message.value as Payload;
    const { topic, offset, redelivered, sender } = message;
    const { w: writer, c: counter } = value;
    journal.take(this.notes, {
      writer,
      counter,
      topic,
      offset,
      redelivered,
      sender,
    });
    if (!isWhole(value)) this.#break(`${writer}#${counter} came damaged`);
    if (style.ackEvery === 0) return;
    this.#held.push(message);
    if (this.#held.length >= style.ackEvery) void this.settle();
    else if (!this.#isHolding) {
      this.#isHolding = true;
      void this.part.sleep(40, "hold").then(() => {
        this.#isHolding = false;
        void this.settle();
      });
    }
  }

  async #ack(message: Message): Promise<void> {
    while (true) {
      try {
        return await message.ack();
      } catch (error) {
        if (!this.#goesOn(error, "ack")) return;
      }
    }
  }

  async #publish(style: WriteStyle): Promise<void> {
    const { random, journal, machine } = this.options;
    const counter = this.#counter++;
    const topic = random.pick(style.topics);
    const padding = new Uint8Array(drawSize(random, style.largeShare))
      .fill(counter & 0xff);
    const expiresMs = topic.startsWith("brief") &&
        random.chance(style.expiresShare)
      ? random.pick([5, 50, 400, 2000])
      : undefined;
    const attempt = journal.attempt({
      writer: this.notes.life,
      counter,
      topic,
      expiresMs: expiresMs ?? Infinity,
      machine,
      author: this.#author(),
      // What goes in one batch with one that is too large is refused with it.
      isTooLarge: this.options.messageBytesMax !== undefined &&
        style.largeShare > 0,
    });
    const level = random.chance(style.brokerShare) ? "broker" : undefined;
    try {
      const value = { w: this.notes.life, c: counter, p: padding };
      const receipt = await this.mom.publish(topic, value, {
        level,
        expiresMs,
      });
      journal.receipt(attempt, receipt);
    } catch (error) {
      const code = codeOf(error) ?? String(error);
      journal.failure(attempt, code);
      if (!MISHAPS.includes(code)) this.#break(`publish failed: ${error}`);
      this.#goesOn(error, "publish");
    }
  }

  #author(): SimReader {
    if (this.#reader === null) throw new Error("Nobody yet");
    return this.#reader;
  }

  /** Whether the handle is of use after such a failure. */
  #goesOn(error: unknown, doing: string): boolean {
    const code = codeOf(error);
    if (code !== null && LAST_WORDS.includes(code)) {
      this.lastWord ??= code;
      if (code === "closed" || this.options.mustLast !== true) return false;
      this.#break(`${doing}: ${error}`);
      return false;
    }
    if (code !== null && MISHAPS.includes(code)) return true;
    this.#break(`${doing} failed: ${error}`);
    this.lastWord ??= code ?? "error";
    return false;
  }

  #break(text: string): void {
    this.options.journal.break(`${this.part.name}: ${text}`);
  }
}

function codeOf(error: unknown): string | null {
  return error instanceof MomError ? error.code : null;
}

function isWhole({ c, p }: Payload): boolean {
  if (!(p instanceof Uint8Array)) return false;
  const right = c & 0xff;
  for (let i = 0; i < p.length; i++) if (p[i] !== right) return false;
  return true;
}

/** Mostly small, some of several batches, few larger than a value of the store. */
function drawSize(random: Random, largeShare: number): number {
  const draw = random.fraction();
  if (draw < largeShare) return random.integer(55_000, 140_000);
  if (draw < largeShare + 0.03) return random.integer(301, 9_000);
  return random.integer(0, 60);
}
