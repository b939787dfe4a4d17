/**
 * `GET /api/v1/status` of a broker or daemon.
 *
 * @module
 */

import * as v from "../../deps/valibot.ts";
import { type StatusReport, statusReportSchema } from "../../program/status.ts";

const TIMEOUT_MS = 5_000;

/** Asks one program for its status. */
export class StatusReader {
  readonly #address: string;
  readonly #token: string;

  /** @param address `HOST:PORT` of its HTTP side. */
  constructor(address: string, token: string) {
    this.#address = address;
    this.#token = token;
  }

  /**
   * The status as it is now.
   *
   * @param query `topic=a&user=b@c`.
   * @throws {Error} If the answer is not 200.
   */
  async read(query = ""): Promise<StatusReport> {
    const url = `http://${this.#address}/api/v1/status`;
    const client = Deno.createHttpClient({ poolMaxIdlePerHost: 0 });
    try {
      const response = await fetch(query === "" ? url : `${url}?${query}`, {
        headers: { Authorization: `Bearer ${this.#token}` },
        signal: AbortSignal.timeout(TIMEOUT_MS),
        client,
      });
      const text = await response.text();
      if (response.ok) {
        return v.parse(statusReportSchema, JSON.parse(text));
      }
      throw new Error(`${url} answers ${response.status}: ${text}`);
    } finally {
      client.close();
    }
  }
}
