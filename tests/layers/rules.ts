/**
 * The layer rule: which room may import which. Pure; the graph comes from
 * `import_graph.ts`.
 *
 * @module
 */

/** One import: both paths from the root of the sources, or a package. */
export interface ImportEdge {
  /** The file that imports. */
  from: string;
  /** What it imports: `protocol/errors.ts`, `npm:hono@4`, `node:assert`. */
  to: string;
  /** Whether it is there at run time, or for types alone. */
  isCode: boolean;
}

/** What each room may import beside itself. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  "mod.ts": ["protocol", "program", "broker", "daemon"],
  deps: [],
  protocol: ["deps", "deno.json"],
  transport: ["protocol"],
  storage: ["protocol", "deps"],
  program: ["protocol", "deps"],
  broker: ["protocol", "transport", "storage", "program", "deps"],
  daemon: ["protocol", "transport", "storage", "program", "deps"],
  coordinator: ["mod.ts", "deps"],
  examples: ["mod.ts", "coordinator", "deps"],
  tools: ["program", "deps", "deno.json"],
};

/** All of protocol/ that transport/ may know. */
const LEAVES: readonly string[] = [
  "protocol/address.ts",
  "protocol/byte_stream.ts",
  "protocol/clock.ts",
  "protocol/errors.ts",
  "protocol/limits.ts",
];

/** All that examples/ may know of a room, whose faces they are to show. */
const FACES: readonly string[] = [
  "mod.ts",
  "coordinator/mod.ts",
  "deps/cli.ts",
];

/** Outside packages that only some may use. */
const RESTRICTED: Readonly<Record<string, (from: string) => boolean>> = {
  "deps/cli.ts": (from) => isMain(from) || /(^|\/)cli\//.test(from),
  "deps/hono.ts": (from) => /^(program|broker|daemon)\/(.*\/)?http/.test(from),
  "deps/cbor_x.ts": (from) => from.startsWith("protocol/"),
  "deps/minimist.ts": (from) => from.startsWith("deps/std_cli/"),
  "deps/fast_check.ts": () => false,
};

/** What breaks the rule, a line each; empty when all is well. */
export function findBreaches(edges: readonly ImportEdge[]): string[] {
  const breaches = edges.map(breachOf).filter((breach) => breach !== null);
  return [...new Set(breaches)];
}

/** A circle of imports at run time, as the files along it; `null` if none. */
export function findCircle(edges: readonly ImportEdge[]): string[] | null {
  const next = new Map<string, string[]>();
  for (const { from, to, isCode } of edges) {
    if (isCode) next.set(from, [...next.get(from) ?? [], to]);
  }
  const done = new Set<string>();
  const visit = (file: string, path: string[]): string[] | null => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file];
    if (done.has(file)) return null;
    for (const each of next.get(file) ?? []) {
      const circle = visit(each, [...path, file]);
      if (circle !== null) return circle;
    }
    done.add(file);
    return null;
  };
  for (const file of next.keys()) {
    const circle = visit(file, []);
    if (circle !== null) return circle;
  }
  return null;
}

function breachOf({ from, to }: ImportEdge): string | null {
  if (isPackage(to)) {
    return from.startsWith("deps/")
      ? null
      : `${from} imports ${to}: packages come in through deps/ alone`;
  }
  if (from.startsWith("tests/") || to.startsWith("node:")) return null;
  if (to.startsWith("tests/")) return `${from} imports a test, ${to}`;
  const room = roomOf(from);
  const allowed = MAY_IMPORT[room];
  if (allowed === undefined) return `${from} lies in no room of the house`;
  if (roomOf(to) !== room && !allowed.includes(roomOf(to))) {
    return `${from} imports ${to}: not for ${room}`;
  }
  if (
    room === "transport" && roomOf(to) === "protocol" && !LEAVES.includes(to)
  ) {
    return `${from} imports ${to}: transport knows only protocol's leaves`;
  }
  if (room === "examples" && roomOf(to) !== room && !FACES.includes(to)) {
    return `${from} imports ${to}: examples know only the faces`;
  }
  if (RESTRICTED[to]?.(from) === false) {
    return `${from} imports ${to}: it has a place of its own`;
  }
  if (isMain(to)) return `${from} imports a program, ${to}`;
  return null;
}

function isPackage(to: string): boolean {
  return /^(npm|jsr|https?):/.test(to);
}

function isMain(file: string): boolean {
  return file.endsWith("/main.ts");
}

function roomOf(file: string): string {
  return file.split("/", 1)[0]!;
}
