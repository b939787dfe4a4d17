import assert from "node:assert/strict";
import { TempFolder } from "../helpers/temp_folder.ts";
import {
  brokenNotes,
  type Note,
  NoteBook,
  readNotes,
  toHistory,
} from "./notes.ts";

const writing: Note[] = [
  { kind: "life", user: "ana@north", filters: [] },
  { kind: "attempt", writer: "ana.1", counter: 0, topic: "t" },
  { kind: "attempt", writer: "ana.1", counter: 1, topic: "t" },
  { kind: "attempt", writer: "ana.1", counter: 2, topic: "t" },
  { kind: "attempt", writer: "ana.1", counter: 3, topic: "t" },
  {
    kind: "receipt",
    writer: "ana.1",
    counter: 0,
    level: "daemon",
    offset: 7,
  },
  { kind: "failure", writer: "ana.1", counter: 1, code: "outbox_full" },
  { kind: "failure", writer: "ana.1", counter: 2, code: "outcome_unknown" },
];

const reading: Note[] = [
  { kind: "life", user: "ben@south", filters: ["t"] },
  {
    kind: "take",
    writer: "ana.1",
    counter: 0,
    topic: "t",
    offset: 7,
    redelivered: false,
  },
  { kind: "confirmed", topic: "t", from: 7, to: 8 },
  { kind: "broken", text: "value came damaged" },
];

Deno.test("NoteBook keeps each note, and readNotes() drops a line that was cut", async () => {
  await using folder = await TempFolder.make();
  const path = `${folder.path}/notes`;
  {
    using book = new NoteBook(path);
    for (const note of writing) book.write(note);
  }
  Deno.writeTextFileSync(path, '{"kind":"ta', { append: true });
  assert.deepEqual(await readNotes(path), writing);
});

Deno.test("toHistory() tells outcomes, users, lives and what must not be", () => {
  const lives = [
    { life: "ana.1", notes: writing },
    { life: "ben.1", notes: reading },
    { life: "ben.2", notes: [] },
    { life: "ben.3", notes: reading.slice(0, 1) },
  ];
  const { attempts, readers, users } = toHistory(lives);
  assert.deepEqual(
    attempts.map((attempt) => attempt.outcome),
    ["acknowledged", "refused", "unknown", "unknown"],
  );
  assert.equal(attempts[0].offset, 7);
  assert.equal(readers.length, 1);
  assert.deepEqual(readers[0].lives.map((life) => life.life), [
    "ben.1",
    "ben.3",
  ]);
  assert.deepEqual(readers[0].lives[0].confirmed, [["t", 7, 8]]);
  assert.equal(users.get("ana.1"), "ana@north");
  assert.deepEqual(brokenNotes(lives), ["ben.1: value came damaged"]);
});
