import assert from "node:assert/strict";
import { formatAddress } from "../../protocol/address.ts";
import { LIMITS } from "../../protocol/limits.ts";
import { Windows } from "../../daemon/user/windows.ts";
import { MemoryNetwork } from "../../transport/memory.ts";
import { FakeClock } from "../helpers/fake_clock.ts";
import { withLowerLimits } from "../helpers/lower_limits.ts";
import {
  delivery,
  ScriptedApp,
  ScriptedBroker,
  startDaemon,
} from "./wire_parts.ts";

/** A window through which all that it takes passes, until it grows no more. */
function widest(windows: Windows, window: number): number {
  for (let passed = window;; passed += window) {
    const next = windows.grown(window, passed);
    if (next === window) return window;
    window = next;
  }
}

Deno.test("Windows lets a window grow with what passes, and no further than its most", () => {
  const windows = new Windows();
  const first = windows.open();
  assert.equal(first, LIMITS.windowBytesFirst);
  assert.equal(windows.grown(first, first - 1), first);
  assert.equal(windows.grown(first, first), 2 * first);
  assert.equal(widest(windows, 2 * first), LIMITS.windowBytes);
});

Deno.test("Windows lets all grow to a sum, and one that ends makes room for another", async () => {
  const windowBytesOfAll = 2 * LIMITS.windowBytes;
  await withLowerLimits({ windowBytesOfAll }, () => {
    const windows = new Windows();
    const grown = Array.from(
      { length: 10 },
      () => widest(windows, windows.open()),
    );
    const sum = grown.reduce((a, b) => a + b);
    assert(sum <= windowBytesOfAll + 10 * LIMITS.windowBytesFirst, `${sum}`);
    // Whoever comes late has what one begins with, and no less.
    assert.equal(grown.at(-1), LIMITS.windowBytesFirst);
    for (const window of grown.slice(0, 9)) windows.close(window);
    assert.equal(widest(windows, grown[9]), LIMITS.windowBytes);
    return Promise.resolve();
  });
});

Deno.test("Daemon grants a user little at first, and more as its app takes", async () => {
  const network = new MemoryNetwork();
  const broker = new ScriptedBroker(network);
  const daemon = await startDaemon(network);
  const app = new ScriptedApp("ana");
  await app.connect(network, formatAddress(daemon.address), daemon.token);
  await app.attach(LIMITS.windowBytes);
  const { ref, credit } = await broker.tape.next("ATTACH");
  assert.equal(credit, LIMITS.windowBytesFirst);
  const text = "x".repeat(30_000);
  let granted = credit;
  let cost = 0;
  let offset = 0;
  // Much more than was granted at any time, and all of it within that.
  while (cost < 1_500_000) {
    const message = delivery(ref, offset, text);
    assert(message.type === "DELIVER");
    const next = cost + message.batch.length + LIMITS.deliverOverheadBytes;
    if (next > granted) {
      const more = await broker.tape.next("CREDIT");
      if (more.ref === ref) granted = more.total;
      continue;
    }
    broker.peer!.send(message);
    await app.tape.next("DELIVER");
    cost = next;
    offset++;
  }
  assert(await broker.peer!.ping(2_000));
  while (broker.tape.types().includes("CREDIT")) {
    const more = await broker.tape.next("CREDIT");
    if (more.ref === ref) granted = more.total;
  }
  await app.close();
  await daemon.stop();
  await broker.stop();
  assert(granted - cost > 4 * credit, `${granted - cost} bytes are free`);
});

Deno.test("Daemon lets more come for many who are away in turn, not for all at once", async () => {
  const network = new MemoryNetwork();
  const broker = new ScriptedBroker(network);
  const time = new FakeClock();
  const daemon = await startDaemon(network, { clock: time });
  const address = formatAddress(daemon.address);
  const count = 120;
  const text = "x".repeat(50_000);
  const refs = new Set<number>();
  for (let n = 0; n < count; n++) {
    const app = new ScriptedApp(`user${n}`);
    await app.connect(network, address, daemon.token);
    await app.attach(0);
    const { ref } = await broker.tape.next("ATTACH");
    await app.close();
    refs.add(ref);
    broker.peer!.send(delivery(ref, 0, text));
    assert.equal((await broker.tape.next("ACK")).ref, ref);
  }
  const granted = async () => {
    assert(await broker.peer!.ping(2_000));
    while (broker.tape.types().includes("CREDIT")) {
      const { ref } = await broker.tape.next("CREDIT");
      if (ref !== null) refs.delete(ref);
    }
    return count - refs.size;
  };
  assert.equal(await granted(), 0);
  await time.run(250);
  const first = await granted();
  await time.run(250);
  const second = await granted();
  await daemon.stop();
  await broker.stop();
  // 4 MiB, and one more.
  assert.equal(first, Math.ceil(2 ** 22 / (text.length + 40)));
  assert.equal(second, count);
});
