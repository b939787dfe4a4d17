/** Bundles at a daemon, on the fast road and on the safe one, in both directions. */

import assert from "node:assert/strict";
import { formatAddress } from "../../protocol/address.ts";
import { forEachRecord } from "../../protocol/batch.ts";
import { publishesOf } from "../../protocol/bundle.ts";
import {
  type Message,
  type MessageNamed,
  OUTCOME,
} from "../../protocol/messages.ts";
import type { Peer } from "../../protocol/peer.ts";
import { decodeRecord } from "../../protocol/record.ts";
import type { Daemon } from "../../daemon/daemon.ts";
import type { DaemonOptions } from "../../daemon/options.ts";
import { LINK_WINDOW_BYTES } from "../../daemon/upstream/flows.ts";
import { LIMITS } from "../../protocol/limits.ts";
import { Store } from "../../storage/store.ts";
import { MemoryNetwork } from "../../transport/memory.ts";
import { recordsInOrder } from "../helpers/bundles.ts";
import { TempFolder } from "../helpers/temp_folder.ts";
import {
  BROKER,
  bundleDelivery,
  logOf,
  ScriptedApp,
  ScriptedBroker,
  startDaemon,
} from "./wire_parts.ts";

type Text = readonly [topic: string, text: string];

/** Three topics in turn, of which one comes twice. */
const TEXTS: readonly Text[] = texts("abacab");
/** The sequences behind those of `TEXTS`. */
const BEHIND = { a: 4, b: 3, c: 2 };

/** A text for each topic, told by its place. */
function texts(topics: string, from = 1): Text[] {
  return [...topics].map((topic, i) => [topic, `${topic}${from + i}`]);
}

function wordsOf(all: readonly Text[]): string[] {
  return all.map(([, text]) => text);
}

/** A daemon between a broker and apps that are played by hand. */
class Stage implements AsyncDisposable {
  readonly network = new MemoryNetwork();
  readonly #options: Partial<DaemonOptions>;
  readonly #apps: ScriptedApp[] = [];
  #broker: ScriptedBroker | null = null;
  #daemon: Daemon | null = null;

  private constructor(options: Partial<DaemonOptions>) {
    this.#options = options;
  }

  static async open(
    options: Partial<DaemonOptions> & { withBroker?: boolean } = {},
  ): Promise<Stage> {
    const { withBroker = true, ...rest } = options;
    const stage = new Stage(rest);
    if (withBroker) stage.startBroker();
    await stage.start();
    return stage;
  }

