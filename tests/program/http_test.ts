import assert from "node:assert/strict";
import { MomError } from "../../protocol/errors.ts";
import {
  createHttpApp,
  type HttpAppOptions,
  type HttpHandler,
} from "../../program/http.ts";
import { serveHttp } from "../../program/http_server.ts";
import { silentLogger } from "../../program/log.ts";

const TOKEN = "0123456789abcdef".repeat(4);

function appWith(options: Partial<HttpAppOptions> = {}): HttpHandler {
  return createHttpApp({
    role: "broker",
    token: TOKEN,
    status: (query) => ({ role: "broker", query }),
    ready: () => true,
    metrics: () => "mom_info 1\n",
    ...options,
  });
}

async function ask(
  app: HttpHandler,
  path: string,
  headers: Record<string, string> = {},
  method = "GET",
): Promise<{ status: number; body: string; headers: Headers }> {
  const request = new Request(`http://127.0.0.1:6271${path}`, {
    method,
    headers: { host: "127.0.0.1:6271", ...headers },
  });
  const response = await app(request);
  const { status } = response;
  return { status, body: await response.text(), headers: response.headers };
}

const withToken = { authorization: `Bearer ${TOKEN}` };

Deno.test("createHttpApp() answers /healthz and /readyz without a token", async () => {
  let isReady = true;
  const app = appWith({ ready: () => isReady });
  assert.equal((await ask(app, "/healthz")).status, 200);
  assert.equal((await ask(app, "/readyz")).status, 200);
  isReady = false;
  const { status, body } = await ask(app, "/readyz");
  assert.equal(status, 503);
  assert.deepEqual(JSON.parse(body), { role: "broker", ready: false });
  assert.equal((await ask(app, "/healthz")).status, 200);
});

Deno.test("createHttpApp() gives status and metrics to who has the token", async () => {
  const app = appWith();
  const status = await ask(app, "/api/v1/status?topic=a/b&user=x@y", withToken);
  assert.equal(status.status, 200);
  assert.deepEqual(JSON.parse(status.body).query, {
    topic: "a/b",
    user: "x@y",
  });
  assert.equal(status.headers.get("cache-control"), "no-store");
  const metrics = await ask(app, "/metrics", withToken);
  assert.equal(metrics.body, "mom_info 1\n");
  assert.match(metrics.headers.get("content-type")!, /^text\/plain; version=/);
  const small = { authorization: `bearer  ${TOKEN}` };
  assert.equal((await ask(app, "/metrics", small)).status, 200);
});

Deno.test("createHttpApp() refuses with 401 who has no token or a wrong one", async () => {
  const app = appWith();
  const wrong = [
    undefined,
    `Bearer ${TOKEN}0`,
    `Bearer ${TOKEN.slice(1)}`,
    `Basic ${TOKEN}`,
    TOKEN,
    "Bearer",
  ];
  for (const path of ["/api/v1/status", "/metrics", "/nothing"]) {
    for (const authorization of wrong) {
      const headers: Record<string, string> = authorization === undefined
        ? {}
        : { authorization };
      const { status, body, headers: answer } = await ask(app, path, headers);
      assert.equal(status, 401, `${path} ${authorization}`);
      assert.equal(JSON.parse(body).error.code, "unauthorized");
      assert.equal(answer.get("www-authenticate"), "Bearer");
      assert(!body.includes(TOKEN));
    }
  }
});

Deno.test("createHttpApp() asks for no token when there is none", async () => {
  const app = appWith({ token: null });
  assert.equal((await ask(app, "/api/v1/status")).status, 200);
});

Deno.test("createHttpApp() refuses foreign hosts on every path", async () => {
  const app = appWith({ hostname: "10.1.2.3" });
  const foreign = [
    "evil.example",
    "127.0.0.1.evil.example",
    "localhost.evil.example:6271",
    "10.1.2.4",
    "",
    "a b",
  ];
  for (const host of foreign) {
    for (const path of ["/healthz", "/api/v1/status"]) {
      const { status } = await ask(app, path, { ...withToken, host });
      assert.equal(status, 403, `${host} ${path}`);
    }
  }
  const ours = [
    "localhost",
    "127.0.0.1:1",
    "[::1]:5",
    "LocalHost:9",
    "10.1.2.3",
  ];
  for (const host of ours) {
    assert.equal((await ask(app, "/healthz", { host })).status, 200, host);
  }
});

Deno.test("createHttpApp() takes any IP address but no name when listening everywhere", async () => {
  const app = appWith({ hostname: "0.0.0.0" });
  assert.equal((await ask(app, "/healthz", { host: "10.9.8.7" })).status, 200);
  assert.equal(
    (await ask(app, "/healthz", { host: "[fe80::1]:1" })).status,
    200,
  );
  assert.equal(
    (await ask(app, "/healthz", { host: "evil.example" })).status,
    403,
  );
});

Deno.test("createHttpApp() refuses pages of other origins", async () => {
  const app = appWith();
  const foreign = [
    "http://evil.example",
    "null",
    "http://127.0.0.1:80",
    "file://127.0.0.1:6271",
  ];
  for (const origin of foreign) {
    const { status } = await ask(app, "/metrics", { ...withToken, origin });
    assert.equal(status, 403, origin);
  }
  const own = { ...withToken, origin: "http://127.0.0.1:6271" };
  assert.equal((await ask(app, "/metrics", own)).status, 200);
});

