import assert from "node:assert/strict";
import { parseArgs } from "../../deps/cli.ts";
import * as v from "../../deps/valibot.ts";
import {
  flagOf,
  type ProgramSpec,
  variableOf,
} from "../../program/program_spec.ts";
import { readSettings, type SettingsResult } from "../../program/settings.ts";
import {
  addressSetting,
  bytesSetting,
  describe,
  logLevelSetting,
  machineSetting,
  optionalTcpAddressSetting,
  switchSetting,
  tcpAddressSetting,
  textSetting,
  userSetting,
} from "../../program/setting_kinds.ts";
import { usageOf } from "../../program/usage.ts";

const SETTINGS = v.object({
  listen: v.pipe(
    v.optional(tcpAddressSetting, "127.0.0.1:6270"),
    describe({ help: "Where to listen", placeholder: "HOST:PORT" }),
  ),
  http: v.pipe(
    v.optional(optionalTcpAddressSetting),
    describe({ help: "Where", defaultText: "the next port" }),
  ),
  dataFolder: v.pipe(v.optional(textSetting), describe({ help: "Data" })),
  maxMessageBytes: v.pipe(
    v.optional(bytesSetting(1, 1000), "500"),
    describe({ help: "Size" }),
  ),
  insecureNoToken: v.pipe(
    v.optional(switchSetting),
    describe({ help: "No token" }),
  ),
  machine: v.pipe(v.optional(machineSetting), describe({ help: "Name" })),
  user: v.pipe(v.optional(userSetting), describe({ help: "Name" })),
  daemon: v.pipe(v.optional(addressSetting), describe({ help: "Address" })),
  logLevel: v.pipe(
    v.optional(logLevelSetting, "info"),
    describe({ help: "Level" }),
  ),
});

const SPEC: ProgramSpec<typeof SETTINGS> = {
  command: "deno task thing",
  summary: "Does things.",
  settings: SETTINGS,
  operands: {
    names: ["HOST", "PORT"],
    setting: "listen",
    join: ([host, port]) => `${host}:${port}`,
  },
};

function read(
  line: string,
  environment: Record<string, string> = {},
): SettingsResult<v.InferOutput<typeof SETTINGS>> {
  return readSettings(SPEC, {
    args: line.split(" ").filter((word) => word !== ""),
    environment: (name) => environment[name],
    parse: parseArgs,
  });
}

function settingsOf(line: string, environment: Record<string, string> = {}) {
  const result = read(line, environment);
  assert(result.kind === "run", JSON.stringify(result));
  return result.settings;
}

Deno.test("readSettings() gives the defaults when nothing is said", () => {
  assert.deepEqual(settingsOf(""), {
    listen: { hostname: "127.0.0.1", port: 6270 },
    maxMessageBytes: 500,
    logLevel: "info",
  });
});

Deno.test("readSettings() lets a flag beat the environment, and that the default", () => {
  const environment = { MOM_MAX_MESSAGE_BYTES: "600", MOM_LOG_LEVEL: "warn" };
  const settings = settingsOf("--max-message-bytes 700", environment);
  assert.equal(settings.maxMessageBytes, 700);
  assert.equal(settings.logLevel, "warn");
});

Deno.test("readSettings() takes operands for their setting, before or after flags", () => {
  const expected = { hostname: "0.0.0.0", port: 7000 };
  assert.deepEqual(settingsOf("0.0.0.0 7000 --http off").listen, expected);
  assert.deepEqual(settingsOf("--http off 0.0.0.0 7000").listen, expected);
  assert.equal(settingsOf("0.0.0.0 7000 --http off").http, null);
});

Deno.test("readSettings() keeps text that looks like a number", () => {
  assert.equal(settingsOf("--data-folder 007").dataFolder, "007");
  assert.equal(settingsOf("--machine 5").machine, "5");
});

Deno.test("readSettings() reads switches from flags and from the environment", () => {
  assert.equal(settingsOf("--insecure-no-token").insecureNoToken, true);
  for (const [text, value] of [["1", true], ["true", true], ["0", false]]) {
    const environment = { MOM_INSECURE_NO_TOKEN: text as string };
    assert.equal(settingsOf("", environment).insecureNoToken, value);
  }
  assert.equal(settingsOf("").insecureNoToken, undefined);
});

