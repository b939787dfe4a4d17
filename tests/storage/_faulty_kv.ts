/**
 * A database that goes wrong when told.
 *
 * @module
 */

type Operation = (atomic: Deno.AtomicOperation) => void;

/** Opens databases whose commits fail from some commit on. */
export class FaultyKv {
  #commitsLeft: number;
  readonly #operations: number;
  #hasCrashed = false;
  readonly #message: string;
  /** Commits that were tried. */
  commits = 0;
  /** How many operations the one that failed had. */
  lastOperations = 0;
  /** Called before each read of several values. */
  onRead: () => Promise<void> = () => Promise.resolve();
  /** Called before each commit. */
  onCommit: () => Promise<void> = () => Promise.resolve();

  /**
   * @param commits How many get through; the opener's does not count.
   * @param operations How many operations of the one after are applied.
   * @param message What it fails with.
   */
  constructor(commits: number, operations = 0, message = "the disk is gone") {
    this.#commitsLeft = commits + 1;
    this.#operations = operations;
    this.#message = message;
  }

  /** Whether a commit failed. */
  get hasCrashed(): boolean {
    return this.#hasCrashed;
  }

  /** Every commit from now on fails. */
  crashNow(): void {
    this.#hasCrashed = true;
  }

  /** Commits get through again. */
  heal(): void {
    this.#hasCrashed = false;
    this.#commitsLeft = Infinity;
  }

  /** A stand-in for `Deno.openKv`. */
  async open(path: string): Promise<Deno.Kv> {
    const kv = await Deno.openKv(path);
    return new Proxy(kv, {
      get: (target, name) => {
        if (name === "atomic") return () => this.#atomic(target);
        if (name === "getMany") {
          return async (keys: Deno.KvKey[]) => {
            await this.onRead();
            return await target.getMany(keys);
          };
        }
        if (name === "list") {
          return (selector: Deno.KvListSelector, options: Deno.KvListOptions) =>
            this.#list(target, selector, options);
        }
        const value = Reflect.get(target, name);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
  }

  async *#list(
    kv: Deno.Kv,
    selector: Deno.KvListSelector,
    options: Deno.KvListOptions,
  ): AsyncGenerator<Deno.KvEntry<unknown>> {
    await this.onRead();
    yield* kv.list(selector, options);
  }

  #atomic(kv: Deno.Kv): Deno.AtomicOperation {
    const checks: Deno.AtomicCheck[] = [];
    const operations: Operation[] = [];
    const recorder = {
      check(...more: Deno.AtomicCheck[]) {
        checks.push(...more);
        return recorder;
      },
      set(key: Deno.KvKey, value: unknown) {
        operations.push((atomic) => atomic.set(key, value));
        return recorder;
      },
      delete(key: Deno.KvKey) {
        operations.push((atomic) => atomic.delete(key));
        return recorder;
      },
      commit: () => this.#commit(kv, checks, operations),
    };
    return recorder as unknown as Deno.AtomicOperation;
  }

  async #commit(
    kv: Deno.Kv,
    checks: readonly Deno.AtomicCheck[],
    operations: readonly Operation[],
  ): Promise<Deno.KvCommitResult | Deno.KvCommitError> {
    this.commits++;
    await this.onCommit();
    if (this.#hasCrashed) throw new TypeError(this.#message);
    const isLast = --this.#commitsLeft < 0;
    const count = isLast
      ? Math.min(this.#operations, operations.length)
      : operations.length;
    if (isLast) this.lastOperations = operations.length;
    const atomic = kv.atomic().check(...checks);
    for (const operation of operations.slice(0, count)) operation(atomic);
    const result = count === 0 && isLast
      ? null
      : await atomic.commit().catch((error) => {
        // The database was busy: that try does not count.
        this.#commitsLeft++;
        throw error;
      });
    if (isLast || result === null) {
      this.#hasCrashed = true;
      throw new TypeError(this.#message);
    }
    return result;
  }
}
