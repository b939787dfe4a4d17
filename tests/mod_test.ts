import assert from "node:assert/strict";
import * as mod from "../mod.ts";

/** Names that others build on: taking one away breaks them. */
const VALUES = [
  "Broker",
  "Daemon",
  "ERRORS",
  "Mom",
  "MomError",
  "TypedTopic",
  "topic",
];

const TYPES = [
  "Address",
  "AddressLike",
  "BackupReport",
  "BoxStatus",
  "BrokerOptions",
  "ByteListener",
  "ByteStream",
  "Clock",
  "ConnectOptions",
  "DaemonEvent",
  "DaemonOptions",
  "DeadLetterStatus",
  "DeliveryCounts",
  "Dialer",
  "Entropy",
  "ErrorCode",
  "HeaderValue",
  "Headers",
  "KvOpener",
  "LinkStatus",
  "LogFields",
  "Logger",
  "Message",
  "MomEvent",
  "OmittedRows",
  "PublishCounts",
  "PublishOptions",
  "PurgeReport",
  "PurgeWish",
  "Receipt",
  "ReceiveManyOptions",
  "ReceiveOptions",
  "RecoveryStatus",
  "RetentionLimits",
  "RetentionOptions",
  "SchemaIssue",
  "SchemaResult",
  "SessionStatus",
  "StandardSchema",
  "StatusQuery",
  "StatusReport",
  "StatusTotals",
  "SubscribeOptions",
  "SubscriptionStatus",
  "TcpAddress",
  "Timer",
  "TopicStatus",
  "UnixAddress",
];

Deno.test("mod.ts exports exactly the values that are promised", () => {
  assert.deepEqual(Object.keys(mod).sort(), VALUES);
});

Deno.test("mod.ts exports exactly the types that are promised, and nothing but by name", async () => {
  const text = await Deno.readTextFile(new URL("../mod.ts", import.meta.url));
  const names = [...text.matchAll(/^export type \{([^}]*)\}/gm)]
    .flatMap(([, list = ""]) => list.split(","))
    .map((name) => name.trim()).filter((name) => name !== "");
  assert.deepEqual(names.sort(), TYPES);
  assert.doesNotMatch(text, /^export (\*|default)/m);
  assert.doesNotMatch(text, /^(import|const|let|await|function)\b/m);
});