Deno.test("readSettings() names flag or variable, value and rule when one is broken", () => {
  const table: [line: string, environment: Record<string, string>, RegExp][] = [
    ["--listen nonsense", {}, /^Cannot use --listen "nonsense": .*HOST:PORT/],
    ["--listen unix:/x", {}, /^Cannot use --listen "unix:\/x": .*HOST:PORT/],
    ["", { MOM_HTTP: "on" }, /^Cannot use MOM_HTTP "on": .*, or off$/],
    ["--daemon x", {}, /^Cannot use --daemon "x": .*unix:PATH$/],
    ["host 99999", {}, /^Cannot use HOST PORT "host:99999": .*65535$/],
    ["--max-message-bytes 0", {}, /"0": expected .* from 1 to 1000$/],
    ["--max-message-bytes 1e2", {}, /"1e2": expected a whole number/],
    ["--max-message-bytes 1001", {}, /"1001": expected/],
    ["--log-level loud", {}, /"loud": expected one of debug, info/],
    ["--machine a@b", {}, /^Cannot use --machine "a@b": \S/],
    ["--user a/b", {}, /^Cannot use --user "a\/b": \S/],
    ["", { MOM_INSECURE_NO_TOKEN: "maybe" }, /"maybe": expected 1, 0, true/],
    ["--nonsense 5", {}, /^Cannot use --nonsense: there is no such flag/],
    ["--no-http", {}, /^Cannot use --no-http: there is no such flag/],
    ["-x", {}, /^Cannot use -x: there is no such flag/],
    ["--data-folder", {}, /^Cannot use --data-folder "": it needs a value/],
    ["--data-folder --http off", {}, /--data-folder "": it needs a value/],
    ["host", {}, /^Cannot use operands "host": expected HOST PORT$/],
    ["a 1 b", {}, /^Cannot use operands "a 1 b": expected HOST PORT$/],
    ["a 1 --listen b:2", {}, /^Cannot use operands "a 1": --listen says/],
  ];
  for (const [line, environment, expected] of table) {
    const result = read(line, environment);
    assert(result.kind === "bad_usage", `${line}: ${JSON.stringify(result)}`);
    assert.match(result.message, expected);
  }
});

Deno.test("readSettings() lets --help and --version go before everything else", () => {
  assert.equal(read("--nonsense --help").kind, "help");
  assert.equal(read("-h").kind, "help");
  assert.equal(read("--version a b c").kind, "version");
});

Deno.test("readSettings() says which setting is missing when one has no default", () => {
  const settings = v.object({ topicName: textSetting });
  const result = readSettings(
    { command: "x", summary: "x", settings },
    { args: [], environment: () => undefined, parse: parseArgs },
  );
  assert(result.kind === "bad_usage");
  assert.match(result.message, /--topic-name/);
});

Deno.test("flagOf() and variableOf() name a setting for both worlds", () => {
  assert.equal(flagOf("maxMessageBytes"), "--max-message-bytes");
  assert.equal(variableOf("maxMessageBytes"), "MOM_MAX_MESSAGE_BYTES");
  assert.equal(flagOf("data"), "--data");
});

Deno.test("usageOf() tells every setting with flag, variable, default and help", () => {
  const text = usageOf(SPEC);
  assert.match(text, /Usage: deno task thing \[HOST PORT\] \[flags\]/);
  assert.match(text, /--listen HOST:PORT {3}MOM_LISTEN\n/);
  assert.match(text, /Where to listen \(default: 127\.0\.0\.1:6270\)/);
  assert.match(text, /\(default: the next port\)/);
  assert.match(text, /--insecure-no-token {3}MOM_INSECURE_NO_TOKEN\n/);
  for (const name of Object.keys(SETTINGS.entries)) {
    assert(text.includes(flagOf(name)), name);
  }
  for (const line of text.split("\n")) assert(line.length <= 80, line);
});
