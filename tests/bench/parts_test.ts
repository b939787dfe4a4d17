import assert from "node:assert/strict";
import { Encoder } from "../../deps/cbor_x.ts";
import {
  BodyMaker,
  contentBytes,
  sequenceOf,
  timeOf,
  writerOf,
} from "./body.ts";
import { UsageError } from "../helpers/command_line.ts";
import { readOptions, WORKLOADS } from "./options.ts";
import { cpuSecondsIn, mebibytesIn } from "./process_usage.ts";
import { progressLine } from "./progress.ts";
import { countSyncs } from "./strace.ts";
import { Tally } from "./tally.ts";

Deno.test("a body of contentBytes() is as large as said when encoded", () => {
  const encoder = new Encoder({ tagUint8Array: false });
  for (const bytes of [17, 100, 257, 1024, 100_000]) {
    const body = new Uint8Array(contentBytes(bytes));
    assert.equal(encoder.encode(body).length, bytes);
  }
});

Deno.test("a body tells its writer, number and time", () => {
  const body = new BodyMaker(98, 15).make(3_000_000_000, 12.5);
  assert.equal(body.length, 98);
  const view = new Uint8Array(200);
  view.set(body, 7);
  const shifted = view.subarray(7, 105);
  assert.equal(writerOf(shifted), 15);
  assert.equal(sequenceOf(shifted), 3_000_000_000);
  assert.equal(timeOf(shifted), 12.5);
});

Deno.test("bodies share no bytes, however many there are", () => {
  const maker = new BodyMaker(1_000, 3);
  const bodies = Array.from({ length: 200 }, (_, n) => maker.make(n));
  assert.deepEqual(
    bodies.map(sequenceOf),
    Array.from(bodies.keys()),
  );
  const large = new BodyMaker(100_000, 3);
  assert.equal(large.make(1).length, 100_000);
  assert.equal(sequenceOf(large.make(2)), 2);
});

Deno.test("Tally sees what comes late or twice, of each writer for itself", () => {
  const tally = new Tally();
  tally.take(0, 0);
  tally.take(1, 0);
  tally.take(0, 2);
  assert.equal(tally.reordered, 0);
  tally.take(0, 1);
  tally.take(1, 0);
  assert.equal(tally.reordered, 2);
  assert.equal(tally.received, 5);
});

Deno.test("readOptions() has defaults and takes all flags", () => {
  assert.deepEqual(readOptions([]), {
    workloads: WORKLOADS,
    sizes: [100, 1024],
    seconds: 5,
    repeat: 3,
    peers: [],
    json: null,
    isFull: false,
  });
  const line = "publish idle --size 64 --seconds 0.5 --repeat 1 " +
    "--peers redis,nats --json a.json --full";
  assert.deepEqual(readOptions(line.split(" ")), {
    workloads: ["publish", "idle"],
    sizes: [64],
    seconds: 0.5,
    repeat: 1,
    peers: ["redis", "nats"],
    json: "a.json",
    isFull: true,
  });
});

Deno.test("readOptions() refuses by naming flag, value and rule", () => {
  const wrong = [
    [["fly"], /workload fly: must be one of publish,/],
    [["--size", "100,x"], /--size x: must be from 16 to/],
    [["--size", "8"], /--size 8/],
    [["--seconds", "0"], /--seconds 0/],
    [["--repeat", ""], /--repeat/],
    [["--peers", "kafka"], /--peers kafka: must be one of nats,/],
    [["--fast"], /--fast/],
  ] as const;
  for (const [args, message] of wrong) {
    assert.throws(() => readOptions(args), (error) => {
      assert(error instanceof UsageError);
      assert.match(error.message, message);
      return true;
    });
  }
});

Deno.test("cpuSecondsIn() reads past a name with spaces and brackets", () => {
  const stat = "7 (a) b) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20";
  assert.equal(cpuSecondsIn(stat), 3);
});

Deno.test("mebibytesIn() reads one line of many", () => {
  const status = "VmPeak:\t  9999 kB\nVmHWM:\t  2048 kB\nVmRSS:\t 1024 kB\n";
  assert.equal(mebibytesIn(status, "VmHWM"), 2);
  assert.equal(mebibytesIn(status, "VmRSS"), 1);
  assert(Number.isNaN(mebibytesIn("", "VmRSS")));
});

Deno.test("countSyncs() counts calls once, also cut in two, by the file's name", () => {
  const trace = [
    "7 fdatasync(5</d/kv-wal>) = 0",
    "7 fsync(6</d/kv> <unfinished ...>",
    "8 fdatasync(5</d/kv-wal> <unfinished ...>",
    "7 <... fsync resumed>) = 0",
    "8 <... fdatasync resumed>) = 0",
    "7 +++ exited with 0 +++",
  ].join("\n");
  assert.equal(countSyncs(trace), 3);
  assert.equal(countSyncs(trace, "-wal"), 2);
});

Deno.test("progressLine() shows how far it is", () => {
  const state = { done: 5, total: 10, label: "publish", seconds: 3.4 };
  assert.equal(
    progressLine(state),
    "[##########          ] 5/10 · 3 s · publish",
  );
});
