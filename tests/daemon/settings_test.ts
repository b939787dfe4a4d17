import assert from "node:assert/strict";
import { DAEMON_PROGRAM, toDaemonSettings } from "../../daemon/settings.ts";
import { SHELL_PROGRAM } from "../../daemon/cli/settings.ts";
import { parseArgs } from "../../deps/cli.ts";
import { daemonDataFolder, defaultMachine } from "../../program/folders.ts";
import { readSettings } from "../../program/settings.ts";
import { usageOf } from "../../program/usage.ts";

function read(line: string, environment: Record<string, string> = {}) {
  const result = readSettings(DAEMON_PROGRAM, {
    args: line.split(" ").filter((word) => word !== ""),
    environment: (name) => environment[name],
    parse: parseArgs,
  });
  assert(result.kind === "run", JSON.stringify(result));
  return toDaemonSettings(result.settings);
}

if (Deno.build.os !== "windows") {
  Deno.test("toDaemonSettings() has the defaults that are promised", () => {
    const data = daemonDataFolder(defaultMachine());
    assert.deepEqual(read(""), {
      broker: { hostname: "127.0.0.1", port: 6270 },
      listen: { path: `${data}/mom.sock` },
      data,
    });
  });

  Deno.test("toDaemonSettings() puts data and socket where the machine's name says", () => {
    const data = daemonDataFolder("north");
    assert.equal(read("--machine north").data, data);
    assert.deepEqual(read("--data /d").listen, { path: "/d/mom.sock" });
    assert.deepEqual(read("--data :memory: --machine north").listen, {
      path: `${data}/mom.sock`,
    });
  });
}

Deno.test("toDaemonSettings() takes every flag, and its variable", () => {
  const expected = {
    broker: { hostname: "broker.example", port: 7 },
    listen: { hostname: "127.0.0.1", port: 8 },
    machine: "north",
    http: { hostname: "127.0.0.1", port: 9 },
    data: "/d",
    tokenFile: "/t",
    brokerTokenFile: "/b",
  };
  const line =
    "--broker broker.example:7 --listen 127.0.0.1:8 --machine north " +
    "--http 127.0.0.1:9 --data /d --token-file /t --broker-token-file /b";
  assert.deepEqual(read(line), expected);
  assert.deepEqual(
    read("", {
      MOM_BROKER: "broker.example:7",
      MOM_LISTEN: "127.0.0.1:8",
      MOM_MACHINE: "north",
      MOM_HTTP: "127.0.0.1:9",
      MOM_DATA: "/d",
      MOM_TOKEN_FILE: "/t",
      MOM_BROKER_TOKEN_FILE: "/b",
    }),
    expected,
  );
  const { broker } = read("broker.example 7 --machine north --data /d");
  assert.deepEqual(broker, expected.broker);
  assert.equal(read("--http off").http, undefined);
});

Deno.test("the shell's usage tells its commands and its flags", () => {
  const text = usageOf(SHELL_PROGRAM);
  assert.match(text, /^ {2}P topic text /m);
  assert.match(text, /--name NAME {3}MOM_NAME/);
  assert.match(text, /--daemon unix:PATH\|HOST:PORT {3}MOM_DAEMON/);
  for (const line of text.split("\n")) assert(line.length <= 80, line);
});
