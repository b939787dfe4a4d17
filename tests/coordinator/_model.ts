/**
 * A shard as one would write it down on a page: to compare `step` with. No offsets,
 * no sizes, no sharing of code; it looks at everything each time.
 *
 * @module
 */

/** What a model's client may ask. */
export interface Asked {
  op: string;
  name: string;
  value?: unknown;
  expected?: unknown;
  token?: number;
  target?: number;
  consume?: boolean;
}

/** `a#3 done 7`, as `inShort` puts replies. */
export type Line = string;

interface Permit {
  client: string;
  token: number;
  name: string;
  request: number;
  consume: boolean;
}

/** The simple model. */
export class Model {
  readonly semaphores = new Map<string, { value: number; born: number }>();
  /** All waits of all semaphores, the oldest first. */
  queue: { client: string; name: string; request: number; consume: boolean }[] =
    [];
  permits: Permit[] = [];
  readonly values = new Map<string, unknown>();
  readonly clients = new Set<string>();
  readonly answers = new Map<string, Line>();
  token = 0;

  hello(client: string): void {
    this.clients.add(client);
  }

  /** A request; `open` are all that its client waits for, this one too. */
  ask(
    client: string,
    request: number,
    open: readonly number[],
    asked: Asked,
    isLate: boolean,
  ): Line[] {
    const key = `${client}#${request}`;
    if (!this.clients.has(client)) return [`${key} ended`];
    const others = asked.op === "semaphore_cancel"
      ? this.#cancel(client, asked.target!)
      : [];
    this.#settle(client, open);
    const answer = this.answers.get(key);
    if (answer !== undefined) return [...others, answer];
    if (this.queue.some((w) => `${w.client}#${w.request}` === key)) {
      return others;
    }
    if (isLate) return [...others, `${key} late`];
    if (asked.op === "leave") {
      return [`${key} done null`, ...this.end(client)];
    }
    return [...others, ...this.#perform(client, request, asked)];
  }

  /** Ends a client: out of the queues first, then its permits are given back. */
  end(client: string): Line[] {
    this.clients.delete(client);
    this.queue = this.queue.filter((wait) => wait.client !== client);
    const own = this.permits.filter((permit) => permit.client === client);
    this.permits = this.permits.filter((permit) => permit.client !== client);
    for (const key of [...this.answers.keys()]) {
      if (key.startsWith(`${client}#`)) this.answers.delete(key);
    }
    return own.flatMap(({ name }) => this.#raise(name));
  }

  #perform(client: string, request: number, asked: Asked): Line[] {
    const name = asked.name.toUpperCase();
    const done = (result: unknown, others: Line[] = []) => [
      ...others,
      this.#answer(client, request, `done ${JSON.stringify(result)}`),
    ];
    const failed = (code: string) => [
      this.#answer(client, request, `failed ${code}`),
    ];
    const semaphore = this.semaphores.get(name);
    switch (asked.op) {
      case "semaphore_cancel":
        return done(null);
      case "semaphore_init":
        if (!(Number.isInteger(asked.value) && (asked.value as number) >= 0)) {
          return failed("option_invalid");
        }
        if (semaphore) return failed("exists");
        this.semaphores.set(name, {
          value: asked.value as number,
          born: this.token,
        });
        return done(null);
      case "semaphore_wait": {
        if (!semaphore) return failed("unknown_name");
        const wait = { client, name, request, consume: asked.consume === true };
        if (semaphore.value > 0) {
          semaphore.value--;
          return this.#grant(wait);
        }
        this.queue.push(wait);
        return [];
      }
      case "semaphore_signal": {
        if (!semaphore) return failed("unknown_name");
        const at = this.permits.findIndex((permit) =>
          permit.client === client && permit.name === name
        );
        if (at >= 0) this.permits.splice(at, 1);
        return done(null, this.#raise(name));
      }
      case "semaphore_release": {
        if (!semaphore || asked.token! <= semaphore.born) {
          return failed("destroyed");
        }
        const at = this.permits.findIndex((permit) =>
          permit.client === client && permit.name === name &&
          permit.token === asked.token
        );
        if (at < 0) return failed("lease_lost");
        this.permits.splice(at, 1);
        return done(null, this.#raise(name));
      }
      case "semaphore_destroy": {
        if (!semaphore) return failed("unknown_name");
        this.semaphores.delete(name);
        this.permits = this.permits.filter((permit) => permit.name !== name);
        const woken = this.queue.filter((wait) => wait.name === name);
        this.queue = this.queue.filter((wait) => wait.name !== name);
        return done(
          null,
          woken.map((wait) =>
            this.#answer(wait.client, wait.request, "failed destroyed")
          ),
        );
      }
      case "value_init":
        if (this.values.has(name)) return failed("exists");
        this.values.set(name, asked.value);
        return done(null);
    }
    if (!this.values.has(name)) return failed("unknown_name");
    const value = this.values.get(name);
    switch (asked.op) {
      case "value_read":
        return done(value);
      case "value_write":
        this.values.set(name, asked.value);
        return done(null);
      case "value_compare_and_set": {
        const isSame = JSON.stringify(value) === JSON.stringify(asked.expected);
        if (isSame) this.values.set(name, asked.value);
        return done(isSame);
      }
      default:
        this.values.delete(name);
        return done(null);
    }
  }

  #grant(
    wait: { client: string; name: string; request: number; consume: boolean },
  ): Line[] {
    const token = ++this.token;
    this.permits.push({ ...wait, token });
    return [this.#answer(wait.client, wait.request, `done ${token}`)];
  }

  #raise(name: string): Line[] {
    const semaphore = this.semaphores.get(name);
    if (!semaphore) return [];
    const at = this.queue.findIndex((wait) => wait.name === name);
    if (at < 0) {
      semaphore.value++;
      return [];
    }
    const [wait] = this.queue.splice(at, 1);
    return this.#grant(wait!);
  }

  #cancel(client: string, target: number): Line[] {
    const isTarget = (one: { client: string; request: number }) =>
      one.client === client && one.request === target;
    this.queue = this.queue.filter((wait) => !isTarget(wait));
    const permit = this.permits.find(isTarget);
    if (!permit) return [];
    this.permits = this.permits.filter((one) => one !== permit);
    return this.#raise(permit.name);
  }

  #settle(client: string, open: readonly number[]): void {
    const isHeard = (one: { client: string; request: number }) =>
      one.client === client && !open.includes(one.request);
    for (const key of [...this.answers.keys()]) {
      const [who, request] = key.split("#");
      if (isHeard({ client: who!, request: Number(request) })) {
        this.answers.delete(key);
      }
    }
    this.permits = this.permits.filter((permit) =>
      !(permit.consume && isHeard(permit))
    );
  }

  #answer(client: string, request: number, text: string): Line {
    const line = `${client}#${request} ${text}`;
    this.answers.set(`${client}#${request}`, line);
    return line;
  }
}
