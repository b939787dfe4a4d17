/**
 * The token never crosses the wire and never stands in a log.
 *
 * @module
 */

import assert from "node:assert/strict";
import { Broker } from "../../broker/broker.ts";
import { Daemon } from "../../daemon/daemon.ts";
import { Mom } from "../../daemon/client.ts";
import { createLogger } from "../../program/log.ts";
import { formatAddress } from "../../protocol/address.ts";
import type { Dialer } from "../../protocol/byte_stream.ts";
import { makeToken } from "../../program/tokens.ts";
import { networkDialer } from "../../transport/dial.ts";
import { joinBytes } from "../fuzz/codec_target.ts";
import { rejection } from "../client/scripted_server.ts";

/** Keeps every byte that goes either way. */
function recording(bytes: Uint8Array[]): Dialer {
  return {
    async dial(address, options) {
      const stream = await networkDialer.dial(address, options);
      return {
        remote: stream.remote,
        isLocal: stream.isLocal,
        async read() {
          const chunk = await stream.read();
          if (chunk !== null) bytes.push(chunk.slice());
          return chunk;
        },
        write(chunk) {
          bytes.push(chunk.slice());
          return stream.write(chunk);
        },
        close: () => stream.close(),
      };
    },
  };
}

/** Every way in which a token could stand in a text or in bytes. */
function shapes(token: string): string[] {
  const raw = String.fromCharCode(...Uint8Array.fromHex(token));
  const base64 = [btoa(token), btoa(raw)].map((each) =>
    each.replaceAll("=", "")
  );
  return [token, token.toUpperCase(), raw, ...base64, token.slice(0, 24)];
}

function assertNowhere(token: string, text: string, where: string): void {
  assert(text.length > 200, `${where} is short`);
  for (const shape of shapes(token)) {
    assert(!text.includes(shape), `the token stands in ${where}`);
  }
}

Deno.test("the token crosses no wire and stands in no log, at any level", async () => {
  const bytes: Uint8Array[] = [];
  let lines = "";
  const logger = createLogger({
    level: "debug",
    write: (line: string) => void (lines += `${line}\n`),
  });
  const [brokerToken, appToken] = [makeToken(), makeToken()];
  const dialer = recording(bytes);
  await using broker = await Broker.start({
    data: ":memory:",
    port: 0,
    http: "127.0.0.1:0",
    token: brokerToken,
    logger,
  });
  await using daemon = await Daemon.start({
    data: ":memory:",
    machine: "north",
    broker: broker.address,
    brokerToken,
    listen: { hostname: "127.0.0.1", port: 0 },
    token: appToken,
    dialer,
    logger,
  });
  {
    await using mom = await Mom.connect({
      daemon: daemon.address,
      token: appToken,
      dialer,
    });
    await mom.publish("t", "x");
  }
  const wrong = Mom.connect({
    daemon: daemon.address,
    token: brokerToken,
    dialer,
  });
  const error = await rejection(wrong);
  const answers = [error.message, Deno.inspect(error)];
  for (const authorization of [`Bearer ${brokerToken}`, `Bearer ${appToken}`]) {
    const response = await fetch(`http://${broker.http}/api/v1/status`, {
      headers: { authorization },
    });
    answers.push(await response.text());
  }
  answers.push(JSON.stringify([broker.status(), daemon.status()]));
  const crossed = joinBytes(bytes);
  const wire = Array.from(crossed, (byte) => String.fromCharCode(byte)).join(
    "",
  );
  logger.warn("enough", {
    address: formatAddress(daemon.address),
    of: answers,
  });
  for (const token of [brokerToken, appToken]) {
    assertNowhere(token, wire, "the bytes on the wire");
    assertNowhere(token, lines, "the log");
  }
});
