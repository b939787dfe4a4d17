import assert from "node:assert/strict";
import { parseArgs } from "../../deps/cli.ts";
import * as v from "../../deps/valibot.ts";
import { MomError } from "../../protocol/errors.ts";
import { LIMITS } from "../../protocol/limits.ts";
import { versionLine } from "../../program/build.ts";
import { VERSION } from "../../protocol/version.ts";
import type { EndSignal, Host } from "../../program/host.ts";
import {
  runProgram,
  type RunProgramOptions,
  SECOND_SIGNAL_MS,
} from "../../program/run.ts";
import {
  describe,
  logLevelSetting,
  textSetting,
} from "../../program/setting_kinds.ts";

const SETTINGS = v.object({
  data: v.pipe(v.optional(textSetting, "d"), describe({ help: "Folder" })),
  logLevel: v.pipe(
    v.optional(logLevelSetting, "info"),
    describe({ help: "Level" }),
  ),
});

/** A process whose time, signals and end are in the test's hand. */
class FakeHost implements Host {
  readonly pid = 42;
  readonly args: string[];
  isOutputTerminal = false;
  isErrorTerminal = false;
  output = "";
  error = "";
  codes: number[] = [];
  isHidden = false;
  nowMs = 0;
  signal: (signal: EndSignal) => void = () => assert.fail("nobody listens");
  defect: (error: unknown) => void = () => assert.fail("nobody listens");
  timers = new Map<number, () => void>();
  readonly exited: Promise<number>;
  #onExit: (code: number) => void = () => {};

