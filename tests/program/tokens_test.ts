import assert from "node:assert/strict";
import { MomError } from "../../protocol/errors.ts";
import {
  checkToken,
  findToken,
  isSameToken,
  makeToken,
  readOrMakeToken,
  readTokenFile,
  tokenPath,
} from "../../program/tokens.ts";
import { handedToken, handToken } from "../../program/token_registry.ts";

async function withState(
  body: (state: string, options: {
    environment: (name: string) => string | undefined;
  }) => Promise<void>,
): Promise<void> {
  const state = await Deno.makeTempDir({ prefix: "mom-" });
  const environment = (name: string) =>
    name === "XDG_STATE_HOME" ? state : undefined;
  try {
    await body(state, { environment });
  } finally {
    await Deno.remove(state, { recursive: true });
  }
}

const isOptionInvalid = (error: unknown) =>
  error instanceof MomError && error.code === "option_invalid";

Deno.test("makeToken() gives 64 hex digits, each time others", () => {
  assert.match(makeToken(), /^[0-9a-f]{64}$/);
  assert.notEqual(makeToken(), makeToken());
});

Deno.test("tokenPath() lies in the state folder, for a socket beside it", () =>
  withState((state, options) => {
    const folder = `${state}/mom/tokens`;
    assert.equal(
      tokenPath("127.0.0.1:6270", options),
      `${folder}/127.0.0.1_6270`,
    );
    assert.equal(tokenPath("[::1]:5", options), `${folder}/--1_5`);
    assert.equal(tokenPath({ path: "/x/mom.sock" }), "/x/mom.sock.token");
    assert.throws(
      () => tokenPath("a:1", { environment: () => undefined }),
      isOptionInvalid,
    );
    return Promise.resolve();
  }));

Deno.test("readOrMakeToken() makes the file once, for its owner alone", () =>
  withState(async (state, options) => {
    const path = tokenPath("127.0.0.1:1", options);
    const before = Deno.umask(0);
    const token = await readOrMakeToken(path).finally(() => Deno.umask(before));
    assert.match(token, /^[0-9a-f]{64}$/);
    assert.equal(await Deno.readTextFile(path), `${token}\n`);
    assert.equal((await Deno.stat(path)).mode! & 0o777, 0o600);
    assert.equal(
      (await Deno.stat(`${state}/mom/tokens`)).mode! & 0o777,
      0o700,
    );
    assert.equal(await readOrMakeToken(path), token);
    // No draft is left behind.
    assert.equal([...Deno.readDirSync(`${state}/mom/tokens`)].length, 1);
  }));

Deno.test("readOrMakeToken() gives all the same token when many call at once", () =>
  withState(async (state) => {
    const path = `${state}/token`;
    const calls = Array.from({ length: 20 }, () => readOrMakeToken(path));
    const tokens = new Set(await Promise.all(calls));
    assert.equal(tokens.size, 1);
    assert.deepEqual([...Deno.readDirSync(state)].map((each) => each.name), [
      "token",
    ]);
  }));

Deno.test("readOrMakeToken() names the file when it cannot be read or made", () =>
  withState(async (state) => {
    await Deno.writeTextFile(`${state}/file`, "");
    for (const path of [`${state}/file/token`, state, `${state}/file`]) {
      await assert.rejects(readOrMakeToken(path), (error: Error) => {
        assert(error.message.includes(path), error.message);
        return isOptionInvalid(error);
      });
    }
  }));

Deno.test("readTokenFile() takes any visible token and shows none when it refuses", () =>
  withState(async (state) => {
    const path = `${state}/token`;
    assert.equal(await readTokenFile(path), null);
    await Deno.writeTextFile(path, "  correct-horse-battery\r\n");
    assert.equal(await readTokenFile(path), "correct-horse-battery");
    await Deno.writeTextFile(path, "secret with a space in it");
    await assert.rejects(readTokenFile(path), (error: Error) => {
      assert(!error.message.includes("secret"));
      return isOptionInvalid(error);
    });
  }));

Deno.test("checkToken() refuses what is too short, too long or not visible", () => {
  assert.equal(checkToken("x".repeat(16), "test"), "x".repeat(16));
  for (const token of ["", "short", "x".repeat(513), "x".repeat(20) + "\n"]) {
    assert.throws(() => checkToken(token, "test"), isOptionInvalid);
  }
});

Deno.test("findToken() finds the file under every name of this machine", () =>
  withState(async (_state, options) => {
    const token = await readOrMakeToken(tokenPath("127.0.0.1:700", options));
    assert.equal(await findToken("127.0.0.1:700", options), token);
    assert.equal(await findToken("localhost:700", options), token);
    assert.equal(await findToken("[::1]:700", options), token);
    assert.equal(await findToken("localhost:701", options), null);
    const any = await readOrMakeToken(tokenPath("0.0.0.0:800", options));
    assert.equal(await findToken("127.0.0.1:800", options), any);
  }));

Deno.test("findToken() does not hand this machine's tokens to others", () =>
  withState(async (_state, options) => {
    await readOrMakeToken(tokenPath("10.1.2.3:700", options));
    assert.equal(await findToken("10.1.2.3:700", options), null);
    assert.equal(await findToken("broker.example:700", options), null);
  }));

Deno.test("findToken() takes what was handed on in the process, until that ends", async () => {
  const options = { environment: () => undefined };
  const end = handToken("unix:/nowhere/mom.sock", "t".repeat(20));
  assert.equal(
    await findToken({ path: "/nowhere/mom.sock" }, options),
    "t".repeat(20),
  );
  end();
  end();
  assert.equal(await findToken("unix:/nowhere/mom.sock", options), null);
});

Deno.test("handToken() keeps the later token when the earlier one ends", () => {
  const first = handToken({ hostname: "127.0.0.1", port: 9 }, "first");
  const second = handToken("127.0.0.1:9", "second");
  first();
  assert.equal(handedToken("127.0.0.1:9"), "second");
  second();
  assert.equal(handedToken("127.0.0.1:9"), null);
});

Deno.test("isSameToken() tells equal from different, also by length", () => {
  assert.equal(isSameToken("abc", "abc"), true);
  for (const given of ["", "ab", "abd", "abcd", "\0\0\0"]) {
    assert.equal(isSameToken(given, "abc"), false, given);
  }
  assert.equal(isSameToken("", ""), true);
});
