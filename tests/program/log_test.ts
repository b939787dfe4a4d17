import assert from "node:assert/strict";
import type { Clock } from "../../protocol/clock.ts";
import { MomError } from "../../protocol/errors.ts";
import {
  createLogger,
  type CreateLoggerOptions,
  silentLogger,
  withFields,
} from "../../program/log.ts";

const clock: Clock = {
  wallMs: () => Date.UTC(2026, 0, 2, 3, 4, 5, 678),
  monotonicMs: () => 0,
  setTimer: () => ({ cancel: () => {} }),
};

function collect(options: Omit<CreateLoggerOptions, "write"> = {}) {
  const lines: string[] = [];
  const logger = createLogger({
    clock,
    ...options,
    write: (line) => lines.push(line),
  });
  return { logger, lines };
}

Deno.test("createLogger() writes one JSON object a line, with time, level and event", () => {
  const { logger, lines } = collect();
  logger.warn("link_down", { reason: "a\nb", retryInMs: 5 });
  assert.equal(lines.length, 1);
  assert.equal(
    lines[0],
    '{"time":"2026-01-02T03:04:05.678Z","level":"warn","event":"link_down",' +
      '"reason":"a\\nb","retryInMs":5}\n',
  );
});

Deno.test("createLogger() lets no field replace time, level or event", () => {
  const { logger, lines } = collect();
  logger.info("started", { event: "other", level: "x", time: 1 });
  assert.deepEqual(JSON.parse(lines[0]!), {
    time: "2026-01-02T03:04:05.678Z",
    level: "info",
    event: "started",
  });
});

Deno.test("createLogger() tells errors with code, message and cause", () => {
  const { logger, lines } = collect();
  const cause = new TypeError("disk on fire");
  const error = new MomError("store_unavailable", "Cannot commit", { cause });
  logger.error("commit_failed", { error });
  assert.deepEqual(JSON.parse(lines[0]!).error, {
    code: "store_unavailable",
    message: "Cannot commit",
    cause: { name: "TypeError", message: "disk on fire" },
  });
});

Deno.test("createLogger() survives every kind of field", () => {
  const { logger, lines } = collect();
  const loop: Record<string, unknown> = {};
  loop.self = loop;
  logger.info("odd", {
    big: 2n ** 70n,
    loop,
    symbol: Symbol("s"),
    bytes: new Uint8Array(3),
    date: new Date(NaN),
    absent: undefined,
    f: () => 1,
  });
  const line = JSON.parse(lines[0]!);
  assert.equal(line.big, "1180591620717411303424");
  assert.equal(line.bytes, "3 bytes");
});

Deno.test("createLogger() writes readable lines with escaped control characters for people", () => {
  const { logger, lines } = collect({ format: "human" });
  logger.info("user_joined", {
    user: "ana@north",
    note: "two words",
    evil: "\u001b[2J\n",
  });
  assert.equal(
    lines[0],
    '03:04:05.678 INFO  user_joined user=ana@north note="two words" ' +
      'evil="\\u001b[2J\\n"\n',
  );
});

Deno.test("createLogger() leaves out what is below the level", () => {
  const { logger, lines } = collect({ level: "warn" });
  logger.debug("a");
  logger.info("b");
  logger.warn("c");
  logger.error("d");
  assert.deepEqual(lines.map((line) => JSON.parse(line).event), ["c", "d"]);
  const off = collect({ level: "off" });
  off.logger.error("e");
  silentLogger.error("f");
  assert.deepEqual(off.lines, []);
});

Deno.test("withFields() adds fields that the event's own go before", () => {
  const { logger, lines } = collect();
  withFields(logger, { role: "broker", user: "x" }).info("e", { user: "y" });
  const { role, user } = JSON.parse(lines[0]!);
  assert.deepEqual([role, user], ["broker", "y"]);
});
