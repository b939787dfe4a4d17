/**
 * What one sees of a simulation: on a terminal a picture that is drawn again in
 * its place, elsewhere a line for each event.
 *
 * @module
 */

/** How a piece of text looks. */
export type Style = "plain" | "strong" | "faint" | "good" | "bad" | "busy";

/** A piece of a line. */
export interface Span {
  /** One column a character. */
  text: string;
  /** How it looks. @default {"plain"} */
  style?: Style;
}

/** A line of a picture. */
export type Line = readonly Span[];

/** How large a picture may be. */
export interface Size {
  /** Characters in a line. */
  columns: number;
  /** Lines. */
  rows: number;
}

const CODES: Readonly<Record<Style, string>> = {
  plain: "",
  strong: "1",
  faint: "2",
  good: "32",
  bad: "31",
  busy: "33",
};

const TO_OTHER_SCREEN = "\u001b[?1049h\u001b[?25l";
const BACK_FROM_IT = "\u001b[?25h\u001b[?1049l";
const HOME = "\u001b[H";
const CLEAR_LINE = "\u001b[K";
const CLEAR_REST = "\u001b[J";

/** Between two pictures. */
const FRAME_MS = 60;

/** Cuts a line to its width, and colours it if that is wanted. */
export function fitLine(line: Line, columns: number, hasColour: boolean) {
  let [text, left] = ["", columns];
  for (const { text: whole, style = "plain" } of line) {
    const part = [...whole].slice(0, left).join("");
    left -= [...part].length;
    const code = hasColour ? CODES[style] : "";
    text += code === "" ? part : `\u001b[${code}m${part}\u001b[0m`;
  }
  return text;
}

/** Cuts a picture to its size; the last line says how much is missing. */
export function fitPicture(
  lines: readonly Line[],
  { columns, rows }: Size,
  hasColour: boolean,
): string[] {
  const isWhole = lines.length <= rows;
  const shown = isWhole ? lines : lines.slice(0, Math.max(0, rows - 1));
  const texts = shown.map((line) => fitLine(line, columns, hasColour));
  if (!isWhole && rows > 0) {
    const missing = `… ${lines.length - shown.length} lines more`;
    texts.push(fitLine([{ text: missing }], columns, false));
  }
  return texts;
}

/** Where a simulation is shown. */
export class Screen {
  /** Whether it is a terminal, and gets pictures. */
  readonly isTerminal: boolean = Deno.stdout.isTerminal();
  readonly #hasColour = this.isTerminal && !Deno.noColor;
  readonly #draw: (size: Size) => Line[];
  readonly #redraw = () => this.#wanted();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isOpen = false;

  /** @param draw Gives the picture as it is now. */
  constructor(draw: (size: Size) => Line[]) {
    this.#draw = draw;
  }

  /** Begins to draw. */
  open(): void {
    if (!this.isTerminal) return;
    this.#isOpen = true;
    if (Deno.build.os !== "windows") {
      Deno.addSignalListener("SIGWINCH", this.#redraw);
    }
    write(TO_OTHER_SCREEN);
    this.#wanted();
  }

  /** Tells that something has changed; `line` says it where no picture can. */
  changed(line: string | null): void {
    if (this.isTerminal) this.#wanted();
    else if (line !== null) write(`${line}\n`);
  }

  /** Leaves the terminal as it was; the last picture stays. */
  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    clearTimeout(this.#timer);
    if (Deno.build.os !== "windows") {
      Deno.removeSignalListener("SIGWINCH", this.#redraw);
    }
    const size = { ...Deno.consoleSize(), rows: Infinity };
    const last = fitPicture(this.#draw(size), size, this.#hasColour);
    write(`${BACK_FROM_IT}${last.join("\n")}\n`);
  }

  /** Prints a line below the last picture. */
  say(line: string, style: Style = "plain"): void {
    write(`${fitLine([{ text: line, style }], Infinity, this.#hasColour)}\n`);
  }

  #wanted(): void {
    if (!this.#isOpen) return;
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#paint();
    }, FRAME_MS);
  }

  #paint(): void {
    const size = Deno.consoleSize();
    const lines = fitPicture(this.#draw(size), size, this.#hasColour);
    const text = lines.map((line) => line + CLEAR_LINE).join("\n");
    write(HOME + text + CLEAR_REST);
  }
}

function write(text: string): void {
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length;) {
    at += Deno.stdout.writeSync(bytes.subarray(at));
  }
}
