/**
 * Tells a story on stdout: who, then what, a line each.
 *
 * @module
 */

const NAME_WIDTH = 12;
const BOLD = "\u001b[1m";
const RED = "\u001b[31m";
const PLAIN = "\u001b[0m";

/** Prints lines; in colour on a terminal only. */
export class Story {
  readonly #hasColour = Deno.stdout.isTerminal() && !Deno.noColor;

  /** What somebody does. */
  tell(who: string, what: string): void {
    this.#print(this.#paint(who.padEnd(NAME_WIDTH), BOLD) + what);
  }

  /** What went wrong. */
  complain(what: string): void {
    this.#print(this.#paint(what, RED));
  }

  #paint(text: string, colour: string): string {
    return this.#hasColour ? colour + text + PLAIN : text;
  }

  #print(line: string): void {
    Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));
  }
}
