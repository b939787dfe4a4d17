/**
 * HTTP of a broker and a daemon, asked over a plain socket with any Host and Origin.
 *
 * @module
 */

import assert from "node:assert/strict";
import { Broker } from "../../broker/broker.ts";
import { Mom } from "../../daemon/client.ts";
import { Daemon } from "../../daemon/daemon.ts";

interface Answer {
  status: number;
  body: string;
}

/** Sends a request line and headers as they are. */
async function ask(
  address: string,
  path: string,
  headers: readonly string[],
  method = "GET",
): Promise<Answer> {
  const [hostname, port] = address.split(":");
  const conn = await Deno.connect({ hostname, port: Number(port) });
  const request = [
    `${method} ${path} HTTP/1.1`,
    ...headers,
    "Connection: close",
  ];
  await conn.write(new TextEncoder().encode(`${request.join("\r\n")}\r\n\r\n`));
  const text = await new Response(conn.readable).text();
  const [head, body] = text.split("\r\n\r\n");
  return { status: Number(head.split(" ")[1]), body };
}

const FOREIGN = [
  "evil.example",
  "127.0.0.1.evil.example",
  "localhost.evil.example",
  "user@127.0.0.1",
  "127.0.0.1/x",
  "127.0.0.1?x",
  "10.0.0.1",
];
const ORIGINS = [
  "http://evil.example",
  "null",
  "http://127.0.0.1:1",
  "file://",
];
const GUARDED = [
  "/metrics",
  "/api/v1/status",
  "/",
  "/healthz/",
  "/healthz/../metrics",
  "//healthz",
  "/%68ealthz2",
  "/metrics?/healthz",
];

Deno.test("HTTP wants the token on everything but /healthz and /readyz, and no foreign Host or Origin", async () => {
  await using broker = await Broker.start({
    data: ":memory:",
    port: 0,
    http: "127.0.0.1:0",
  });
  await using daemon = await Daemon.start({
    data: ":memory:",
    machine: "north",
    broker: broker.address,
    brokerToken: broker.token,
    listen: { hostname: "127.0.0.1", port: 0 },
    http: "127.0.0.1:0",
  });
  for (const { http, token } of [broker, daemon]) {
    const address = http!;
    const host = `Host: ${address}`;
    const bearer = `Authorization: Bearer ${token}`;
    for (const path of ["/healthz", "/readyz"]) {
      assert.equal((await ask(address, path, [host])).status, 200);
    }
    assert.equal((await ask(address, "/metrics", [host, bearer])).status, 200);
    const wrong = [
      [],
      ["Authorization: Bearer"],
      [`Authorization: Bearer ${token}0`],
      [`Authorization: Bearer ${token.slice(1)}`],
      [`Authorization: Basic ${token}`],
    ];
    for (const path of GUARDED) {
      const bodies = new Set<string>();
      for (const headers of wrong) {
        const { status, body } = await ask(address, path, [host, ...headers]);
        assert.equal(status, 401, path);
        bodies.add(body);
      }
      assert.equal(bodies.size, 1, "the same answer whatever is wrong");
    }
    for (const path of ["/healthz", "/readyz", "/metrics", "/api/v1/status"]) {
      for (const name of FOREIGN) {
        const { status } = await ask(address, path, [`Host: ${name}`, bearer]);
        assert([400, 403].includes(status), `${name} ${path}: ${status}`);
      }
      for (const origin of ORIGINS) {
        const headers = [host, bearer, `Origin: ${origin}`];
        assert.equal((await ask(address, path, headers)).status, 403, origin);
      }
    }
  }
});

Deno.test("a broker purges over HTTP for who has the token, and tells what", async () => {
  await using broker = await Broker.start({
    data: ":memory:",
    port: 0,
    http: "127.0.0.1:0",
  });
  await using ana = await Mom.connect({
    broker: broker.address,
    token: broker.token,
  });
  for (const topic of ["a", "a", "b"]) await ana.publish(topic, 1);
  const address = broker.http!;
  const host = `Host: ${address}`;
  const bearer = `Authorization: Bearer ${broker.token}`;
  const post = (query: string, ...headers: string[]) =>
    ask(address, `/api/v1/purge${query}`, [host, ...headers], "POST");
  assert.equal((await post("?all=true")).status, 401);
  const origin = "Origin: http://evil.example";
  assert.equal((await post("?all=true", bearer, origin)).status, 403);
  assert.equal((await post("", bearer)).status, 400);
  assert.equal((await post("?topic=a&all=true", bearer)).status, 400);
  assert.equal((await post("?topic=nowhere", bearer)).status, 400);
  const { status, body } = await post("?topic=a", bearer);
  assert.deepEqual([status, JSON.parse(body)], [200, {
    removed: 2,
    dropped: 0,
  }]);
  const rows = broker.status().topics.map(({ topic, stored }) =>
    `${topic} ${stored}`
  );
  assert.deepEqual(rows.sort(), ["a 0", "b 1"]);
});
