import assert from "node:assert/strict";
import * as v from "../../deps/valibot.ts";
import {
  type Message,
  type Mom,
  topic,
  TypedTopic,
} from "../../daemon/client.ts";
import { MomError } from "../../protocol/errors.ts";
import { ScriptedServer } from "./scripted_server.ts";

const door = topic(
  "museum/doors",
  v.object({ id: v.number(), open: v.boolean() }),
);

Deno.test("topic() checks its name and its schema", () => {
  const invalid = (error: unknown) =>
    error instanceof MomError && error.code === "topic_invalid";
  assert.throws(() => topic("a b", v.number()), invalid);
  assert.throws(() => topic("a/#", v.number()), invalid);
  assert.throws(() => topic("a", {} as never), TypeError);
  assert.throws(() => topic(5 as never, v.number()), TypeError);
  assert.ok(door instanceof TypedTopic);
  assert.equal(`${door}`, "museum/doors");
});

Deno.test("a valibot schema types and checks both ways", async () => {
  await using server = new ScriptedServer();
  const mom = await server.connect();
  await mom.subscribe(door);
  await mom.publish(door, { id: 1, open: true });
  await mom.receive({ timeoutMs: 0 });
  server.deliver("museum/doors", [{ id: "x" }, {
    id: 2,
    open: false,
    more: 1,
  }]);
  const message = await mom.receive();
  assert.ok(message !== null && door.is(message));
  const isOpen: boolean = message.value.open;
  assert.equal(isOpen, false);
  assert.deepEqual(message.value, { id: 2, open: false });
});

/** Never called: the compiler is the test. */
export function types(mom: Mom, message: Message): void {
  void mom.publish(door, { id: 1, open: true });
  // @ts-expect-error `open` is no string
  void mom.publish(door, { id: 1, open: "yes" });
  // @ts-expect-error `id` is missing
  void mom.publishMany(door, [{ open: true }]);
  void mom.publish("any", { what: "ever" });
  // @ts-expect-error unknown until it is known to be of the topic
  void message.value.open;
  if (door.is(message)) void message.value.open;
}