Deno.test("createHttpApp() refuses unknown paths, methods and queries in JSON", async () => {
  const app = appWith();
  const table = [
    ["/nothing", "GET", 404, "unsupported"],
    ["/metrics", "POST", 405, "unsupported"],
    ["/api/v1/status", "DELETE", 405, "unsupported"],
    ["/api/v1/status?topics=a", "GET", 400, "option_invalid"],
    [`/api/v1/status?topic=${"a".repeat(256)}`, "GET", 400, "option_invalid"],
  ] as const;
  for (const [path, method, status, code] of table) {
    const answer = await ask(app, path, withToken, method);
    assert.equal(answer.status, status, path);
    const { error } = JSON.parse(answer.body);
    assert.equal(error.code, code);
    assert.equal(typeof error.message, "string");
  }
  assert.equal((await ask(app, "/metrics", withToken, "HEAD")).status, 200);
});

Deno.test("createHttpApp() tells a MomError by its code, a defect without details", async () => {
  const table = [
    [
      new MomError("store_unavailable", "Cannot read"),
      503,
      "store_unavailable",
    ],
    [new MomError("topic_invalid", "Cannot look"), 400, "topic_invalid"],
    [new MomError("closed", "Cannot answer"), 503, "closed"],
    [new TypeError("secret detail"), 500, "internal"],
  ] as const;
  for (const [error, status, code] of table) {
    const app = appWith({
      status: () => {
        throw error;
      },
    });
    const answer = await ask(app, "/api/v1/status", withToken);
    assert.equal(answer.status, status);
    assert.equal(JSON.parse(answer.body).error.code, code);
    assert(!answer.body.includes("secret"));
  }
});

Deno.test("serveHttp() serves on a free port until stopped, twice is once", async () => {
  const server = serveHttp("127.0.0.1:0", appWith());
  const answer = await fetch(`http://${server.address}/healthz`);
  assert.deepEqual(await answer.json(), { role: "broker", healthy: true });
  await Promise.all([server.stop(), server.stop()]);
  await assert.rejects(fetch(`http://${server.address}/healthz`), TypeError);
});

Deno.test("serveHttp() stops though a request does not end in time", async () => {
  let isAsked = () => {};
  const asked = new Promise<void>((resolve) => isAsked = resolve);
  let answer = (_: Response) => {};
  const events: string[] = [];
  const server = serveHttp("127.0.0.1:0", () => {
    isAsked();
    return new Promise<Response>((resolve) => answer = resolve);
  }, {
    logger: { ...silentLogger, warn: (event) => events.push(event) },
    clock: {
      wallMs: () => 0,
      monotonicMs: () => 0,
      setTimer(_delayMs, callback) {
        queueMicrotask(callback);
        return { cancel: () => {} };
      },
    },
  });
  const asking = fetch(`http://${server.address}/`);
  await asked;
  await server.stop();
  assert.deepEqual(events, ["http_requests_left"]);
  answer(new Response("late"));
  assert.equal(await (await asking).text(), "late");
});

Deno.test("serveHttp() lets requests under way end when it stops", async () => {
  let isAsked = () => {};
  const asked = new Promise<void>((resolve) => isAsked = resolve);
  let answer = (_: Response) => {};
  const server = serveHttp("127.0.0.1:0", () => {
    isAsked();
    return new Promise<Response>((resolve) => answer = resolve);
  });
  const asking = fetch(`http://${server.address}/`);
  await asked;
  const stopping = server.stop();
  // More than any buffer takes at once.
  answer(new Response("x".repeat(5_000_000)));
  const response = await asking;
  assert.equal((await response.text()).length, 5_000_000);
  await stopping;
});

Deno.test("serveHttp() answers 500 and logs when the handler fails", async () => {
  const events: string[] = [];
  const server = serveHttp("127.0.0.1:0", () => {
    throw new Error("defect");
  }, { logger: { ...silentLogger, error: (event) => events.push(event) } });
  const response = await fetch(`http://${server.address}/`);
  assert.equal(response.status, 500);
  assert.equal(await response.text(), "");
  assert.deepEqual(events, ["http_failed"]);
  await server.stop();
});

Deno.test("serveHttp() fails with option_invalid when the address cannot be had", async () => {
  const server = serveHttp("127.0.0.1:0", appWith());
  for (const address of [server.address, "unix:/x", "nonsense"]) {
    assert.throws(
      () => serveHttp(address, appWith()),
      (error: unknown) =>
        error instanceof MomError && error.code === "option_invalid",
    );
  }
  await server.stop();
});

Deno.test("createHttpApp() purges by POST alone, where there is something to purge", async () => {
  const wishes: unknown[] = [];
  const purge = (wish: unknown) => {
    wishes.push(wish);
    return { removed: 3, dropped: 1 };
  };
  const app = appWith({ purge });
  const path = "/api/v1/purge";
  const post = (query: string, headers = withToken) =>
    ask(app, `${path}${query}`, headers, "POST");
  const { status, body } = await post("?topic=a/b");
  assert.deepEqual([status, JSON.parse(body)], [200, {
    removed: 3,
    dropped: 1,
  }]);
  await post("?user=ana@north");
  await post("?all=true");
  assert.deepEqual(wishes, [
    { topic: "a/b" },
    { user: "ana@north" },
    { all: true },
  ]);
  for (const query of ["?all=yes", "?all=", "?topc=a"]) {
    assert.equal((await post(query)).status, 400, query);
  }
  for (const method of ["GET", "PUT", "DELETE"]) {
    const answer = await ask(app, path, withToken, method);
    assert.deepEqual([answer.status, answer.headers.get("allow")], [
      405,
      "POST",
    ]);
  }
  const stranger = await ask(app, `${path}?all=true`, {}, "POST");
  const foreign = { ...withToken, origin: "http://evil.example" };
  assert.equal(stranger.status, 401);
  assert.equal((await post("?all=true", foreign)).status, 403);
  const daemon = await ask(appWith(), `${path}?all=true`, withToken, "POST");
  assert.equal(daemon.status, 405);
  assert.equal(wishes.length, 3);
});
