/**
 * What the table of behaviours rests on: who asks a driver that has been killed is
 * told so, also when its last answer was the reason to ask again.
 */
import assert from "node:assert/strict";
import { within } from "../helpers/eventually.ts";
import { failsWith } from "./world.ts";
import { DriverProcess } from "./driver_process.ts";

Deno.test("a driver that has ended answers no question, and says so", async () => {
  await using driver = new DriverProcess("TypeScript", null, {});
  // It is up: a handle that it does not have.
  await assert.rejects(driver.ask("close", { handle: 1 }));
  await driver.kill();
  const asked = failsWith("gone", driver.ask("close", { handle: 1 }));
  await within("the refusal", 5_000, asked);
});
