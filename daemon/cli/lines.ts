/**
 * Lines of a stream of bytes.
 *
 * @module
 */

import { MomError } from "../../protocol/errors.ts";

/** Characters of a line: more than the largest message. */
export const LINE_LENGTH_MAX = 16 * 1024 * 1024;

/**
 * The lines of UTF-8 text, without their ends; what stands behind the last end
 * counts as a line too.
 *
 * @param lengthMax Characters of a line, {@linkcode LINE_LENGTH_MAX} by default.
 * @throws {MomError} `message_too_large` when a line is longer.
 */
export async function* linesOf(
  bytes: AsyncIterable<Uint8Array>,
  lengthMax: number = LINE_LENGTH_MAX,
): AsyncGenerator<string, void, void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of bytes) {
    const [first = "", ...more] = decoder.decode(chunk, { stream: true })
      .split("\n");
    rest += first;
    for (const part of more) {
      yield rest;
      rest = part;
    }
    if (rest.length > lengthMax) {
      throw new MomError(
        "message_too_large",
        `Cannot read line: it has more than ${lengthMax} characters`,
      );
    }
  }
  rest += decoder.decode();
  if (rest !== "") yield rest;
}
