/**
 * How fast the store is: `deno run --unstable-kv -A tests/bench/store_bench.ts`.
 *
 * @module
 */

import { systemClock, systemEntropy } from "../../protocol/clock.ts";
import { Store } from "../../storage/store.ts";

const META = new Uint8Array(24).fill(7);

async function open(data: string): Promise<Store> {
  return await Store.open({
    data,
    role: "broker",
    clock: systemClock,
    entropy: systemEntropy,
    onFailed: (error) => {
      throw error;
    },
    onSeal: () => null,
    limits: { reserveBytes: 0, freeBytesMin: 0 },
  });
}

function report(name: string, values: Record<string, number>): void {
  const text = Object.entries(values)
    .map(([key, value]) => `${key} ${value.toFixed(value < 10 ? 3 : 0)}`)
    .join(", ");
  // deno-lint-ignore no-console
  console.log(`${name}: ${text}`);
}

/** Percentile of sorted numbers. */
function at(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
}

/** One item, one commit, one after another. */
async function oneByOne(store: Store, log: number, n: number): Promise<void> {
  const body = new Uint8Array(100).fill(1);
  const times: number[] = [];
  const start = performance.now();
  for (let i = 0; i < n; i++) {
    const from = performance.now();
    store.append(log, 1, META, body);
    await store.committed();
    times.push(performance.now() - from);
  }
  const seconds = (performance.now() - start) / 1000;
  times.sort((a, b) => a - b);
  report("one by one", {
    "per second": n / seconds,
    "p50 ms": at(times, 0.5),
    "p99 ms": at(times, 0.99),
  });
}

/** Groups of 500 records of 100 bytes in 10 items, `window` groups at once. */
async function groups(
  store: Store,
  log: number,
  n: number,
  window: number,
): Promise<void> {
  const body = new Uint8Array(50 * 103).fill(2);
  const start = performance.now();
  const waiting: Promise<void>[] = [];
  for (let i = 0; i < n; i++) {
    for (let item = 0; item < 10; item++) {
      store.makeRoom(body.length + META.length);
      store.append(log, 50, META, body);
    }
    waiting.push(store.committed());
    if (waiting.length >= window) await waiting.shift();
  }
  await Promise.all(waiting);
  const seconds = (performance.now() - start) / 1000;
  report(`groups of 500, window ${window}`, {
    "records per second": n * 500 / seconds,
  });
}

/** Reads a log from its begin. */
async function readAll(store: Store, log: number): Promise<void> {
  const start = performance.now();
  let next = store.begin(log);
  let records = 0;
  while (next < store.committedEnd(log)) {
    for (const item of await store.readInOrder([{ log, next }], 256 * 1024)) {
      next = item.base + item.count;
      records += item.count;
    }
  }
  const seconds = (performance.now() - start) / 1000;
  report("read all", { "records per second": records / seconds });
}

async function main(): Promise<void> {
  const data = await Deno.makeTempDir();
  try {
    let store = await open(data);
    const log = store.createLog();
    await oneByOne(store, log, 3000);
    await groups(store, log, 500, 1);
    await groups(store, log, 1500, 16);
    await groups(store, log, 1000, 64);
    const bytes = store.bytesOnDisk();
    await store.close();
    const from = performance.now();
    store = await open(data);
    report("open again", { ms: performance.now() - from, MB: bytes / 1e6 });
    await readAll(store, log);
    // Readers of the backlog must not hold up commits.
    let isDone = false;
    const reading = (async () => {
      while (!isDone) await readAll(store, log);
    })();
    const other = store.createLog();
    await oneByOne(store, other, 2000);
    isDone = true;
    await reading;
    await store.close();
  } finally {
    await Deno.remove(data, { recursive: true });
  }
}

if (import.meta.main) await main();
