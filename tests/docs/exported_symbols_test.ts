import assert from "node:assert/strict";
import { ERRORS } from "../../mod.ts";
import {
  type DocMember,
  type DocSymbol,
  type JsDoc,
  readDoc,
} from "./deno_doc.ts";

/** Symbols with no need of an example: their names tell all, or the language does. */
const NO_EXAMPLE = ["[Symbol.asyncDispose]", "toString"];

/** What can only fail where its class says so, or not at all. */
const CANNOT_FAIL = [
  ...NO_EXAMPLE,
  "status",
  "stop",
  "close",
  "events",
  "is",
  "[Symbol.asyncIterator]",
];

/** Words by which a number's unit, or what it counts, is told. */
const UNIT =
  /\b(ms|milliseconds|bytes|days|port|0 to \d+|how many|number|rows)\b/i;

const symbols = await readDoc();

function tagsOf(jsDoc: JsDoc | undefined, kind: string) {
  return jsDoc?.tags?.filter((tag) => tag.kind === kind) ?? [];
}

function textOf(jsDoc: JsDoc | undefined): string {
  const tags = jsDoc?.tags?.map(({ doc, value }) => `${doc} ${value}`) ?? [];
  return [jsDoc?.doc ?? "", ...tags].join("\n");
}

/** Every class and function, and every method of a class. */
function callables(): { name: string; jsDoc?: JsDoc; member?: DocMember }[] {
  return symbols.flatMap((symbol: DocSymbol) => {
    if (symbol.kind !== "class" && symbol.kind !== "function") return [];
    const methods = symbol.def?.methods ?? [];
    return [
      { name: symbol.name, jsDoc: symbol.jsDoc },
      ...methods.filter(({ kind }) => kind === "method").map((member) => ({
        name: `${symbol.name}.${member.name}`,
        jsDoc: member.jsDoc,
        member,
      })),
    ];
  });
}

function isListed(list: readonly string[], name: string): boolean {
  return list.includes(name.slice(name.indexOf(".") + 1));
}

/** Every member of every exported interface, with its full name. */
function interfaceMembers(): (DocMember & { owner: string })[] {
  return symbols.filter(({ kind }) => kind === "interface")
    .flatMap(({ name, def }) =>
      [...def?.properties ?? [], ...def?.methods ?? []]
        .map((member) => ({ ...member, owner: name }))
    );
}

Deno.test("every exported symbol and every member of it has a description", () => {
  assert.ok(symbols.length >= 50);
  const bare = symbols.flatMap(({ name, jsDoc, def }) => [
    ...jsDoc?.doc ? [] : [name],
    ...[...def?.methods ?? [], ...def?.properties ?? []]
      .filter((member) => !member.jsDoc?.doc)
      .map((member) => `${name}.${member.name}`),
  ]);
  assert.deepEqual(bare, []);
});

Deno.test("every exported class and function and every method has an example that runs", () => {
  const missing = callables()
    .filter(({ name }) => !isListed(NO_EXAMPLE, name))
    .filter(({ jsDoc }) =>
      !tagsOf(jsDoc, "example").some(({ doc }) => doc?.includes("```ts\n"))
    );
  assert.deepEqual(missing.map(({ name }) => name), []);
});

Deno.test("every method that can fail names its errors by code, and only codes that there are", () => {
  for (const { name, jsDoc, member } of callables()) {
    const errors = tagsOf(jsDoc, "throws")
      .filter(({ tsType }) => tsType?.repr === "MomError");
    if (member !== undefined && !isListed(CANNOT_FAIL, name)) {
      assert.ok(errors.length > 0, `${name} tells no errors`);
    }
    for (const { doc = "" } of errors) {
      const codes = [...doc.matchAll(/`([a-z]+(?:_[a-z]+)*)`/g)]
        .map(([, code]) => code!)
        .filter((code) => code.includes("_") || code in ERRORS);
      assert.ok(codes.length > 0, `${name}: "${doc}" names no code`);
      for (const code of codes) assert.ok(code in ERRORS, `${name}: ${code}`);
    }
  }
});

Deno.test("every option tells its default", () => {
  const silent = interfaceMembers()
    .filter(({ owner, optional }) =>
      optional && /(Options|Limits|Query)$/.test(owner)
    )
    .filter(({ jsDoc }) =>
      tagsOf(jsDoc, "default").length === 0 &&
      !textOf(jsDoc).includes("@default")
    );
  assert.deepEqual(silent.map(({ owner, name }) => `${owner}.${name}`), []);
});

Deno.test("every number tells its unit, or what it counts", () => {
  const silent = interfaceMembers()
    .filter(({ tsType }) => tsType?.repr === "number")
    .filter(({ name, jsDoc }) =>
      !/(Ms|Bytes|BytesMax|Days)$/.test(name) && !UNIT.test(textOf(jsDoc))
    );
  assert.deepEqual(silent.map(({ owner, name }) => `${owner}.${name}`), []);
});
