/**
 * Mom: a promise for each publish, as an app has them; `receiveMany` in bulk,
 * `receive` where one message is in flight.
 *
 * @module
 */

import { Mom, MomError, type PublishOptions } from "../../../mod.ts";
import { contentBytes } from "../body.ts";
import type {
  Acknowledged,
  BenchConnection,
  ConnectionSettings,
} from "../connection.ts";

const TAKEN_AT_ONCE = 1_000;

/** Opens a handle of a named user. */
export async function connectMom(
  settings: ConnectionSettings,
): Promise<BenchConnection> {
  const { name, address, isDirect, isBrokerLevel = true } = settings;
  const where = isDirect ? { broker: address } : { daemon: address };
  const mom = await Mom.connect({ ...where, name });
  return new MomConnection(mom, isBrokerLevel ? { level: "broker" } : {});
}

class MomConnection implements BenchConnection {
  readonly window = 10_000;
  onAcknowledged: Acknowledged = () => {};
  readonly #mom: Mom;
  readonly #options: PublishOptions;
  readonly #onReceipt = () => this.onAcknowledged(1);
  readonly #onFailed = (error: unknown) => this.onAcknowledged(1, error);
  #taking: Promise<void> = Promise.resolve();

  constructor(mom: Mom, options: PublishOptions) {
    this.#mom = mom;
    this.#options = options;
  }

  bodyBytes(encodedBytes: number): number {
    return contentBytes(encodedBytes);
  }

  publish(topic: string, body: Uint8Array<ArrayBuffer>): void {
    this.#mom.publish(topic, body, this.#options)
      .then(this.#onReceipt, this.#onFailed);
  }

  async reserve(topic: string): Promise<void> {
    await this.#mom.subscribe(topic, { ifNew: true });
  }

  async take(
    topic: string,
    isBulk: boolean,
    onBody: (body: Uint8Array) => void,
  ): Promise<void> {
    await this.reserve(topic);
    this.#taking = isBulk ? this.#takeMany(onBody) : this.#takeEach(onBody);
    // Whoever closes hears of a failure; until then it is no stray one.
    this.#taking.catch(() => {});
  }

  async close(): Promise<void> {
    await this.#mom.close();
    await this.#taking;
  }

  async #takeMany(onBody: (body: Uint8Array) => void): Promise<void> {
    await untilClosed(async () => {
      const options = { max: TAKEN_AT_ONCE };
      while (true) {
        for (const { value } of await this.#mom.receiveMany(options)) {
          onBody(value as Uint8Array);
        }
      }
    });
  }

  async #takeEach(onBody: (body: Uint8Array) => void): Promise<void> {
    await untilClosed(async () => {
      while (true) onBody((await this.#mom.receive())!.value as Uint8Array);
    });
  }
}

async function untilClosed(work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof MomError) || error.code !== "closed") throw error;
  }
}