  get broker(): ScriptedBroker {
    assert.ok(this.#broker !== null);
    return this.#broker;
  }

  get daemon(): Daemon {
    assert.ok(this.#daemon !== null);
    return this.#daemon;
  }

  startBroker(): ScriptedBroker {
    return this.#broker = new ScriptedBroker(this.network);
  }

  async start(): Promise<void> {
    this.#daemon = await startDaemon(this.network, this.#options);
  }

  async stop(): Promise<void> {
    await this.#daemon?.stop();
  }

  /** The link ends; gives the next one. */
  cut(): Promise<Peer> {
    const next = this.broker.nextLink();
    this.network.cut(BROKER);
    return next;
  }

  async connect(app: ScriptedApp): Promise<ScriptedApp> {
    this.#apps.push(app);
    const { address, token } = this.daemon;
    return await app.connect(this.network, formatAddress(address), token);
  }

  async attach(
    name: string,
    credit = 0,
    features?: readonly string[],
  ): Promise<ScriptedApp> {
    const app = new ScriptedApp(name);
    app.features = features;
    await this.connect(app);
    await app.attach(credit);
    return app;
  }

  /** The handle of an app over another connection. */
  async again(app: ScriptedApp, credit = 0): Promise<ScriptedApp> {
    const next = new ScriptedApp(app.name, app.handle, app.incarnation);
    await this.connect(next);
    await next.attach(credit, [], false);
    return next;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const app of this.#apps) await app.close();
    await this.stop();
    await this.#broker?.stop();
  }
}

type Published = MessageNamed<"PUBLISH"> | MessageNamed<"BUNDLE">;

/** The requests of a message that publishes, with their topics. */
function requestsOf(message: Published): [topic: string, request: number][] {
  return message.type === "PUBLISH"
    ? [[message.topic, message.request]]
    : message.topics.map((topic, i) => [topic, message.parts[5 * i]]);
}

/** The texts that a message publishes or delivers, in the order of publishing. */
function textsOf(message: Message): string[] {
  const words: string[] = [];
  const take = (content: Uint8Array) => {
    words.push(decodeRecord(content).value as string);
  };
  if (message.type === "BUNDLE" || message.type === "DELIVER_BUNDLE") {
    for (const [, content] of recordsInOrder(message)) take(content);
  } else if (message.type === "PUBLISH" || message.type === "DELIVER") {
    forEachRecord(message.batch, take);
  }
  return words;
}

function receipt(request: number, offset: number | null = null): Message {
  return { type: "RECEIPT", request, level: 1, offset };
}

function refusal(request: number, code: string, last?: number): Message {
  const details = last === undefined ? null : new Map([["last", last]]);
  return {
    type: "ERROR",
    request,
    code,
    message: "as the test wants it",
    details,
  };
}

/** Reads so many texts at the broker and answers for each batch. */
async function takeAll(
  { broker }: Stage,
  count: number,
): Promise<{ words: string[]; messages: Published[] }> {
  const words: string[] = [];
  const messages: Published[] = [];
  while (words.length < count) {
    const message = await broker.tape.next("PUBLISH", "BUNDLE");
    messages.push(message);
    words.push(...textsOf(message));
    for (const [, request] of requestsOf(message)) {
      broker.peer!.send(receipt(request));
    }
  }
  return { words, messages };
}

/** Reads so many texts at an app. */
async function readAll(
  { tape }: ScriptedApp,
  count: number,
): Promise<{ words: string[]; types: string[] }> {
  const words: string[] = [];
  const types: string[] = [];
  while (words.length < count) {
    const message = await tape.next("DELIVER", "DELIVER_BUNDLE");
    types.push(message.type);
    words.push(...textsOf(message));
  }
  return { words, types };
}

/** What so many requests are answered with, by request. */
async function answersOf(
  app: ScriptedApp,
  count: number,
): Promise<Map<number, number | string>> {
  const answers = new Map<number, number | string>();
  for (let n = 0; n < count; n++) {
    const answer = await app.tape.next("RECEIPT", "ERROR");
    assert.ok(answer.request !== null && !answers.has(answer.request));
    const told = answer.type === "ERROR" ? answer.code : answer.level;
    answers.set(answer.request, told);
  }
  return answers;
}

/** Every request with the same answer. */
function each(
  requests: Map<string, number>,
  answer: number | string,
): Map<number, number | string> {
  return new Map([...requests.values()].map((request) => [request, answer]));
}

function sorted<V>(map: Map<number, V>): [number, V][] {
  return [...map].sort(([a], [b]) => a - b);
}

/** Runs something while no disk has room; nothing else may run meanwhile. */
async function withFullDisk(run: () => Promise<void>): Promise<void> {
  const { canAppend } = Store.prototype;
  Store.prototype.canAppend = () => false;
  try {
    await run();
  } finally {
    Store.prototype.canAppend = canAppend;
  }
}

// Publishing

Deno.test("[P-8.12] Daemon passes a bundle on as one and answers part by part", async () => {
  await using stage = await Stage.open();
  const app = await stage.attach("ana");
  const requests = app.publishBundle(TEXTS, { wanted: 1 });
  const passed = await stage.broker.tape.next("BUNDLE");
  assert.deepEqual(passed.topics, ["a", "b", "c"]);
  assert.deepEqual(textsOf(passed), wordsOf(TEXTS));
  assert.deepEqual(passed.producer.toHex(), app.handle.toHex());
  const offsets = [3, 0, 7];
  // In another order than asked for: each is answered by itself.
  for (const [topic, request] of requestsOf(passed).reverse()) {
    stage.broker.peer!.send(
      receipt(request, offsets["abc".indexOf(topic)]),
    );
  }
  for (const topic of ["c", "b", "a"]) {
    assert.deepEqual(await app.tape.next("RECEIPT"), {
      type: "RECEIPT",
      request: requests.get(topic),
      level: 1,
      offset: offsets["abc".indexOf(topic)],
    });
  }
  assert.equal(stage.daemon.status().outbox?.messages, 0);
});

Deno.test("[P-3.8] Daemon refuses a bundle without its feature", async () => {
  await using stage = await Stage.open();
  const app = await stage.attach("ana", 0, []);
  app.publishBundle(TEXTS);
  assert.equal((await app.tape.next("ERROR")).code, "unsupported");
});

Deno.test("[P-8.12] Daemon refuses the part of a bundle that breaks a rule, and no other", async () => {
  await using stage = await Stage.open();
  const app = await stage.attach("ana");
  const requests = app.publishBundle([
    ["x y", "no"],
    ["a", "a1"],
    ["b", "b2"],
    ["a", "a3"],
    ["x y", "no"],
  ]);
  const error = await app.tape.next("ERROR");
  assert.deepEqual([error.request, error.code], [
    requests.get("x y"),
    "topic_invalid",
  ]);
  const passed = await stage.broker.tape.next("BUNDLE");
  assert.deepEqual(textsOf(passed), ["a1", "b2", "a3"]);
  const [[, a], [, b]] = requestsOf(passed);
  stage.broker.peer!.send(refusal(a, "store_replaced"));
  stage.broker.peer!.send(receipt(b, 5));
  const answers = await answersOf(app, 2);
  assert.deepEqual(
    answers,
    new Map<number, unknown>([
      [requests.get("a")!, "store_replaced"],
      [requests.get("b")!, 1],
    ]),
  );
});

Deno.test("[P-8.12] Daemon stores a bundle without a link and sends it as it came after a restart", async () => {
  await using folder = await TempFolder.make();
  await using stage = await Stage.open({
    data: folder.path,
    withBroker: false,
  });
  const app = await stage.attach("ana");
  const first = app.publishBundle(TEXTS);
  const second = app.publishBundle(texts("aabbac", 7), { firsts: BEHIND });
  const answers = await answersOf(app, 6);
  assert.deepEqual(
    sorted(answers),
    sorted(new Map([...each(first, 0), ...each(second, 0)])),
  );
  await app.close();
  await stage.stop();
  stage.startBroker();
  await stage.start();
  assert.equal(stage.daemon.status().outbox?.messages, 12);
  const { words, messages } = await takeAll(stage, 12);
  assert.deepEqual(words, [...wordsOf(TEXTS), ...wordsOf(texts("aabbac", 7))]);
  assert.deepEqual(messages.map(({ type }) => type), ["BUNDLE", "BUNDLE"]);
  const lasts = new Map<string, number>();
  const parts = messages.flatMap((message) =>
    message.type === "BUNDLE" ? publishesOf(message) : [message]
  );
  for (const part of parts) {
    const { topic, previous, firstSequence, count } = part;
    assert.equal(firstSequence, (lasts.get(topic) ?? 0) + 1);
    assert.equal(previous, firstSequence - 1);
    lasts.set(topic, firstSequence + count - 1);
  }
  // Nothing of it is left: what comes now is a bundle again.
  const back = await stage.again(app);
  back.publishBundle(texts("abc", 13), { firsts: { a: 7, b: 5, c: 3 } });
  const passed = await stage.broker.tape.next("BUNDLE", "PUBLISH");
  assert.deepEqual([passed.type, textsOf(passed)], [
    "BUNDLE",
    ["a13", "b14", "c15"],
  ]);
});

Deno.test("Daemon answers with level broker, too, for what went to its disk of a bundle", async () => {
  await using stage = await Stage.open({ withBroker: false });
  const app = await stage.attach("ana");
  const requests = app.publishBundle(TEXTS, { wanted: 1 });
  assert.deepEqual(sorted(await answersOf(app, 3)), sorted(each(requests, 0)));
  stage.startBroker();
  const { words } = await takeAll(stage, 6);
  assert.deepEqual(words, wordsOf(TEXTS));
  assert.deepEqual(sorted(await answersOf(app, 3)), sorted(each(requests, 1)));
});

Deno.test("Daemon sends bundles that a lost link had in flight once more, in order", async () => {
  await using stage = await Stage.open();
  const app = await stage.attach("ana");
  const { tape } = stage.broker;
  const all = [
    app.publishBundle(TEXTS),
    app.publishBundle(texts("abacab", 7), { firsts: BEHIND }),
  ];
  for (const _ of all) await tape.next("BUNDLE");
  await stage.cut();
  const answers = await answersOf(app, 6);
  const expected = all.flatMap((requests) => [...each(requests, 0)]);
  assert.deepEqual(sorted(answers), sorted(new Map(expected)));
  const third = app.publishBundle(texts("cba", 13), {
    firsts: { a: 7, b: 5, c: 3 },
  });
  const { words } = await takeAll(stage, 15);
  assert.deepEqual(words, [
    ...wordsOf(TEXTS),
    ...wordsOf(texts("abacab", 7)),
    ...["c13", "b14", "a15"],
  ]);
  assert.deepEqual(
    [...(await answersOf(app, 3)).keys()].sort(),
    [
      ...third.values(),
    ].sort(),
  );
});

Deno.test("Daemon sends only the unanswered parts of a bundle again, in order", async () => {
  await using stage = await Stage.open();
  const app = await stage.attach("ana");
  app.publishBundle(TEXTS);
  const [[, a]] = requestsOf(await stage.broker.tape.next("BUNDLE"));
  stage.broker.peer!.send(receipt(a, 0));
  assert.equal((await app.tape.next("RECEIPT")).level, 1);
  await stage.cut();
  const { words } = await takeAll(stage, 3);
  assert.deepEqual(words, ["b2", "c4", "b6"]);
});

Deno.test("Daemon without room on its disk keeps bundles in flight and sends them again as they were", async () => {
  await using stage = await Stage.open();
  const app = await stage.attach("ana");
  const { tape } = stage.broker;
  await withFullDisk(async () => {
    const all = [
      app.publishBundle(TEXTS),
      app.publishBundle(texts("abacab", 7), { firsts: BEHIND }),
    ];
    for (const _ of all) await tape.next("BUNDLE");
    await stage.cut();
    const { words, messages } = await takeAll(stage, 12);
    assert.deepEqual(words, [
      ...wordsOf(TEXTS),
      ...wordsOf(texts("abacab", 7)),
    ]);
    assert.deepEqual(messages.map(({ type }) => type), ["BUNDLE", "BUNDLE"]);
    const answers = await answersOf(app, 6);
    const expected = all.flatMap((requests) => [...each(requests, 1)]);
    assert.deepEqual(sorted(answers), sorted(new Map(expected)));
  });
});

Deno.test("Daemon refuses each part of a bundle that its outbox or its disk has no room for", async () => {
  await using stage = await Stage.open({
    withBroker: false,
    outboxBytesMax: 20,
  });
  const app = await stage.attach("ana");
  const first = app.publishBundle(TEXTS);
  assert.deepEqual(
    sorted(await answersOf(app, 3)),
    sorted(each(first, "outbox_full")),
  );
  await withFullDisk(async () => {
    const requests = app.publishBundle(texts("ab"));
    assert.deepEqual(
      sorted(await answersOf(app, 2)),
      sorted(each(requests, "storage_full")),
    );
  });
  assert.equal(stage.daemon.status().outbox?.messages, 0);
  // Nothing of it had been taken: the numbers are the next ones.
  const third = app.publishBundle(texts("ab"));
  assert.deepEqual(sorted(await answersOf(app, 2)), sorted(each(third, 0)));
});

Deno.test("Daemon joins a bundle that comes again over another connection to what is on its way", async () => {
  await using stage = await Stage.open();
  const app = await stage.attach("ana");
  const { tape } = stage.broker;
  await withFullDisk(async () => {
    app.publishBundle(TEXTS);
    const passed = await tape.next("BUNDLE");
    await app.close();
    const back = await stage.again(app);
    // With another topic behind what is on its way.
    const requests = back.publishBundle([...TEXTS, ["d", "d7"]]);
    const rest = await tape.next("PUBLISH", "BUNDLE");
    assert.deepEqual(textsOf(rest), ["d7"]);
    for (const message of [passed, rest]) {
      for (const [, request] of requestsOf(message)) {
        stage.broker.peer!.send(receipt(request, 0));
      }
    }
    const answers = await answersOf(back, 4);
    assert.deepEqual(sorted(answers), sorted(each(requests, 1)));
  });
});

Deno.test("Daemon takes of a bundle what it does not have, in order", async () => {
  await using stage = await Stage.open({ withBroker: false });
  const app = await stage.attach("ana");
  // Of a the first, of b all, of c nothing is stored.
  app.publishBundle([["b", "b1"], ["a", "a2"], ["b", "b3"]]);
  await answersOf(app, 2);
  await app.close();
  const back = await stage.again(app);
  const requests = back.publishBundle([
    ["b", "b1"],
    ["a", "a2"],
    ["b", "b3"],
    ["a", "a4"],
    ["c", "c5"],
    ["a", "a6"],
  ]);
  const answers = await answersOf(back, 3);
  assert.deepEqual(sorted(answers), sorted(each(requests, 0)));
  stage.startBroker();
  const { words } = await takeAll(stage, 6);
  assert.deepEqual(words, ["b1", "a2", "b3", "a4", "c5", "a6"]);
});

Deno.test("Daemon gives a bundle that is out of sequence back to its app, part by part", async () => {
  await using stage = await Stage.open();
  const app = await stage.attach("ana");
  const { tape } = stage.broker;
  app.publishBundle(TEXTS, { wanted: 1 });
  await takeAll(stage, 6);
  await answersOf(app, 3);
  await withFullDisk(async () => {
    const more = texts("abacab", 7);
    const firsts = { ...BEHIND, a: 6 };
    const requests = app.publishBundle(more, { firsts });
    const passed = await tape.next("BUNDLE");
    const lasts = [3, 2, 1];
    for (const [i, [, request]] of requestsOf(passed).entries()) {
      stage.broker.peer!.send(refusal(request, "out_of_sequence", lasts[i]));
    }
    for (const [i, topic] of ["a", "b", "c"].entries()) {
      const error = await app.tape.next("ERROR");
      assert.deepEqual(
        [error.request, error.code, error.details?.get("last")],
        [requests.get(topic), "out_of_sequence", lasts[i]],
      );
    }
    const again = app.publishBundle(more, { firsts: BEHIND });
    const { words, messages } = await takeAll(stage, 6);
    assert.deepEqual(words, wordsOf(more));
    assert.deepEqual(messages.map(({ type }) => type), ["BUNDLE"]);
    assert.deepEqual(sorted(await answersOf(app, 3)), sorted(each(again, 1)));
  });
});

Deno.test("Daemon sends a bundle as one whose numbers lie before what was refused", async () => {
  await using stage = await Stage.open();
  const app = await stage.attach("ana");
  const { tape } = stage.broker;
  app.publishBundle(TEXTS, { wanted: 1 });
  await takeAll(stage, 6);
  await answersOf(app, 3);
  app.publish("a", 6, "too early");
  const { request } = await tape.next("PUBLISH");
  stage.broker.peer!.send(refusal(request, "store_replaced"));
  assert.equal((await app.tape.next("ERROR")).code, "store_replaced");
  const more = texts("bacaba", 7);
  app.publishBundle(more, { firsts: BEHIND });
  const { words, messages } = await takeAll(stage, 6);
  assert.deepEqual(words, wordsOf(more));
  assert.deepEqual(messages.map(({ type }) => type), ["BUNDLE"]);
});

Deno.test("[P-8.2] Daemon tells of a hole where it knows that something was refused", async () => {
  await using stage = await Stage.open();
  const app = await stage.attach("ana");
  const { tape } = stage.broker;
  app.publish("a", 1, "a1", 1);
  await takeAll(stage, 1);
  assert.equal((await app.tape.next("RECEIPT")).level, 1);
  app.publish("a", 2, "no");
  const { request } = await tape.next("PUBLISH");
  stage.broker.peer!.send(refusal(request, "store_replaced"));
  assert.equal((await app.tape.next("ERROR")).code, "store_replaced");
  // An app that had not heard of that yet: sent back, others would overtake it.
  app.publishBundle(texts("ab"), { firsts: { a: 3 } });
  const { parts } = await tape.next("BUNDLE");
  assert.deepEqual(parts.slice(1, 3), [1, 3]);
});

Deno.test("Daemon sends once more what it has stored of a bundle that was out of sequence", async () => {
  await using stage = await Stage.open();
  const app = await stage.attach("ana");
  app.publishBundle(TEXTS);
  const passed = await stage.broker.tape.next("BUNDLE");
  // The link is silent: it goes to the disk, too.
  await answersOf(app, 3);
  const { peer } = stage.broker;
  // Each part follows what the broker has: none was accepted because of another.
  for (const [, request] of requestsOf(passed)) {
    peer!.send(refusal(request, "out_of_sequence", 0));
  }
  const { words } = await takeAll(stage, 6);
  assert.deepEqual(words.toSorted(), wordsOf(TEXTS).toSorted());
  assert.equal(stage.broker.peer, peer, "the link ended");
});

Deno.test("[P-8.2] Daemon tells of each run from its disk what lies before it", async () => {
  await using folder = await TempFolder.make();
  await using stage = await Stage.open({
    data: folder.path,
    withBroker: false,
  });
  const app = await stage.attach("ana");
  app.publishBundle(TEXTS);
  await answersOf(app, 3);
  stage.startBroker().features = [];
  const { tape } = stage.broker;
  const sent: MessageNamed<"PUBLISH">[] = [];
  for (const _ of TEXTS) sent.push(await tape.next("PUBLISH"));
  stage.broker.peer!.send(receipt(sent[0].request));
  while (stage.daemon.status().outbox!.messages > 5) await app.peer.ping(100);
  await app.close();
  await stage.stop();
  await stage.start();
  const told: unknown[] = [];
  while (told.length < 5) {
    const { topic, previous, firstSequence } = await tape.next("PUBLISH");
    told.push([topic, previous, firstSequence]);
  }
  assert.deepEqual(told, [
    ["b", 0, 1],
    ["a", 1, 2],
    ["c", 0, 1],
    ["a", 2, 3],
    ["b", 1, 2],
  ]);
});

Deno.test("[P-8.9] Daemon keeps a bundle's order towards a broker that takes no bundles", async () => {
  await using stage = await Stage.open({ withBroker: false });
  stage.startBroker().features = [];
  const app = await stage.attach("ana");
  app.publish("z", 1, "z0", 1);
  await takeAll(stage, 1);
  const requests = app.publishBundle(TEXTS, { wanted: 1 });
  const { words, messages } = await takeAll(stage, 6);
  assert.deepEqual(words, wordsOf(TEXTS));
  assert.ok(messages.every(({ type }) => type === "PUBLISH"));
  const levels = new Map<number, number>();
  while ([...requests.values()].some((each) => levels.get(each) !== 1)) {
    const { request, level } = await app.tape.next("RECEIPT");
    levels.set(request, level);
  }
});

Deno.test("[P-8.9] Daemon keeps a bundle's order when the broker has no room for a while", async () => {
  await using stage = await Stage.open();
  const app = await stage.attach("ana");
  const { tape } = stage.broker;
  app.publishBundle(TEXTS);
  const passed = await tape.next("BUNDLE");
  // The link is silent: it goes to the disk, too.
  await answersOf(app, 3);
  for (const [, request] of requestsOf(passed)) {
    stage.broker.peer!.send(refusal(request, "storage_full"));
  }
  const { words } = await takeAll(stage, 6);
  assert.deepEqual(words, wordsOf(TEXTS));
});

Deno.test("[P-8.9] Daemon keeps a bundle's order while it rests for another app", async () => {
  await using stage = await Stage.open();
  const app = await stage.attach("ana");
  const other = await stage.attach("ben");
  const { tape } = stage.broker;
  other.publish("z", 1, "z0");
  const { request } = await tape.next("PUBLISH");
  await answersOf(other, 1);
  stage.broker.peer!.send(refusal(request, "storage_full"));
  assert.equal(await stage.broker.peer!.ping(1_000), true);
  app.publishBundle(TEXTS);
  app.publishBundle(texts("abacab", 7), { firsts: BEHIND });
  const { words } = await takeAll(stage, 13);
  assert.deepEqual(words.filter((word) => word !== "z0"), [
    ...wordsOf(TEXTS),
    ...wordsOf(texts("abacab", 7)),
  ]);
});

// Deliveries

Deno.test("[P-6.9] Daemon hands a bundle over as one to who agreed, else in consecutive records", async () => {
  await using stage = await Stage.open();
  const apps = [
    await stage.attach("ana", 1 << 20),
    await stage.attach("ben", 1 << 20, []),
  ];
  const { tape } = stage.broker;
  const refs = [
    (await tape.next("ATTACH")).ref,
    (await tape.next("ATTACH")).ref,
  ];
  stage.broker.peer!.send(bundleDelivery(refs, 100, texts("abbaca")));
  const [agreed, plain] = [
    await readAll(apps[0], 6),
    await readAll(apps[1], 6),
  ];
  assert.deepEqual(agreed, {
    words: wordsOf(texts("abbaca")),
    types: ["DELIVER_BUNDLE"],
  });
  assert.deepEqual(plain, {
    words: wordsOf(texts("abbaca")),
    types: Array.from({ length: 5 }, () => "DELIVER"),
  });
  const outcomes = [OUTCOME.delivered, logOf("a"), 0, 3];
  apps[0].peer.send({ type: "ACK", ref: 1, number: 1, outcomes });
  const ack = await tape.next("ACK");
  assert.deepEqual([ack.ref, ack.outcomes], [refs[0], outcomes]);
});

Deno.test("[P-8.9] Daemon has a bundle that nobody took in its inbox, in order, also after a restart", async () => {
  await using folder = await TempFolder.make();
  await using stage = await Stage.open({ data: folder.path });
  const app = await stage.attach("ana");
  const { ref } = await stage.broker.tape.next("ATTACH");
  const link = stage.broker.peer!;
  link.send(bundleDelivery([ref], 100, TEXTS));
  link.send(bundleDelivery([ref], 101, texts("abacab", 7), {
    bases: { a: 3, b: 2, c: 1 },
  }));
  const inCustody = new Set<string>();
  while (inCustody.size < 12) {
    const { outcomes } = await stage.broker.tape.next("ACK");
    for (let i = 0; i < outcomes.length; i += 4) {
      const [outcome, log, from, to] = outcomes.slice(i, i + 4);
      assert.equal(outcome, OUTCOME.custody);
      for (let at = from; at < to; at++) {
        assert.ok(!inCustody.has(`${log}:${at}`));
        inCustody.add(`${log}:${at}`);
      }
    }
  }
  app.peer.send({ type: "CREDIT", ref: 1, total: 100 });
  const expected = [...wordsOf(TEXTS), ...wordsOf(texts("abacab", 7))];
  const some = await readAll(app, 2);
  assert.deepEqual(some.words, expected.slice(0, 2));
  await app.close();
  await stage.stop();
  stage.network.down();
  await stage.start();
  stage.network.up();
  const back = await stage.again(app, 1 << 20);
  const { words } = await readAll(back, 12);
  assert.deepEqual(words, expected);
});

Deno.test("[P-6.6] Daemon hands a bundle over to a small window run by run, never more than granted", async () => {
  for (const window of [40, 60, 120]) {
    await using stage = await Stage.open();
    const app = await stage.attach("ana", window);
    const { ref } = await stage.broker.tape.next("ATTACH");
    stage.broker.peer!.send(bundleDelivery([ref], 100, TEXTS));
    const words: string[] = [];
    let granted = window;
    let spent = 0;
    while (words.length < 6) {
      const message = await app.tape.next("DELIVER", "DELIVER_BUNDLE");
      words.push(...textsOf(message));
      const parts = message.type === "DELIVER" ? 1 : message.topics.length;
      spent += message.batch.length + 32 * parts;
      assert.ok(spent <= granted, `${spent} of ${granted}`);
      granted = spent + window;
      app.peer.send({ type: "CREDIT", ref: 1, total: granted });
    }
    assert.deepEqual(words, wordsOf(TEXTS));
    // It had not to wait on the disk for that.
    assert.ok(!stage.broker.tape.types().includes("ACK"));
  }
});

Deno.test("[P-6.9] Daemon lets a bundle wait whole for a window that will have room for it", async () => {
  await using stage = await Stage.open();
  const bundle = bundleDelivery([0], 0, TEXTS) as MessageNamed<
    "DELIVER_BUNDLE"
  >;
  const cost = 3 * 32 + bundle.batch.length;
  const app = await stage.attach("ana", 2 * cost - 1);
  const { ref } = await stage.broker.tape.next("ATTACH");
  for (const n of [0, 1]) {
    stage.broker.peer!.send(bundleDelivery([ref], 100 + n, TEXTS, {
      bases: { a: 3 * n, b: 2 * n, c: n },
    }));
  }
  const { types } = await readAll(app, 6);
  assert.deepEqual(types, ["DELIVER_BUNDLE"]);
  assert.equal(await stage.broker.peer!.ping(1_000), true);
  assert.equal(await app.peer.ping(1_000), true);
  assert.deepEqual(app.tape.types(), []);
  app.peer.send({ type: "CREDIT", ref: 1, total: 2 * cost });
  assert.deepEqual((await readAll(app, 6)).types, ["DELIVER_BUNDLE"]);
});

Deno.test("Daemon hands over of a bundle what its app does not hold, in order", async () => {
  await using stage = await Stage.open();
  const app = new ScriptedApp("ana");
  await stage.connect(app);
  await app.attach(1 << 20, [
    ...[OUTCOME.held, logOf("a"), 1, 2],
    ...[OUTCOME.held, logOf("b"), 0, 2],
  ]);
  const { ref } = await stage.broker.tape.next("ATTACH");
  const outcomes = [OUTCOME.delivered, logOf("b"), 0, 2];
  app.peer.send({ type: "ACK", ref: 1, number: 1, outcomes });
  await stage.broker.tape.next("ACK");
  // Begun before the broker heard of what the app has.
  stage.broker.peer!.send(bundleDelivery([ref], 100, TEXTS));
  const { words } = await readAll(app, 3);
  assert.deepEqual(words, ["a1", "c4", "a5"]);
});

Deno.test("Daemon drops a bundle whose time is up and tells the broker of each part", async () => {
  await using stage = await Stage.open();
  const app = await stage.attach("ana", 1 << 20);
  const { ref } = await stage.broker.tape.next("ATTACH");
  stage.broker.peer!.send(bundleDelivery([ref], 100, TEXTS, {
    attributes: new Map([[1, 0]]),
  }));
  const expired = new Set<number>();
  while (expired.size < 3) {
    const { outcomes } = await stage.broker.tape.next("ACK");
    for (let i = 0; i < outcomes.length; i += 4) {
      assert.equal(outcomes[i], OUTCOME.expired);
      expired.add(outcomes[i + 1]);
    }
  }
  assert.deepEqual(app.tape.types(), []);
});

Deno.test("[P-6.6] Daemon gives back the credit of bundles, the user's and the link's", async () => {
  await using stage = await Stage.open();
  await stage.attach("ana", 1 << 30);
  const { tape } = stage.broker;
  const { ref, credit } = await tape.next("ATTACH");
  const large = [..."abab"].map((topic) =>
    [topic, "x".repeat(12_000)] as const
  );
  let granted = credit;
  let spent = 0;
  let linkTotal = 0;
  const hear = async () => {
    const { ref, total } = await tape.next("CREDIT");
    if (ref === null) linkTotal = total;
    else granted = total;
  };
  // A quarter of the link's window, and some more.
  for (let n = 0; spent < LINK_WINDOW_BYTES / 4 + 100_000; n++) {
    const bundle = bundleDelivery([ref], 100 + n, large, {
      bases: { a: 2 * n, b: 2 * n },
    }) as MessageNamed<"DELIVER_BUNDLE">;
    const cost = 2 * 32 + bundle.batch.length;
    while (spent + cost > granted) await hear();
    stage.broker.peer!.send(bundle);
    spent += cost;
  }
  while (linkTotal === 0) await hear();
  assert.ok(linkTotal <= LINK_WINDOW_BYTES + spent);
  assert.ok(linkTotal >= LINK_WINDOW_BYTES * 5 / 4);
  assert.ok(granted <= spent + LIMITS.windowBytes);
});
