/**
 * A user as the link sees it: attached at the broker or not, the credit given
 * for it, and the ACKs on their way (PROTOCOL 5 to 7).
 *
 * @module
 */

import { MomError } from "../../protocol/errors.ts";
import { LIMITS } from "../../protocol/limits.ts";
import type { Port } from "../port.ts";
import type { Windows } from "./windows.ts";

/** An ACK to the broker without its CONFIRM. */
export interface SentAck {
  readonly number: number;
  readonly outcomes: readonly number[];
}

/** The flow of one user's deliveries over the link. */
export class UserFlow {
  readonly ref: number;
  /** `down`: no link, or not asked for; `attaching`: ATTACH is out; `attached`: it flows. */
  state: "down" | "attaching" | "attached" = "down";
  /** Outcomes listed in the ATTACH that is out; confirmed by ATTACHED. */
  listed: number[] = [];
  /** Number of the last ACK that the broker has confirmed. */
  confirmed = 0;
  /** Highest position that an earlier handle may have got, as the broker knows. */
  suspect = 0;
  readonly #windows: Windows;
  /** Credit for deliveries that this daemon has not passed on; 0 without a flow. */
  #window = 0;
  #port: Port | null = null;
  #number = 0;
  #gathered: number[] = [];
  #flushQueued = false;
  #isAwaited = false;
  #unconfirmed: SentAck[] = [];
  #granted = 0;
  /** What has come; never less than what was given back of it. */
  #received = 0;
  #released = 0;

  constructor(ref: number, windows: Windows) {
    this.ref = ref;
    this.#windows = windows;
  }

  /**
   * A new flow begins: what was on its way in the old one is given back.
   *
   * @returns The credit to begin with.
   */
  begin(port: Port, listed: number[]): number {
    this.#reset();
    this.#port = port;
    this.state = "attaching";
    this.listed = listed;
    this.#window = this.#windows.open();
    return this.#granted = this.#window;
  }

  /** There is no flow any more. */
  end(): void {
    this.#reset();
    this.#port = null;
    this.state = "down";
    this.listed = [];
  }

  /** Everything acknowledged and not confirmed, as flat outcomes. */
  unconfirmed(): number[] {
    return [
      ...this.#unconfirmed.flatMap((ack) => ack.outcomes),
      ...this.#gathered,
    ];
  }

  /**
   * Tells the broker what became of offsets, with everything else of this turn.
   *
   * @returns Number of the ACK that it goes with.
   */
  report(outcome: number, logId: number, from: number, to: number): number {
    if (this.#gathered.length >= LIMITS.ackRanges * 4) this.#flush();
    const list = this.#gathered;
    const last = list.length - 4;
    const extends_ = last >= 0 && list[last] === outcome &&
      list[last + 1] === logId &&
      list[last + 3] === from;
    if (extends_) list[last + 3] = to;
    else list.push(outcome, logId, from, to);
    if (!this.#flushQueued) {
      this.#flushQueued = true;
      queueMicrotask(() => {
        this.#flushQueued = false;
        this.#flush();
      });
    }
    return this.#number + 1;
  }

  #flush(): void {
    if (
      this.#gathered.length === 0 || this.#port === null ||
      this.state !== "attached"
    ) return;
    const outcomes = this.#gathered;
    this.#gathered = [];
    const number = ++this.#number;
    this.#unconfirmed.push({ number, outcomes });
    const awaited = this.#isAwaited ? 1 : undefined;
    this.#isAwaited = false;
    this.#port.send({ type: "ACK", ref: this.ref, number, outcomes, awaited });
  }

  /** Somebody waits for the confirmation of what is told in this turn. */
  hurry(): void {
    this.#isAwaited = true;
  }

  /**
   * The broker has committed ACKs up to `number`. Gives their outcomes.
   *
   * @throws {MomError} `bad_message` if there was no such ACK.
   */
  confirm(number: number): SentAck[] {
    if (number > this.#number) {
      throw new MomError(
        "bad_message",
        `Cannot take CONFIRM ${number}: the last ACK has number ${this.#number}`,
      );
    }
    let count = 0;
    while (
      count < this.#unconfirmed.length &&
      this.#unconfirmed[count].number <= number
    ) count++;
    this.confirmed = Math.max(this.confirmed, number);
    return this.#unconfirmed.splice(0, count);
  }

  /**
   * A delivery has come. One record that costs more than is left passes when at
   * least half of the window is free (PROTOCOL 6.6).
   *
   * @throws {MomError} `bad_message`: the broker sends more than it may, and that
   *   must not fill this machine's memory or disk.
   */
  receive(cost: number, count: number): void {
    const left = this.#granted - this.#received;
    // The broker may know of no larger window than the first (6.6: "ever free").
    const isFree = count === 1 && left * 2 >= LIMITS.windowBytesFirst;
    this.#received += cost;
    if (cost <= left || isFree) return;
    throw new MomError(
      "bad_message",
      `Cannot take delivery: ${this.#received} bytes were sent, ${this.#granted} granted`,
    );
  }

  /** Cost that has left this daemon's memory: the broker may send as much again. */
  release(cost: number): void {
    // What was cut here costs more in pieces than it did whole.
    this.#released = Math.min(this.#received, this.#released + cost);
    if (this.state !== "attached") return;
    this.#window = this.#windows.grown(this.#window, this.#released);
    const total = this.#released + this.#window;
    if (total - this.#granted < this.#window / 4) return;
    this.#granted = total;
    this.#port?.send({ type: "CREDIT", ref: this.ref, total });
  }

  #reset(): void {
    this.#windows.close(this.#window);
    this.#window = 0;
    this.#isAwaited = false;
    this.#number = 0;
    this.confirmed = 0;
    this.#gathered = [];
    this.#unconfirmed = [];
    this.#granted = 0;
    this.#received = 0;
    this.#released = 0;
  }
}
