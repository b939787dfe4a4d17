/**
 * A plain model of a store, and random operations on both.
 *
 * @module
 */

import assert from "node:assert/strict";
import { fc } from "../../deps/fast_check.ts";
import type { Item, Store } from "../../storage/store.ts";
import { NOTHING, pattern, readAll } from "./_support.ts";

/** What was appended. */
export interface ModelItem {
  log: number;
  base: number;
  count: number;
  meta: Uint8Array;
  body: Uint8Array;
}

/** What a store should hold. */
export class Model {
  readonly tables = new Map<number, Map<number, Uint8Array>>();
  readonly logs = new Map<number, { begin: number; end: number }>();
  /** In the order of appending. */
  items: ModelItem[] = [];

  /** One of the logs. */
  pick(n: number): number | undefined {
    const logs = [...this.logs.keys()];
    return logs.length === 0 ? undefined : logs[n % logs.length];
  }

  /** Items that are not gone. */
  live(): ModelItem[] {
    return this.items.filter((item) => {
      const log = this.logs.get(item.log);
      return log !== undefined && item.base + item.count > log.begin;
    });
  }

  /** As it is now. */
  copy(): Model {
    const copy = new Model();
    for (const [t, entries] of this.tables) {
      copy.tables.set(t, new Map(entries));
    }
    for (const [log, ends] of this.logs) copy.logs.set(log, { ...ends });
    copy.items = [...this.items];
    return copy;
  }
}

/** One operation. */
export type Step =
  | { kind: "put"; table: number; key: number; size: number }
  | { kind: "delete"; table: number; key: number }
  | { kind: "createLog" }
  | { kind: "dropLog"; n: number }
  | { kind: "append"; n: number; count: number; size: number; times: number }
  | { kind: "blob"; n: number; size: number }
  | { kind: "trim"; n: number; share: number }
  | { kind: "commit" }
  | { kind: "committed" }
  | { kind: "burst"; n: number; times: number }
  | { kind: "read"; ns: number[]; share: number; maxBytes: number };

const n = fc.nat(20);
const share = fc.nat(50).map((n) => n / 50);
const table = fc.constantFrom(1, 2, 31);
const key = fc.oneof(fc.nat(600), fc.nat(2 ** 40));
/** Any operation. */
export const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("put" as const),
      table,
      key,
      size: fc.oneof(fc.nat(50), fc.nat(90_000)),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("delete" as const), table, key }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("createLog" as const) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("dropLog" as const), n }),
  },
  {
    weight: 12,
    arbitrary: fc.record({
      kind: fc.constant("append" as const),
      n,
      count: fc.integer({ min: 1, max: 100 }),
      size: fc.oneof(fc.nat(200), fc.nat(57_000)),
      times: fc.integer({ min: 1, max: 20 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("blob" as const),
      n,
      size: fc.nat(1_500_000),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant("trim" as const), n, share }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("commit" as const) }) },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant("committed" as const) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("burst" as const),
      n,
      times: fc.nat(150),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("read" as const),
      ns: fc.array(n, { minLength: 1, maxLength: 5 }),
      share,
      maxBytes: fc.oneof(fc.nat(1000), fc.nat(1_000_000)),
    }),
  },
);

let serial = 0;

async function bodyOf(store: Store, item: Item): Promise<Uint8Array> {
  return item.blob === null ? item.body : await store.readBlob(item.blob);
}

async function checkItems(
  store: Store,
  items: readonly Item[],
  expected: readonly ModelItem[],
): Promise<void> {
  const head = (i: Item | ModelItem) => `${i.log} ${i.base} ${i.count}`;
  assert.deepEqual(items.map(head), expected.map(head));
  for (const [i, item] of items.entries()) {
    assert.ok(isEqual(item.meta, expected[i].meta), head(item));
    const body = await bodyOf(store, item);
    assert.ok(isEqual(body, expected[i].body), head(item));
  }
  const positions = items.map((item) => item.position);
  assert.deepEqual(positions, [...positions].sort((a, b) => a - b));
}

function isEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

function checkLogs(store: Store, model: Model): void {
  assert.deepEqual(
    [...store.logs()].map((l) => [l, store.begin(l), store.end(l)]).sort(
      ([a], [b]) => a - b,
    ),
    [...model.logs].map(([l, { begin, end }]) => [l, begin, end]),
  );
}

