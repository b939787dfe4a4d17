import assert from "node:assert/strict";
import * as v from "../../deps/valibot.ts";
import { Coordinator, CoordinatorNode } from "../../coordinator/mod.ts";
import { type Clock, MomError } from "../../mod.ts";
import { eventually } from "../helpers/eventually.ts";
import { System } from "../helpers/system.ts";

/** One coordinator, and a daemon, in this process. */
class Stage implements AsyncDisposable {
  readonly #stack = new AsyncDisposableStack();

  private constructor(readonly system: System) {
    this.#stack.use(system);
  }

  static async start(hasNode = true): Promise<Stage> {
    const stage = new Stage(await System.start(["north"]));
    if (hasNode) await stage.startNode();
    return stage;
  }

  async startNode(): Promise<void> {
    const { address, token } = this.system.daemon("north");
    this.#stack.use(
      await CoordinatorNode.start({
        id: 1,
        of: 1,
        leaseMs: 300,
        daemon: address,
        token: token ?? undefined,
      }),
    );
  }

  async client(
    options: { leaseMs?: number; timeoutMs?: number; clock?: Clock } = {},
  ): Promise<Coordinator> {
    const mom = await this.system.connect("north");
    return this.#stack.use(
      await Coordinator.connect(mom, { of: 1, ...options }),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

async function codeOf(call: Promise<unknown>): Promise<string> {
  try {
    await call;
    return "none";
  } catch (error) {
    return error instanceof MomError ? error.code : String(error);
  }
}

Deno.test("Semaphore.wait() that ends by time or signal takes nothing", async () => {
  await using stage = await Stage.start();
  const [ana, ben] = [await stage.client(), await stage.client()];
  const door = ana.semaphore("door");
  await door.init(1);
  const permit = await door.wait();
  const ending = new AbortController();
  const aborted = ben.semaphore("door").wait({ signal: ending.signal });
  const late = ben.semaphore("door").wait({ timeoutMs: 30 });
  assert.equal(await codeOf(late), "timed_out");
  ending.abort(new Error("enough"));
  assert.equal(await codeOf(aborted), "Error: enough");
  const done = ben.semaphore("door").wait({ signal: ending.signal });
  assert.equal(await codeOf(done), "Error: enough");
  await permit.release();
  await permit.release();
  const again = await door.wait({ timeoutMs: 5_000 });
  assert(again.token > permit.token);
  await again.release();
});

Deno.test("Permit is given back at the end of its block, by close(), and by signal()", async () => {
  await using stage = await Stage.start();
  const [ana, ben] = [await stage.client(), await stage.client()];
  const door = ana.semaphore("door");
  const next = () => ben.semaphore("door").wait({ timeoutMs: 5_000 });
  await door.init(1);
  {
    await using permit = await door.wait();
    assert.equal(permit.name, "DOOR");
  }
  await (await next()).release();
  {
    await using _permit = await door.wait();
    // The original's way; the block's end gives nothing back a second time.
    await door.signal();
  }
  const one = await next();
  const other = ana.semaphore("door").wait({ timeoutMs: 100 });
  assert.equal(await codeOf(other), "timed_out");
  await one.release();
  await door.wait();
  const waiting = next();
  await ana.close();
  await (await waiting).release();
  assert.equal(await codeOf(door.wait()), "closed");
});

Deno.test("Semaphore.wait() that consumes leaves nothing to be given back", async () => {
  await using stage = await Stage.start();
  const [ana, ben] = [await stage.client(), await stage.client()];
  await ana.semaphore("ready").init(0);
  const taken = ben.semaphore("ready").wait({ consume: true });
  await ana.semaphore("ready").signal();
  await (await taken).release();
  await ben.close();
  const none = ana.semaphore("ready").wait({ timeoutMs: 100 });
  assert.equal(await codeOf(none), "timed_out");
});

Deno.test("a client that is not heard of loses its permits, and hears it", async () => {
  await using stage = await Stage.start();
  // Its timers never ring again once it is asleep.
  let isAsleep = false;
  const clock: Clock = {
    wallMs: () => Date.now(),
    monotonicMs: () => performance.now(),
    setTimer(delayMs, callback) {
      const id = setTimeout(() => isAsleep || callback(), delayMs);
      return { cancel: () => clearTimeout(id) };
    },
  };
  const ana = await stage.client({ leaseMs: 400, clock });
  const ben = await stage.client();
  await ana.semaphore("door").init(1);
  const permit = await ana.semaphore("door").wait();
  isAsleep = true;
  const taken = await ben.semaphore("door").wait({ timeoutMs: 10_000 });
  assert(taken.token > permit.token);
  assert.equal(await codeOf(permit.release()), "lease_lost");
  assert(permit.isLost);
  // It goes on in a new session.
  isAsleep = false;
  await taken.release();
  await (await ana.semaphore("door").wait({ timeoutMs: 10_000 })).release();
});

Deno.test("SharedValue checks what it writes and reads by its schema", async () => {
  await using stage = await Stage.start();
  const ana = await stage.client();
  const typed = ana.value("free", v.object({ places: v.number() }));
  const plain = ana.value("FREE");
  await typed.init({ places: 6 });
  assert.deepEqual(await plain.read(), { places: 6 });
  const wrong = { places: "six" } as unknown as { places: number };
  assert.equal(await codeOf(typed.write(wrong)), "value_unsupported");
  assert.equal(await codeOf(plain.write(new Map())), "value_unsupported");
  await plain.write({ places: null });
  assert.equal(await codeOf(typed.read()), "value_unsupported");
  const kinds = [null, undefined, 2n ** 60n, -0, "ü", new Uint8Array([1, 2])];
  for (const kind of kinds) {
    await plain.write(kind);
    assert.deepEqual(await plain.read(), kind);
    assert.equal(await plain.compareAndSet(kind, [kind]), true);
    assert.equal(await plain.compareAndSet(kind, kind), false);
  }
  const large = "x".repeat(1024 * 1024 + 1);
  assert.equal(await codeOf(plain.write(large)), "message_too_large");
  await plain.destroy();
  assert.equal(await codeOf(plain.read()), "unknown_name");
});

Deno.test("hundreds of waits of one client are all served, and do not hold up its release", async () => {
  await using stage = await Stage.start();
  const ana = await stage.client();
  const door = ana.semaphore("door");
  await door.init(1);
  let inside = 0;
  const tokens: number[] = [];
  await Promise.all(
    Array.from({ length: 400 }, async () => {
      await using permit = await door.wait();
      assert.equal(++inside, 1);
      tokens.push(permit.token);
      inside--;
    }),
  );
  assert.deepEqual(tokens, Array.from({ length: 400 }, (_, i) => i + 1));
});

Deno.test("operations wait for coordinators that are not there yet, for as long as they may", async () => {
  await using stage = await Stage.start(false);
  const ana = await stage.client();
  const impatient = ana.semaphore("door").signal({ timeoutMs: 50 });
  assert.equal(await codeOf(impatient), "timed_out");
  const init = ana.semaphore("door").init(1);
  await stage.startNode();
  await init;
  assert.equal(await codeOf(ana.semaphore("door").init(1)), "exists");
  await ana.close();
});

Deno.test("wrong options and names are refused before anything is sent", async () => {
  await using stage = await Stage.start(false);
  const mom = await stage.system.connect("north");
  const connect = (options: unknown) =>
    codeOf(Coordinator.connect(mom, options as { of: number }));
  assert.equal(await connect({ of: 0 }), "option_invalid");
  assert.match(await connect({ of: "3" }), /^TypeError/);
  assert.match(await connect({}), /^TypeError/);
  assert.equal(await connect({ of: 3, leaseMs: 1 }), "option_invalid");
  assert.equal(await connect({ of: 3, group: "a b" }), "option_invalid");
  const ana = await stage.client();
  for (const name of ["", "x".repeat(201), "\ud800"]) {
    assert.throws(() => ana.semaphore(name), { code: "name_invalid" });
    assert.throws(() => ana.value(name), { code: "name_invalid" });
  }
  const wait = ana.semaphore("s").wait({ timeoutMs: -1 });
  assert.equal(await codeOf(wait), "option_invalid");
  await mom.close();
  assert.equal(await connect({ of: 1 }), "closed");
});

Deno.test("the app's handle gets nothing of what is for the coordinators' client", async () => {
  await using stage = await Stage.start();
  const mom = await stage.system.connect("north");
  await mom.subscribe("#");
  const ana = await Coordinator.connect(mom, { of: 1 });
  await using _ = ana;
  await ana.value("x").init(1);
  assert.equal(await ana.value("x").read(), 1);
  const topics = new Set<string>();
  await eventually("a reply, seen by who subscribes to all", async () => {
    const message = await mom.receive({ timeoutMs: 100 });
    if (message !== null) topics.add(message.topic);
    return topics.has(`coordinator/reply/${ana.client}`);
  });
});
