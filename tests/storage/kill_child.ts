/**
 * Appends without end and prints what is confirmed, one JSON array a line:
 * `[position, begin, end]` per log. To be killed: see `kill_test.ts`.
 *
 * Each log's end is also an entry of table 1, put in the same commit; bodies
 * follow from log and offset.
 */

import { systemClock, systemEntropy } from "../../protocol/clock.ts";
import { Store } from "../../storage/store.ts";
import { bodyOf, encodeEnd, LOGS } from "./_kill_data.ts";

async function main(data: string): Promise<void> {
  const store = await Store.open({
    data,
    role: "broker",
    clock: systemClock,
    entropy: systemEntropy,
    onFailed: (error) => {
      throw error;
    },
    onSeal: () => {
      const logs = [...store.logs()];
      for (const log of logs) store.put(1, log, encodeEnd(store.end(log)));
      const told = logs.map((log) => [log, store.begin(log), store.end(log)]);
      return () => print([store.position, ...told]);
    },
    limits: { reserveBytes: 0, freeBytesMin: 0 },
  });
  const logs = [...store.logs()];
  while (logs.length < LOGS) logs.push(store.createLog());
  for (let turn = 0;; turn++) {
    for (const log of logs) await append(store, log, turn);
    const committed = store.committed();
    // Some turns wait, others run ahead.
    if (turn % 3 !== 0 || store.dirtyBytes > 3_000_000) await committed;
  }
}

async function append(store: Store, log: number, turn: number): Promise<void> {
  const items = (turn + log) % 7;
  for (let i = 0; i < items; i++) {
    const body = bodyOf(log, store.end(log));
    store.makeRoom(body.length);
    store.append(log, 1 + i, new Uint8Array(0), body);
  }
  if ((turn + log) % 17 === 0) {
    const offset = store.end(log);
    const blob = await store.stage(bodyOf(log, offset, 150_000));
    store.appendStaged(log, new Uint8Array(0), blob);
  }
  if (turn % 11 === 0) store.trim(log, store.end(log) - 100);
}

function print(value: unknown): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${JSON.stringify(value)}\n`));
}

if (import.meta.main) await main(Deno.args[0]);
