import assert from "node:assert/strict";
import {
  type AddressLike,
  formatAddress,
  isAnyHost,
  isLocalAddress,
  isLoopbackHost,
  parseAddress,
} from "../../protocol/address.ts";
import { MomError } from "../../protocol/errors.ts";

Deno.test("parseAddress() and formatAddress() are each other's inverse", () => {
  const table = [
    ["127.0.0.1:6270", { hostname: "127.0.0.1", port: 6270 }],
    ["broker.example:0", { hostname: "broker.example", port: 0 }],
    ["[::1]:1", { hostname: "::1", port: 1 }],
    ["[fe80::1%eth0]:65535", { hostname: "fe80::1%eth0", port: 65535 }],
    ["unix:/run/mom.sock", { path: "/run/mom.sock" }],
    ["unix:a b:1", { path: "a b:1" }],
  ] as const;
  for (const [text, address] of table) {
    assert.deepEqual(parseAddress(text), address);
    assert.deepEqual(parseAddress(address), address);
    assert.equal(formatAddress(address), text);
    assert.equal(formatAddress(text), text);
  }
});

Deno.test("parseAddress() drops brackets when an object's host has them", () => {
  assert.deepEqual(parseAddress({ hostname: "[::1]", port: 5 }), {
    hostname: "::1",
    port: 5,
  });
});

Deno.test("parseAddress() refuses with option_invalid what breaks a rule", () => {
  const wrong: AddressLike[] = [
    "",
    "localhost",
    "localhost:",
    ":80",
    "::1:80",
    "a:65536",
    "a:-1",
    "a:1.5",
    "a:0x10",
    "a b:1",
    "http://a:1",
    "user@a:1",
    "[]:1",
    "unix:",
    "unix:a\0b",
    { hostname: "", port: 1 },
    { hostname: "a", port: 1.5 },
    { hostname: "a", port: NaN },
    { hostname: "a", port: 70000 },
    { path: "" },
  ];
  for (const address of wrong) {
    assert.throws(
      () => parseAddress(address),
      (error: unknown) =>
        error instanceof MomError && error.code === "option_invalid" &&
        error.message.startsWith("Cannot read address"),
      JSON.stringify(address),
    );
  }
});

Deno.test("parseAddress() throws TypeError when the type is wrong", () => {
  const wrong: unknown[] = [5, null, undefined, {}, { hostname: 1, port: 2 }, {
    hostname: "a",
    port: "2",
  }, { path: 7 }];
  for (const address of wrong) {
    assert.throws(() => parseAddress(address as AddressLike), TypeError);
  }
});

Deno.test("isLoopbackHost() knows this machine's names from others'", () => {
  for (const host of ["localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9"]) {
    assert.equal(isLoopbackHost(host), true, host);
  }
  assert.equal(isLoopbackHost("::1"), true);
  assert.equal(isLoopbackHost("::ffff:127.0.0.1"), true);
  for (const host of ["0.0.0.0", "::", "127.0.0.1.evil.example", "10.0.0.1"]) {
    assert.equal(isLoopbackHost(host), false, host);
  }
  assert.equal(isAnyHost("0.0.0.0"), true);
  assert.equal(isAnyHost("127.0.0.1"), false);
  assert.equal(isLocalAddress({ path: "/x" }), true);
  assert.equal(isLocalAddress({ hostname: "10.0.0.1", port: 1 }), false);
});
