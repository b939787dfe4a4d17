/**
 * Rules that the text of a source must keep and that no linter of ours holds.
 * Comments do not count.
 *
 * @module
 */

/** A rule: what must not stand in which files. */
interface TextRule {
  pattern: RegExp;
  isFor(file: string): boolean;
  why: string;
}

const inRooms = (...rooms: string[]) => (file: string) =>
  rooms.some((room) => file.startsWith(`${room}/`));

const isSource = (file: string) => !file.startsWith("tests/");

/** Where time and chance come from. */
const CLOCKS = ["protocol/clock.ts", "coordinator/system.ts"];

const RULES: readonly TextRule[] = [
  {
    pattern:
      /\b(Date\.now|performance\.now|new Date\(\)|setTimeout|setInterval)\b/,
    isFor: (file) =>
      inRooms(
        "protocol",
        "transport",
        "storage",
        "program",
        "broker",
        "daemon",
        "coordinator",
      )(
        file,
      ) && !CLOCKS.includes(file),
    why: "time comes from a Clock that is passed in",
  },
  {
    pattern: /\b(Math\.random|getRandomValues|randomUUID)\b/,
    isFor: (file) =>
      inRooms(
        "protocol",
        "transport",
        "storage",
        "program",
        "broker",
        "daemon",
        "coordinator",
      )(
        file,
      ) && !CLOCKS.includes(file),
    why: "chance comes from an Entropy that is passed in",
  },
  {
    pattern: /\bDeno\./,
    isFor: inRooms("protocol"),
    why: "protocol opens no socket and no file",
  },
  {
    pattern: /\bDeno\.(connect|listen|serve)\b/,
    isFor: (file) =>
      inRooms("storage", "broker", "daemon", "coordinator")(file) &&
      isSource(file),
    why: "connections come from transport/ or program/http_server.ts",
  },
  {
    pattern: /\bDeno\.openKv\b/,
    isFor: (file) => isSource(file) && !file.startsWith("storage/"),
    why: "only storage/ opens a store",
  },
  {
    pattern: /\bexport default\b/,
    isFor: (file) => !file.startsWith("deps/"),
    why: "exports have names",
  },
  {
    pattern: /^(export )?(declare )?(const )?enum /,
    isFor: () => true,
    why: "an object `as const` takes the place of an enum",
  },
  {
    pattern: /@ts-ignore|@ts-nocheck|deno-lint-ignore-file/,
    isFor: () => true,
    why: "checks are not switched off",
  },
];

/** What breaks a rule in a file, a line each; empty when all is well. */
export function findTextBreaches(file: string, text: string): string[] {
  const rules = RULES.filter((rule) => rule.isFor(file));
  return text.split("\n").flatMap((line, index) =>
    rules.filter(({ pattern }) => pattern.test(withoutComment(line)))
      .map(({ why }) => `${file}:${index + 1}: ${line.trim()} (${why})`)
  );
}

function withoutComment(line: string): string {
  // Orders to the compiler and the linter are comments too, and do count.
  if (/@ts-|deno-lint-/.test(line)) return line;
  if (/^\s*(\*|\/\*)/.test(line)) return "";
  return line.replace(/(^|\s)\/\/.*$/, "");
}
