/**
 * What is published behind a value that an asynchronous schema is still looking at
 * waits for it, so that the order holds.
 *
 * @module
 */

/** The line of those who wait; made when the first has to. */
export class SchemaGate {
  readonly #onOpen: () => void;
  #last: Promise<void> = Promise.resolve();

  /** @param onOpen Called when nobody waits any more. */
  constructor(onOpen: () => void) {
    this.#onOpen = onOpen;
  }

  /**
   * Publishes when it is its turn and the schema has said yes.
   *
   * @param verdict What the schema says.
   * @param go Publishes.
   */
  pass<R>(verdict: void | Promise<void>, go: () => Promise<R>): Promise<R> {
    const before = this.#last;
    const fits = Promise.resolve(verdict);
    // It is looked at only when its turn comes; a refusal until then is no stray one.
    fits.catch(() => {});
    const turn = before.then(() => fits).then(() => ({ result: go() }));
    const open = () => {
      if (this.#last === gate) this.#onOpen();
    };
    // The receipt is waited for by the caller, not by the gate.
    const gate: Promise<void> = turn.then(open, open);
    this.#last = gate;
    return turn.then(({ result }) => result);
  }
}
