/**
 * `GET /api/v1/status` of a broker or daemon.
 *
 * @module
 */

/** The sums of promise 2. */
export interface SubscriptionSums {
  matched: number;
  delivered: number;
  pending: number;
  deadLettered: number;
  expired: number;
  dropped: number;
  own: number;
}

/** What a topic holds. */
export interface TopicSums {
  published: number;
  stored: number;
  trimmed: number;
}

/** The part of a status that tests read. */
export interface Status {
  role: string;
  store: { id: string; epoch: number; position: number; bytes: number };
  totals: Record<string, number>;
  topics: (TopicSums & { topic: string })[];
  subscriptions:
    (SubscriptionSums & { user: string; filter: string; topic: string })[];
  sessions: { machine?: string; role?: string }[];
  outbox?: { messages: number };
  inbox?: { messages: number };
}

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
  async read(query = ""): Promise<Status> {
    const url = `http://${this.#address}/api/v1/status`;
    const client = Deno.createHttpClient({ poolMaxIdlePerHost: 0 });
    try {
      const response = await fetch(query === "" ? url : `${url}?${query}`, {
        headers: { Authorization: `Bearer ${this.#token}` },
        signal: AbortSignal.timeout(TIMEOUT_MS),
        client,
      });
      const text = await response.text();
      if (response.ok) return JSON.parse(text);
      throw new Error(`${url} answers ${response.status}: ${text}`);
    } finally {
      client.close();
    }
  }
}
