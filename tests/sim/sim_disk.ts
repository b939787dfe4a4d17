/**
 * A disk that outlives its programs: what of Deno KV the store uses, in memory
 * and on virtual time. A commit takes a while; whether one that was under way at
 * a crash happened is drawn.
 *
 * @module
 */

import type { Kernel } from "./kernel.ts";
import type { Part } from "./part.ts";

/** From a key to before another. */
interface Range {
  readonly start: Deno.KvKey;
  readonly end: Deno.KvKey;
}

interface Entry {
  readonly key: Deno.KvKey;
  readonly value: unknown;
  readonly versionstamp: string;
}

interface Mutation {
  readonly key: Deno.KvKey;
  /** `undefined`: deleted. */
  readonly value: unknown;
}

/** A commit on its way to the disk. */
export interface Commit {
  readonly checks: readonly Deno.AtomicCheck[];
  readonly mutations: readonly Mutation[];
}

/** When to die: at the number of a commit, before or after it is on disk. */
export interface Fuse {
  /** 1 is the next one. */
  commits: number;
  isAfter: boolean;
  /** Called at that boundary; the commit is never answered. */
  blow(): void;
}

/** How long the disk takes. */
export interface DiskPace {
  commitMs: number;
  /** Share of the commits that take up to {@link slowMs}. */
  slowShare: number;
  slowMs: number;
  /** How long a read takes, about. */
  readMs: number;
}

/** One program's disk, over all its lives. */
export class SimDisk {
  readonly kernel: Kernel;
  readonly name: string;
  /** Commits that are on it. */
  commits = 0;
  fuse: Fuse | null = null;
  /** The life whose commits fail from now on. */
  failing: Part | null = null;
  pace: DiskPace = { commitMs: 0.4, slowShare: 0.01, slowMs: 80, readMs: 0.2 };
  /** Test-only: its programs do not hear of failures, for a canary. */
  isDeaf = false;
  /** Test-only: changes a commit on its way, for canaries. */
  meddle: ((commit: Commit) => Commit) | null = null;
  readonly #entries = new Map<string, Entry>();
  /** By life: what it is writing. */
  readonly #underWay = new Map<Part, Commit>();
  #stamps = 0;

  constructor(name: string, kernel: Kernel) {
    this.name = name;
    this.kernel = kernel;
  }

  /** Everything on it is gone. */
  wipe(): void {
    this.#entries.clear();
  }

  /** Stands in for `Deno.openKv` in one life. */
  async open(part: Part): Promise<Deno.Kv> {
    await part.sleep(0.2, "open");
    part.onDeath(() => this.#leave(part));
    const kv = {
      get: async (key: Deno.KvKey) => {
        await part.sleep(this.#readMs(), "get");
        return this.#read(key);
      },
      getMany: async (keys: readonly Deno.KvKey[]) => {
        await part.sleep(this.#readMs(), "getMany");
        return keys.map((key) => this.#read(key));
      },
      list: (selector: { prefix: Deno.KvKey } | Range) =>
        this.#list(
          "prefix" in selector
            ? () => this.#withPrefix(selector.prefix)
            : () => this.#inRange(selector),
          part,
        ),
      atomic: () => this.#atomic(part),
      close: () => {},
    };
    return kv as unknown as Deno.Kv;
  }

  #readMs(): number {
    return this.pace.readMs * (0.2 + this.kernel.random.fraction());
  }

  #commitMs(): number {
    const { random } = this.kernel;
    const { commitMs, slowShare, slowMs } = this.pace;
    const isSlow = random.chance(slowShare);
    return (isSlow ? slowMs : commitMs) * (0.5 + random.fraction());
  }

  #read(key: Deno.KvKey): Deno.KvEntryMaybe<unknown> {
    const entry = this.#entries.get(nameOf(key));
    if (entry === undefined) return { key, value: null, versionstamp: null };
    return { ...entry, value: copyOf(entry.value) };
  }

