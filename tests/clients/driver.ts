/**
 * Drives the TypeScript client for tests/clients: told what to do by lines of
 * JSON. The other one is `driver.py`; both do the same, so that one table of
 * behaviours can be asked of both.
 */

import { Coordinator, type Permit } from "../../coordinator/mod.ts";
import { Mom } from "../../mod.ts";
import type {
  Headers,
  Message,
  PublishOptions,
  SubscribeOptions,
} from "../../mod.ts";
import { LineQueue } from "../process/line_queue.ts";
import type { Told } from "./driver_process.ts";
import { fromValue, toValue } from "./told_values.ts";

const handles = new Map<number, Mom>();
const coordinators = new Map<number, Coordinator>();
const messages: Message[] = [];
const permits: Permit[] = [];

type Call = (mom: Mom, told: Told) => Promise<unknown>;

const CALLS: Readonly<Record<string, Call>> = {
  publish: (mom, told) =>
    mom.publish(
      told.topic as string,
      toValue(told.value),
      publishOptions(told),
    ),
  publishMany: (mom, told) =>
    mom.publishMany(
      told.topic as string,
      toValue(told.values) as unknown[],
      publishOptions(told),
    ),
  subscribe: (mom, told) =>
    mom.subscribe(told.filter as string, subscribeOptions(told)),
  unsubscribe: (mom, told) => mom.unsubscribe(told.filter as string),
  receive: async (mom, told) =>
    await fromMessage(await mom.receive(wait(told))),
  receiveMany: async (mom, told) => {
    const max = told.max as number | undefined;
    const taken = await mom.receiveMany({ ...wait(told), max });
    return await Promise.all(taken.map(fromMessage));
  },
  ack: (_, told) => messages[told.key as number].ack(),
  close: (mom) => mom.close(),
  destroy: (mom) => mom.destroy(),
  coordinator: async (mom, told) => {
    const options = { of: told.of as number, leaseMs: told.leaseMs as number };
    const client = await Coordinator.connect(mom, options);
    coordinators.set(told.client as number, client);
  },
};

/** What is asked of a coordinators' client. */
const COORDINATOR_CALLS: Readonly<
  Record<string, (client: Coordinator, told: Told) => Promise<unknown>>
> = {
  resource: (client, told) =>
    told.kind === "semaphore" ? semaphore(client, told) : value(client, told),
  release: (_, told) => permits[told.key as number].release(),
  close: (client) => client.close(),
};

async function semaphore(client: Coordinator, told: Told): Promise<unknown> {
  const resource = client.semaphore(told.name as string);
  switch (told.method) {
    case "init":
      return await resource.init(values(told)[0] as number, wait(told));
    case "wait": {
      const consume = told.consume as boolean | undefined;
      const permit = await resource.wait({ ...wait(told), consume });
      return { key: permits.push(permit) - 1, token: permit.token };
    }
    case "signal":
      return await resource.signal(wait(told));
    default:
      return await resource.destroy(wait(told));
  }
}

async function value(client: Coordinator, told: Told): Promise<unknown> {
  const resource = client.value(told.name as string);
  const [first, second] = values(told);
  switch (told.method) {
    case "init":
      return await resource.init(first, wait(told));
    case "read":
      return await fromValue(await resource.read(wait(told)));
    case "write":
      return await resource.write(first, wait(told));
    case "compareAndSet":
      return await resource.compareAndSet(first, second, wait(told));
    default:
      return await resource.destroy(wait(told));
  }
}

function values(told: Told): unknown[] {
  return (told.values as unknown[]).map(toValue);
}

function call(told: Told): Promise<unknown> {
  const client = coordinators.get(told.handle as number);
  if (client !== undefined) return COORDINATOR_CALLS[told.op](client, told);
  return CALLS[told.op](handles.get(told.handle as number)!, told);
}

async function connect(told: Told): Promise<string> {
  const { id: _, op: __, handle, ...options } = told;
  const mom = await Mom.connect(options);
  handles.set(handle as number, mom);
  return mom.user;
}

function wait(told: Told): { timeoutMs?: number } {
  return told.timeoutMs === undefined
    ? {}
    : { timeoutMs: told.timeoutMs as number };
}

function publishOptions(told: Told): PublishOptions {
  const headers = (told.headers as [string, unknown][] | undefined)
    ?.map(([key, value]) => [key, toValue(value)] as const);
  return {
    ...wait(told),
    ...(told.level === undefined ? {} : { level: told.level as "broker" }),
    ...(told.expiresMs === undefined
      ? {}
      : { expiresMs: told.expiresMs as number }),
    ...(told.epoch === undefined ? {} : { epoch: told.epoch as number }),
    ...(headers === undefined
      ? {}
      : { headers: Object.fromEntries(headers) as Headers }),
  };
}

function subscribeOptions(told: Told): SubscribeOptions {
  const { id: _, op: __, handle: ___, filter: ____, from, ...rest } = told;
  if (from === undefined) return rest;
  const start = from as string | { offset: number } | { time: number };
  return {
    ...rest,
    from: typeof start === "object" && "time" in start
      ? { time: new Date(start.time) }
      : start as SubscribeOptions["from"],
  };
}

async function fromMessage(message: Message | null): Promise<unknown> {
  if (message === null) return null;
  const { topic, sender, offset, time, epoch, redelivered } = message;
  const headers = Object.entries(message.headers).map(async (
    [key, value],
  ) => [key, await fromValue(value)]);
  return {
    key: messages.push(message) - 1,
    topic,
    sender,
    offset,
    time,
    epoch,
    redelivered,
    headers: await Promise.all(headers),
    value: await fromValue(message.value),
  };
}

async function answer(told: Told): Promise<void> {
  const { id } = told;
  let line: unknown;
  try {
    const result = told.op === "connect"
      ? await connect(told)
      : await call(told);
    line = { id, result: result ?? null };
  } catch (error) {
    const { name, code, message } = error as Error & { code?: string };
    line = { id, code: code ?? name, message };
  }
  const bytes = new TextEncoder().encode(`${JSON.stringify(line)}\n`);
  for (let at = 0; at < bytes.length;) {
    at += Deno.stdout.writeSync(bytes.subarray(at));
  }
}

const lines = new LineQueue();
const reading = lines.fill(Deno.stdin.readable);
for (let line = await lines.next(); line !== null; line = await lines.next()) {
  void answer(JSON.parse(line));
}
await reading;
Deno.exit(0);
