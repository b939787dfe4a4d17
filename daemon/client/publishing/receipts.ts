/**
 * Who hears of a batch's receipt: the caller of each record, or one caller for
 * many.
 *
 * @module
 */

import { MomError } from "../../../protocol/errors.ts";
import { Deadline, type Deadlines } from "../deadlines.ts";

/** How far a publish has come. */
export interface Receipt {
  /** The topic. */
  readonly topic: string;
  /** On whose disk the message is for certain. */
  readonly level: "daemon" | "broker";
  /** The message's number in the topic; only if it is known. */
  readonly offset?: number;
}

/** The answer to all records of a batch. */
export interface Answer {
  readonly topic: string;
  readonly level: "daemon" | "broker";
  /** Of the batch's first record; `null` if it is not known. */
  readonly offset: number | null;
}

/** Who hears of a batch. */
export interface Callers {
  /** All records were accepted. */
  resolve(answer: Answer): void;
  /** None will be waited for any more. What was answered stays answered. */
  reject(error: MomError): void;
  /** The records with the indices in `refused` were refused, the others accepted. */
  settle(answer: Answer, refused: ReadonlySet<number>, error: MomError): void;
}

/** The receipt of the record with that index. */
export function receiptOf(answer: Answer, index: number): Receipt {
  const { topic, level, offset } = answer;
  return offset === null
    ? { topic, level }
    : { topic, level, offset: offset + index };
}

/** A caller's limit on its wait. It never takes a message back. */
export class PublishWait extends Deadline {
  readonly #topic: string;
  readonly #reject: (error: MomError) => void;
  readonly #deadlines: Deadlines;
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort = (): void => this.#end("the signal was aborted");

  constructor(
    topic: string,
    reject: (error: MomError) => void,
    deadlines: Deadlines,
    options: { timeoutMs?: number; signal?: AbortSignal },
  ) {
    super();
    this.#topic = topic;
    this.#reject = reject;
    this.#deadlines = deadlines;
    this.#signal = options.signal;
    this.#signal?.addEventListener("abort", this.#onAbort, { once: true });
    if (options.timeoutMs !== undefined) {
      deadlines.add(this, options.timeoutMs);
    }
  }

  onDue(): void {
    this.#end("the time is up");
  }

  /** The answer has come. */
  release(): void {
    this.#deadlines.remove(this);
    this.#signal?.removeEventListener("abort", this.#onAbort);
  }

  #end(reason: string): void {
    this.release();
    this.#reject(
      new MomError(
        "outcome_unknown",
        `Cannot tell whether "${this.#topic}" was published: ${reason}, it may still arrive`,
        this.#signal?.aborted ? { cause: this.#signal.reason } : undefined,
      ),
    );
  }
}

/** A caller for each record. */
export class SingleCallers implements Callers {
  /** Resolve and reject of each in turn: where topics alternate there is a batch for every record. */
  readonly #settlers: ((result: never) => void)[] = [];
  #waits: PublishWait[] | null = null;

  /** Adds the caller of the next record. */
  add(
    resolve: (receipt: Receipt) => void,
    reject: (error: MomError) => void,
  ): void {
    this.#settlers.push(resolve, reject);
  }

  /** Adds a limit on the wait of a caller. */
  addWait(wait: PublishWait): void {
    (this.#waits ??= []).push(wait);
  }

  settle(answer: Answer, refused: ReadonlySet<number>, error: MomError): void {
    const settlers = this.#settlers;
    for (let i = 0; i < settlers.length; i += 2) {
      const isRefused = refused.has(i >> 1);
      if (isRefused) settlers[i + 1]!(error as never);
      else settlers[i]!(receiptOf(answer, i >> 1) as never);
    }
    this.#release();
  }

  resolve(answer: Answer): void {
    const settlers = this.#settlers;
    for (let i = 0; i < settlers.length; i += 2) {
      settlers[i]!(receiptOf(answer, i >> 1) as never);
    }
    this.#release();
  }

  reject(error: MomError): void {
    const settlers = this.#settlers;
    for (let i = 1; i < settlers.length; i += 2) settlers[i]!(error as never);
    this.#release();
  }

  #release(): void {
    for (const wait of this.#waits ?? []) wait.release();
    this.#waits = null;
    // A list that has grown old would keep its young callers alive as long as itself.
    this.#settlers.length = 0;
  }
}

/** One caller for records that may travel in several batches. */
export class GroupCaller {
  readonly #receipts: Receipt[];
  readonly #resolve: (receipts: Receipt[]) => void;
  readonly #reject: (error: MomError) => void;
  #missing: number;
  #wait: PublishWait | null = null;

  constructor(
    count: number,
    resolve: (receipts: Receipt[]) => void,
    reject: (error: MomError) => void,
  ) {
    this.#missing = count;
    this.#receipts = new Array(count);
    this.#resolve = resolve;
    this.#reject = reject;
  }

  /** Sets the limit on its wait. */
  setWait(wait: PublishWait): void {
    this.#wait = wait;
  }

  /** Who hears of the batch with the `count` records from `first`. */
  part(first: number, count: number): Callers {
    const reject = (error: MomError) => {
      this.#wait?.release();
      this.#reject(error);
    };
    return {
      resolve: (answer) => this.#fill(answer, first, count),
      reject,
      settle: (_answer, _refused, error) => reject(error),
    };
  }

  #fill(answer: Answer, first: number, count: number): void {
    for (let i = 0; i < count; i++) {
      this.#receipts[first + i] = receiptOf(answer, i);
    }
    this.#missing -= count;
    if (this.#missing > 0) return;
    this.#wait?.release();
    this.#resolve(this.#receipts);
  }
}
