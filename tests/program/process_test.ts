import assert from "node:assert/strict";

const MAIN = new URL("./sample/main.ts", import.meta.url).pathname;
const CONFIG = new URL("../../deno.json", import.meta.url).pathname;

/** A running program, its lines as they come. */
class Sample implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #error: Promise<string>;
  readonly #lines: AsyncIterator<string>;

  constructor(args: string[], env: Record<string, string> = {}) {
    this.#child = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--quiet",
        "--no-prompt",
        "--config",
        CONFIG,
        "--allow-read",
        "--allow-write",
        "--allow-env=MOM_*",
        "--allow-sys",
        MAIN,
        ...args,
      ],
      env,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#error = new Response(this.#child.stderr).text();
    this.#lines = this.#child.stdout.pipeThrough(new TextDecoderStream())
      .values();
  }

  /** What comes next on its standard output. */
  async output(): Promise<string> {
    const { value, done } = await this.#lines.next();
    return done ? "" : value;
  }

  kill(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }

  async end(): Promise<{ code: number; error: string }> {
    const { code } = await this.#child.status;
    return { code, error: await this.#error };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch (error) {
      // It has ended already.
      if (!(error instanceof TypeError)) throw error;
    }
    await this.end();
    await this.#lines.return?.();
  }
}

const eventsOf = (error: string) =>
  error.split("\n").filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line).event);

if (Deno.build.os !== "windows") {
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    Deno.test(`a program tells its own pid and ends with 0 at ${signal}`, async () => {
      await using sample = new Sample([]);
      const ready = JSON.parse(await sample.output());
      assert.equal(ready.event, "listening");
      Deno.kill(ready.pid, signal);
      const { code, error } = await sample.end();
      assert.equal(code, 0);
      assert.deepEqual(eventsOf(error), ["started", "signal"]);
    });
  }

  Deno.test("a program takes a doubled signal for one, and a later one seriously", async () => {
    await using sample = new Sample(["--mood", "stubborn"]);
    await sample.output();
    sample.kill("SIGINT");
    sample.kill("SIGINT");
    // Nothing tells when a half second is over but the clock itself.
    await new Promise((resolve) => setTimeout(resolve, 700));
    sample.kill("SIGTERM");
    const { code } = await sample.end();
    assert.equal(code, 143);
  });

  Deno.test("a program makes files that only its owner can read", async () => {
    const folder = await Deno.makeTempDir({ prefix: "mom-" });
    const before = Deno.umask(0);
    try {
      await using sample = new Sample([], { MOM_DATA: folder });
      assert.equal(JSON.parse(await sample.output()).data, folder);
      const { mode } = await Deno.stat(`${folder}/file`);
      assert.equal(mode! & 0o777, 0o600);
    } finally {
      Deno.umask(before);
      await Deno.remove(folder, { recursive: true });
    }
  });
}

Deno.test("a program that cannot start says so on one line and ends with 1", async () => {
  await using sample = new Sample(["--mood=broken"]);
  const { code, error } = await sample.end();
  assert.equal(code, 1);
  const lines = error.trimEnd().split("\n");
  assert.equal(lines.at(-1), "error: internal broken from the start");
  assert.deepEqual(eventsOf(error), ["defect"]);
  assert.equal(lines.length, 2);
});

Deno.test("a program ends with 1 at what nobody catches", async () => {
  await using sample = new Sample(["--mood=rotten"]);
  const { code, error } = await sample.end();
  assert.equal(code, 1);
  assert.equal(
    error.trimEnd().split("\n").at(-1),
    "error: internal rotten inside",
  );
});

Deno.test("a program ends with 2 at bad usage, from flag or environment", async () => {
  await using flag = new Sample(["--mood", "odd"]);
  await using variable = new Sample([], { MOM_MOOD: "odd" });
  const [first, second] = [await flag.end(), await variable.end()];
  assert.deepEqual([first.code, second.code], [2, 2]);
  assert.match(
    first.error,
    /^error: option_invalid Cannot use --mood "odd": .+\n$/,
  );
  assert.match(
    second.error,
    /^error: option_invalid Cannot use MOM_MOOD "odd": .+\n$/,
  );
});

Deno.test("a program prints its help on standard output and ends with 0", async () => {
  await using sample = new Sample(["--help"]);
  assert.match(
    await sample.output(),
    /^Does nothing\.\n\nUsage: sample \[flags\]/,
  );
  const { code, error } = await sample.end();
  assert.equal(code, 0);
  assert.equal(error, "");
});