  async *#list(
    find: () => Entry[],
    part: Part,
  ): AsyncGenerator<Deno.KvEntry<unknown>> {
    await part.sleep(this.#readMs(), "list");
    for (const entry of find()) {
      yield { ...entry, value: copyOf(entry.value) };
    }
  }

  #withPrefix(prefix: Deno.KvKey): Entry[] {
    const found = [...this.#entries.values()].filter(({ key }) =>
      prefix.every((piece, i) => key[i] === piece)
    );
    return found.sort((one, other) => compare(one.key, other.key));
  }

  /** Of keys that differ in their last part, a number. */
  #inRange({ start, end }: Range): Entry[] {
    const found: Entry[] = [];
    const prefix = start.slice(0, -1);
    for (let n = start.at(-1) as number; n < (end.at(-1) as number); n++) {
      const entry = this.#entries.get(nameOf([...prefix, n]));
      if (entry !== undefined) found.push(entry);
    }
    return found;
  }

  #atomic(part: Part): unknown {
    const checks: Deno.AtomicCheck[] = [];
    const mutations: Mutation[] = [];
    const atomic = {
      check: (...more: Deno.AtomicCheck[]) => {
        checks.push(...more);
        return atomic;
      },
      set: (key: Deno.KvKey, value: unknown) => {
        mutations.push({ key, value: copyOf(value) });
        return atomic;
      },
      delete: (key: Deno.KvKey) => {
        mutations.push({ key, value: undefined });
        return atomic;
      },
      commit: () => this.#commit(part, { checks, mutations }),
    };
    return atomic;
  }

  #commit(
    part: Part,
    asked: Commit,
  ): Promise<Deno.KvCommitResult | Deno.KvCommitError> {
    const commit = this.meddle?.(asked) ?? asked;
    this.#underWay.set(part, commit);
    return new Promise((resolve, reject) => {
      this.kernel.after(this.#commitMs(), part, "commit", () => {
        this.#underWay.delete(part);
        const isFatal = this.fuse !== null && --this.fuse.commits === 0;
        if (isFatal && !this.fuse!.isAfter) return this.#blow();
        const isFailing = this.failing === part;
        if (isFailing && this.kernel.random.chance(0.5)) {
          return this.isDeaf
            ? resolve({ ok: true, versionstamp: "0" })
            : reject(gone());
        }
        const result = this.#apply(commit);
        if (isFatal) return this.#blow();
        if (isFailing) reject(gone());
        else resolve(result);
      });
    });
  }

  /** A life is over: what it was writing is on the disk, or not. */
  #leave(part: Part): void {
    const commit = this.#underWay.get(part);
    this.#underWay.delete(part);
    if (commit !== undefined && this.kernel.random.chance(0.5)) {
      this.#apply(commit);
    }
  }

  #blow(): void {
    const fuse = this.fuse;
    this.fuse = null;
    fuse?.blow();
  }

  #apply(commit: Commit): Deno.KvCommitResult | Deno.KvCommitError {
    const holds = commit.checks.every(({ key, versionstamp }) =>
      (this.#entries.get(nameOf(key))?.versionstamp ?? null) === versionstamp
    );
    if (!holds) return { ok: false };
    const versionstamp = (++this.#stamps).toString(16).padStart(20, "0");
    let bytes = 0;
    for (const { key, value } of commit.mutations) {
      if (value === undefined) this.#entries.delete(nameOf(key));
      else this.#entries.set(nameOf(key), { key, value, versionstamp });
      if (value instanceof Uint8Array) bytes += value.length;
    }
    this.commits++;
    this.kernel.note(`committed at ${this.name}`, bytes);
    return { ok: true, versionstamp };
  }
}

function nameOf(key: Deno.KvKey): string {
  return key.join("/");
}

/** As Deno KV does: nobody's later change gets in. */
function copyOf(value: unknown): unknown {
  return value instanceof Uint8Array ? value.slice() : structuredClone(value);
}

function compare(one: Deno.KvKey, other: Deno.KvKey): number {
  for (let i = 0; i < Math.min(one.length, other.length); i++) {
    const order = comparePieces(one[i], other[i]);
    if (order !== 0) return order;
  }
  return one.length - other.length;
}

function comparePieces(one: Deno.KvKeyPart, other: Deno.KvKeyPart): number {
  if (typeof one === "number" && typeof other === "number") return one - other;
  const [left, right] = [String(one), String(other)];
  return left < right ? -1 : left > right ? 1 : 0;
}

function gone(): Error {
  return new TypeError("the disk is gone");
}