  constructor(...args: string[]) {
    this.args = args;
    this.exited = new Promise((resolve) => this.#onExit = resolve);
  }

  readonly environment = (): undefined => undefined;
  readonly clock = {
    wallMs: () => 0,
    monotonicMs: () => this.nowMs,
    setTimer: (delayMs: number, callback: () => void) => {
      this.timers.set(delayMs, callback);
      return { cancel: () => void this.timers.delete(delayMs) };
    },
  };

  writeOutput(text: string): void {
    this.output += text;
  }
  writeError(text: string): void {
    this.error += text;
  }
  onSignal(listener: (signal: EndSignal) => void): void {
    this.signal = listener;
  }
  onDefect(listener: (error: unknown) => void): void {
    this.defect = listener;
  }
  hideFiles(): boolean {
    return this.isHidden = true;
  }
  exit(code: number): void {
    this.codes.push(code);
    this.#onExit(code);
  }

  get events(): string[] {
    return this.error.split("\n").filter((line) => line.startsWith("{"))
      .map((line) => JSON.parse(line).event);
  }

  get errorLines(): string[] {
    return this.error.split("\n").filter((line) => line.startsWith("error:"));
  }
}

const READY = { address: "127.0.0.1:6270", http: null, data: "/d" };

function run(
  host: FakeHost,
  start: RunProgramOptions<typeof SETTINGS>["start"],
): Promise<void> {
  return runProgram({
    role: "broker",
    spec: { command: "broker", summary: "Tests.", settings: SETTINGS },
    parse: parseArgs,
    host,
    start,
  });
}

/** Lets everything run that waits for nothing but a turn. */
const turn = () => new Promise<void>((resolve) => setTimeout(resolve, 0));

Deno.test("runProgram() prints the ready line as JSON once it listens", async () => {
  const host = new FakeHost("--data", "x");
  let data = "";
  const running = run(host, (settings) => {
    data = settings.data;
    assert.equal(host.output, "");
    assert.equal(host.isHidden, true);
    return Promise.resolve({ ready: READY, stop: () => Promise.resolve() });
  });
  await turn();
  assert.equal(data, "x");
  assert.equal(
    host.output,
    '{"event":"listening","role":"broker","pid":42,' +
      '"address":"127.0.0.1:6270","http":null,"data":"/d"}\n',
  );
  host.signal("SIGTERM");
  await running;
  assert.deepEqual(host.codes, [0]);
});

Deno.test("runProgram() speaks to people on a terminal", async () => {
  const host = new FakeHost();
  host.isOutputTerminal = true;
  host.isErrorTerminal = true;
  const running = run(host, (_settings, logger) => {
    logger.info("hello", { a: 1 });
    const ready = { ...READY, http: "127.0.0.1:6271" };
    return Promise.resolve({ ready, stop: () => Promise.resolve() });
  });
  await turn();
  assert.match(host.output, /^mom broker listens on \S+, HTTP on 127\S+, data/);
  assert.match(host.error, /^00:00:00\.000 INFO {2}hello a=1$/m);
  host.signal("SIGINT");
  await running;
});

Deno.test("runProgram() prints help and version and ends with 0", async () => {
  const help = new FakeHost("--help");
  await run(help, () => assert.fail());
  assert.match(help.output, /^Tests\.\n\nUsage: broker \[flags\]/);
  const version = new FakeHost("--version");
  await run(version, () => assert.fail());
  assert.equal(version.output, `${versionLine()}\n`);
  assert.ok(version.output.startsWith(`mom ${VERSION} (`));
  assert.deepEqual([help.codes, version.codes], [[0], [0]]);
});

Deno.test("runProgram() ends with 2 and one line when the usage is bad", async () => {
  const host = new FakeHost("--log-level", "loud");
  await run(host, () => assert.fail());
  assert.deepEqual(host.codes, [2]);
  assert.match(
    host.error,
    /^error: option_invalid Cannot use --log-level "loud": expected .*\n$/,
  );
});

Deno.test("runProgram() ends with 1 and one line when it cannot start", async () => {
  const host = new FakeHost();
  await run(host, () =>
    Promise.reject(
      new MomError("data_in_use", 'Cannot open "/d":\n  held by process 7'),
    ));
  assert.deepEqual(host.codes, [1]);
  assert.equal(
    host.error,
    'error: data_in_use Cannot open "/d": held by process 7\n',
  );
});

Deno.test("runProgram() calls a defect internal and logs where it was", async () => {
  const host = new FakeHost();
  await run(host, () => Promise.reject(new TypeError("x is undefined")));
  assert.deepEqual(host.codes, [1]);
  assert.deepEqual(host.errorLines, ["error: internal x is undefined"]);
  assert.deepEqual(host.events, ["defect"]);
});

Deno.test("runProgram() ends with 1 when it cannot go on", async () => {
  const host = new FakeHost();
  let fail = (_: unknown) => {};
  const failed = new Promise<unknown>((resolve) => fail = resolve);
  const running = run(
    host,
    () => Promise.resolve({ ready: READY, stop: () => assert.fail(), failed }),
  );
  await turn();
  fail(new MomError("store_unavailable", "Cannot commit: disk is gone"));
  await running;
  assert.deepEqual(host.codes, [1]);
  assert.deepEqual(host.errorLines, [
    "error: store_unavailable Cannot commit: disk is gone",
  ]);
});

Deno.test("runProgram() ends with 1 at what nobody caught", async () => {
  const host = new FakeHost();
  void run(
    host,
    () => Promise.resolve({ ready: READY, stop: () => Promise.resolve() }),
  );
  await turn();
  host.defect(new RangeError("off by one"));
  assert.equal(await host.exited, 1);
  assert.deepEqual(host.errorLines, ["error: internal off by one"]);
});

Deno.test("runProgram() finishes what was accepted before it ends", async () => {
  const host = new FakeHost();
  let finish = () => {};
  let isStopping = false;
  const running = run(host, () =>
    Promise.resolve({
      ready: READY,
      stop: () => {
        isStopping = true;
        return new Promise<void>((resolve) => finish = resolve);
      },
    }));
  await turn();
  host.signal("SIGINT");
  await turn();
  assert.equal(isStopping, true);
  assert.deepEqual(host.codes, []);
  finish();
  await running;
  assert.deepEqual(host.codes, [0]);
  assert.equal(host.timers.size, 0);
});

Deno.test("runProgram() waits at most five seconds for its end, then ends with 0", async () => {
  const host = new FakeHost();
  const running = run(
    host,
    () => Promise.resolve({ ready: READY, stop: () => new Promise(() => {}) }),
  );
  await turn();
  host.signal("SIGTERM");
  await turn();
  assert.equal(LIMITS.closeMs, 5000);
  host.timers.get(5000)!();
  await running;
  assert.deepEqual(host.codes, [0]);
  assert.deepEqual(host.events, ["signal", "stopped_late"]);
});

for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
  Deno.test(`runProgram() ends at once with ${code} at a second ${signal}`, async () => {
    const host = new FakeHost();
    void run(
      host,
      () =>
        Promise.resolve({ ready: READY, stop: () => new Promise(() => {}) }),
    );
    await turn();
    host.signal("SIGINT");
    host.nowMs += SECOND_SIGNAL_MS;
    host.signal("SIGINT");
    await turn();
    assert.deepEqual(host.codes, [], "the same Ctrl+C, told twice");
    host.nowMs++;
    host.signal(signal);
    assert.deepEqual(host.codes, [code]);
  });
}

Deno.test("runProgram() ends in order when the signal comes while it starts", async () => {
  const host = new FakeHost();
  let begin = () => {};
  let isStopped = false;
  const running = run(
    host,
    () =>
      new Promise((resolve) =>
        begin = () =>
          resolve({
            ready: READY,
            stop: () => {
              isStopped = true;
              return Promise.resolve();
            },
          })
      ),
  );
  await turn();
  host.signal("SIGTERM");
  await turn();
  assert.deepEqual(host.codes, []);
  begin();
  await running;
  assert.equal(isStopped, true);
  assert.deepEqual(host.codes, [0]);
  assert.equal(host.output, "", "no ready line of what is not ready");
});
