import assert from "node:assert/strict";
import { BROKER_PROGRAM, toBrokerSettings } from "../../broker/settings.ts";
import { parseArgs } from "../../deps/cli.ts";
import { readSettings } from "../../program/settings.ts";
import { brokerDataFolder } from "../../program/folders.ts";

function read(line: string, environment: Record<string, string> = {}) {
  const result = readSettings(BROKER_PROGRAM, {
    args: line.split(" ").filter((word) => word !== ""),
    environment: (name) => environment[name],
    parse: parseArgs,
  });
  assert(result.kind === "run", JSON.stringify(result));
  return toBrokerSettings(result.settings);
}

Deno.test("toBrokerSettings() has the defaults that are promised", () => {
  assert.deepEqual(read(""), {
    hostname: "127.0.0.1",
    port: 6270,
    http: { hostname: "127.0.0.1", port: 6271 },
    data: brokerDataFolder(),
    maxMessageBytes: 8_388_608,
    insecureNoToken: false,
  });
});

Deno.test("toBrokerSettings() answers HTTP by itself only at the default port", () => {
  assert.equal(read("--listen 127.0.0.1:7000").http, undefined);
  assert.equal(read("127.0.0.1 0").http, undefined);
  assert.equal(read("0.0.0.0 6270").http?.port, 6271);
  assert.equal(read("--http off").http, undefined);
  assert.equal(read("127.0.0.1 0 --http 127.0.0.1:0").http?.port, 0);
});

Deno.test("toBrokerSettings() takes every flag, and its variable", () => {
  const expected = {
    hostname: "::1",
    port: 5,
    http: { hostname: "localhost", port: 6 },
    data: "/data",
    tokenFile: "/token",
    maxMessageBytes: 100,
    insecureNoToken: true,
  };
  const line = "--listen [::1]:5 --http localhost:6 --data /data " +
    "--token-file /token --max-message-bytes 100 --insecure-no-token " +
    "--log-level debug";
  assert.deepEqual(read(line), expected);
  assert.deepEqual(
    read("", {
      MOM_LISTEN: "[::1]:5",
      MOM_HTTP: "localhost:6",
      MOM_DATA: "/data",
      MOM_TOKEN_FILE: "/token",
      MOM_MAX_MESSAGE_BYTES: "100",
      MOM_INSECURE_NO_TOKEN: "1",
      MOM_LOG_LEVEL: "debug",
    }),
    expected,
  );
  assert.equal(read("::1 5").hostname, "::1");
});

Deno.test("toBrokerSettings() keeps :memory: and URLs, makes folders absolute", () => {
  assert.equal(read("--data :memory:").data, ":memory:");
  assert.equal(read("--data https://kv.example").data, "https://kv.example");
  assert.equal(read("--data here").data, `${Deno.cwd()}/here`);
});
