/**
 * What topics, filters and names share: which characters may stand in them and
 * how many bytes they may have.
 *
 * @module
 */

/** ASCII characters that are refused: 1 at the index of each. */
export type CharacterTable = Uint8Array;

/** Space, control characters, `.` `:` `!`, and what `also` lists. */
export function forbid(also: string): CharacterTable {
  const table = new Uint8Array(128);
  table.fill(1, 0, 0x20);
  table[0x7f] = 1;
  for (const character of " .:!" + also) table[character.charCodeAt(0)] = 1;
  return table;
}

/**
 * What is wrong with `text`, or `null`: `it is empty`, `space at byte 3`,
 * `it has more than 255 bytes`.
 *
 * @param text What to look at; no more of it than `bytesMax` is read.
 * @param table The refused ASCII characters. Control characters of the upper
 *   range (U+0080 to U+009F) and lone surrogates are refused always.
 * @param bytesMax How many UTF-8 bytes there may be.
 */
export function findProblem(
  text: string,
  table: CharacterTable,
  bytesMax: number,
): string | null {
  if (text.length === 0) return "it is empty";
  let bytes = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < 0x80) {
      if (table[code] === 1) return `${describe(code)} at byte ${bytes}`;
      bytes += 1;
    } else if (code < 0x800) {
      if (code < 0xa0) return `control character at byte ${bytes}`;
      bytes += 2;
    } else if (code < 0xd800 || code > 0xdfff) {
      bytes += 3;
    } else {
      const next = text.charCodeAt(i + 1);
      if (code > 0xdbff || !(next >= 0xdc00 && next <= 0xdfff)) {
        return `lone surrogate at byte ${bytes}`;
      }
      bytes += 4;
      i++;
    }
    if (bytes > bytesMax) return `it has more than ${bytesMax} bytes`;
  }
  return null;
}

function describe(code: number): string {
  if (code === 0x20) return "space";
  if (code < 0x20 || code === 0x7f) return "control character";
  return `"${String.fromCharCode(code)}"`;
}

/** `text` in quotes for an error message: escaped, and cut when long. */
export function quote(text: string): string {
  return JSON.stringify(text.length > 80 ? text.slice(0, 80) + "…" : text);
}
