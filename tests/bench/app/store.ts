/**
 * Our store without anything around it: how fast it commits one by one and in
 * groups, opens again and reads, and what a reader does to the commits beside it.
 *
 * @module
 */

import { systemClock, systemEntropy } from "../../../protocol/clock.ts";
import { Store } from "../../../storage/store.ts";
import { percentileOf } from "../statistics.ts";
import { turn } from "./moment.ts";

/** A figure with its unit. */
export interface StoreFigure {
  name: string;
  value: number;
  unit: string;
}

const META = new Uint8Array(24).fill(7);
const SINGLE = new Uint8Array(100).fill(1);
const GROUP = new Uint8Array(50 * 103).fill(2);
const GROUP_RECORDS = 50;
const ITEMS_OF_GROUP = 10;
const WINDOWS = [1, 16, 64] as const;
const READ_BYTES = 256 * 1024;

/** @param seconds Of each part. */
export async function measureStore(
  folder: string,
  seconds: number,
): Promise<StoreFigure[]> {
  let store = await open(folder);
  const log = store.createLog();
  const figures = await oneByOne(store, log, seconds, "one by one");
  for (const window of WINDOWS) {
    const value = await groups(store, log, seconds, window);
    const name = `groups of 500, ${window} in flight`;
    figures.push({ name, value, unit: "records/s" });
  }
  await store.close();
  const fromMs = performance.now();
  store = await open(folder);
  figures.push({
    name: "opened again",
    value: (performance.now() - fromMs) * 1_000,
    unit: "us",
  });
  figures.push({
    name: "all read",
    value: await readAll(store, log),
    unit: "records/s",
  });
  let isOver = false;
  const reading = (async () => {
    while (!isOver) await readAll(store, log, turn);
  })();
  const other = store.createLog();
  figures.push(...await oneByOne(store, other, seconds, "beside a reader"));
  isOver = true;
  await reading;
  await store.close();
  return figures;
}

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

/** One item, one commit, one after another. */
async function oneByOne(
  store: Store,
  log: number,
  seconds: number,
  how: string,
): Promise<StoreFigure[]> {
  const times: number[] = [];
  const endMs = performance.now() + seconds * 1_000;
  while (performance.now() < endMs) {
    const fromMs = performance.now();
    store.append(log, 1, META, SINGLE);
    await store.committed();
    times.push((performance.now() - fromMs) * 1_000);
  }
  return [
    { name: `${how}, p50`, value: percentileOf(times, 0.5), unit: "us" },
    { name: `${how}, p99`, value: percentileOf(times, 0.99), unit: "us" },
  ];
}

/** 500 records of 100 bytes in 10 items each; some groups at once. */
async function groups(
  store: Store,
  log: number,
  seconds: number,
  window: number,
): Promise<number> {
  const fromMs = performance.now();
  const waiting: Promise<void>[] = [];
  let records = 0;
  while (performance.now() - fromMs < seconds * 1_000) {
    for (let item = 0; item < ITEMS_OF_GROUP; item++) {
      store.makeRoom(GROUP.length + META.length);
      store.append(log, GROUP_RECORDS, META, GROUP);
    }
    records += ITEMS_OF_GROUP * GROUP_RECORDS;
    waiting.push(store.committed());
    if (waiting.length >= window) await waiting.shift();
  }
  await Promise.all(waiting);
  return records * 1_000 / (performance.now() - fromMs);
}

/**
 * Records a second of a log from its begin.
 *
 * @param pause After each piece: what lies in memory would be read without an
 *   end while nothing else gets its turn.
 */
async function readAll(
  store: Store,
  log: number,
  pause?: () => Promise<void>,
): Promise<number> {
  const fromMs = performance.now();
  let next = store.begin(log);
  let records = 0;
  while (next < store.committedEnd(log)) {
    for (const item of await store.readInOrder([{ log, next }], READ_BYTES)) {
      next = item.base + item.count;
      records += item.count;
    }
    await pause?.();
  }
  return records * 1_000 / (performance.now() - fromMs);
}