function checkTable(store: Store, model: Model, table: number): void {
  const found = sorted(store.takeEntries(table));
  const wanted = sorted(model.tables.get(table) ?? []);
  assert.deepEqual(found.map(([k]) => k), wanted.map(([k]) => k));
  for (const [i, [k, v]] of found.entries()) {
    assert.ok(isEqual(v, wanted[i][1]), `table ${table} key ${k}`);
  }
}

function sorted(
  entries: Iterable<[number, Uint8Array]>,
): [number, Uint8Array][] {
  return [...entries].sort(([a], [b]) => a - b);
}

/** Fails unless a store that was just opened is as the model says. */
export async function checkOpened(store: Store, model: Model): Promise<void> {
  checkLogs(store, model);
  for (const t of [1, 2, 31]) checkTable(store, model, t);
  await checkItems(store, await readAll(store, store.logs()), model.live());
}

async function append(
  store: Store,
  model: Model,
  log: number,
  count: number,
  size: number,
): Promise<void> {
  const meta = pattern(size % 30, ++serial);
  const body = pattern(size, serial);
  const isBlob = meta.length + body.length > 56 * 1024;
  const known = model.logs.get(log);
  assert.ok(known !== undefined);
  const taken = isBlob ? 1 : count;
  let base: number;
  if (isBlob) {
    base = store.appendStaged(log, meta, await store.stage(body));
  } else {
    store.makeRoom(meta.length + body.length);
    base = store.append(log, count, meta, body);
  }
  assert.equal(base, known.end);
  known.end += taken;
  model.items.push({ log, base, count: taken, meta, body });
}

async function read(
  store: Store,
  model: Model,
  logs: readonly number[],
  step: { share: number; maxBytes: number },
): Promise<void> {
  const next = new Map<number, number>();
  for (const log of logs) {
    const known = model.logs.get(log);
    if (known !== undefined) {
      next.set(log, Math.floor(known.end * step.share));
    }
  }
  const wants = [...next].map(([log, from]) => ({ log, next: from }));
  const expected = model.live().filter((item) => {
    const from = next.get(item.log);
    return from !== undefined && item.base + item.count > from &&
      item.base + item.count <= store.committedEnd(item.log);
  });
  const results = await store.readInOrder(wants, step.maxBytes);
  assert.ok(results.length > 0 || expected.length === 0, "nothing was read");
  await checkItems(
    store,
    results as Item[],
    expected.slice(0, results.length),
  );
  const cached = store.readCached(wants, step.maxBytes);
  if (cached !== null) assert.equal(cached.length, results.length);
}

/** Does a step on both. */
export async function apply(
  store: Store,
  model: Model,
  s: Step,
): Promise<void> {
  switch (s.kind) {
    case "put": {
      const value = pattern(s.size, ++serial);
      store.put(s.table, s.key, value);
      const entries = model.tables.get(s.table) ?? new Map();
      model.tables.set(s.table, entries.set(s.key, value));
      break;
    }
    case "delete":
      store.delete(s.table, s.key);
      model.tables.get(s.table)?.delete(s.key);
      break;
    case "createLog":
      model.logs.set(store.createLog(), { begin: 0, end: 0 });
      break;
    case "dropLog": {
      const log = model.pick(s.n);
      if (log === undefined) break;
      store.dropLog(log);
      model.logs.delete(log);
      break;
    }
    case "append": {
      const log = model.pick(s.n);
      if (log === undefined) break;
      for (let i = 0; i < s.times; i++) {
        await append(store, model, log, s.count, s.size);
      }
      break;
    }
    case "blob": {
      const log = model.pick(s.n);
      if (log === undefined) break;
      await append(store, model, log, 1, s.size);
      break;
    }
    case "trim": {
      const log = model.pick(s.n);
      if (log === undefined) break;
      const known = model.logs.get(log);
      assert.ok(known !== undefined);
      const begin = Math.floor(known.end * s.share);
      store.trim(log, begin);
      known.begin = Math.max(known.begin, begin);
      break;
    }
    case "commit":
      store.commit();
      break;
    case "committed":
      await store.committed();
      checkLogs(store, model);
      break;
    case "burst":
      for (let i = 0; i < s.times; i++) {
        store.put(1, s.n * 1000 + i, NOTHING);
        const entries = model.tables.get(1) ?? new Map();
        model.tables.set(1, entries.set(s.n * 1000 + i, NOTHING));
        await store.committed();
      }
      break;
    case "read":
      await read(store, model, s.ns.map((i) => model.pick(i) ?? 0), s);
      break;
  }
}
