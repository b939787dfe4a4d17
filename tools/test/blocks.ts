/**
 * What runs at the same time tells at the same time; so what belongs together is
 * held back until it is whole.
 *
 * @module
 */

import { stripVTControlCharacters } from "node:util";

/** What `deno test` says before the tests of a file. */
const BEGINNING = /^running \d+ tests? from /;

/** Cuts the output of `deno test` into what it says of one file each. */
export async function* toBlocks(
  output: ReadableStream<Uint8Array<ArrayBuffer>>,
): AsyncGenerator<string> {
  let block = "";
  let line = "";
  for await (const text of output.pipeThrough(new TextDecoderStream())) {
    const [first = "", ...others] = text.split("\n");
    line += first;
    for (const next of others) {
      const isNext = BEGINNING.test(stripVTControlCharacters(line));
      if (isNext && block !== "") {
        yield block;
        block = "";
      }
      block += `${line}\n`;
      line = next;
    }
  }
  if (block + line !== "") yield block + line;
}
