/**
 * Folding: what change lists say goes into pages, in the background, so that
 * the ring of lists never runs out and opening reads few of them.
 *
 * Only what is on disk is folded, so a page never runs ahead of the lists.
 * Changes are whole new values: opening applies every list behind the last
 * *finished* fold in order, and it does no harm when a page has some already.
 *
 * @module
 */

import { type Change, type ChangeList, ChangeSet } from "./change_list.ts";
import type { KvReader } from "./kv_reader.ts";
import {
  COMMIT_BYTES_MAX,
  type Counters,
  type Mutation,
  MUTATION_BYTES,
  pageKey,
  pageKeys,
  RING_SLOTS,
  type Root,
  ROOT_KEY,
} from "./layout.ts";
import {
  extraParts,
  mergePage,
  type PageHead,
  type PageId,
  readPage,
  readPageHead,
  writePage,
} from "./pages.ts";

const FOLD_AT_LISTS = 128;
const FOLD_AT_BYTES = 1024 * 1024;
/** Pages that are prepared ahead of their commit. */
const PAGES_AT_ONCE = 10;

/** What changes on one page. */
interface PageWork extends PageId {
  readonly changes: Map<number, Change>;
}

/** A fold under way. */
interface Run {
  readonly position: number;
  readonly counters: Counters;
  readonly pages: PageWork[];
  at: number;
  isRootReady: boolean;
}

/** The size of a mutation for the limits of a commit. */
export function mutationBytes(mutation: Mutation): number {
  const { value } = mutation;
  if (value === null) return MUTATION_BYTES;
  // The root has a handful of numbers.
  return MUTATION_BYTES + (value instanceof Uint8Array ? value.length : 256);
}

/** Keeps what is not yet folded, and works it off. */
export class Fold {
  readonly #reader: KvReader;
  readonly #onReady: () => void;
  readonly #onError: (error: unknown) => void;
  #root: Root;
  #lists: ChangeList[] = [];
  #bytes = 0;
  #run: Run | null = null;
  #ready: Mutation[][] = [];
  #reading: Promise<void> | null = null;
  #isRootTaken = false;
  #isStopped = false;

  /**
   * @param root The root as it is on disk.
   * @param onReady Called when there is something to {@link take} that was not there before.
   * @param onError Called when pages can't be read.
   */
  constructor(
    reader: KvReader,
    root: Root,
    onReady: () => void,
    onError: (error: unknown) => void,
  ) {
    this.#reader = reader;
    this.#root = root;
    this.#onReady = onReady;
    this.#onError = onError;
  }

  /** Whether {@link take} has something. */
  get isReady(): boolean {
    return this.#ready.length > 0;
  }

  /** Whether the list of `position` would overwrite one that is not folded. */
  blocks(position: number): boolean {
    return position - RING_SLOTS > this.#root.foldedPosition;
  }

  /** Takes over the changes of a list that is on disk. */
  add(list: ChangeList): void {
    this.#lists.push(list);
    this.#bytes += list.bytes;
    this.#startIfDue();
  }

  /** Resolves when {@link isReady}, or the fold is at its end. Only while it {@link blocks}. */
  async wait(): Promise<void> {
    this.#start();
    while (this.#ready.length === 0 && this.#reading !== null) {
      await this.#reading;
    }
  }

  /**
   * Mutations to commit next, all together.
   *
   * @param bytesMax What there is room for.
   * @param atLeastOne Gives the next ones whatever their size.
   */
  take(bytesMax: number, atLeastOne: boolean): Mutation[] {
    const taken: Mutation[] = [];
    let bytes = 0;
    for (;;) {
      const unit = this.#ready[0];
      if (unit === undefined) break;
      bytes += unit.reduce((sum, m) => sum + mutationBytes(m), 0);
      if (bytes > bytesMax && !(atLeastOne && taken.length === 0)) break;
      taken.push(...unit);
      this.#ready.shift();
      this.#isRootTaken = unit[0].key === ROOT_KEY;
    }
    return taken;
  }

  /** What {@link take} gave is on disk. */
  committed(): void {
    const run = this.#run;
    if (run !== null && this.#isRootTaken) {
      this.#isRootTaken = false;
      this.#root = rootAfter(this.#root, run);
      // The next run reads pages that this one wrote: only now may it begin.
      this.#run = null;
      this.#startIfDue();
    }
    this.#proceed();
  }

  /** Ends the work; what is not folded is at the next opening. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#ready = [];
    await this.#reading;
  }

  #startIfDue(): void {
    const isDue = this.#lists.length >= FOLD_AT_LISTS ||
      this.#bytes >= FOLD_AT_BYTES;
    if (isDue) this.#start();
  }

  #start(): void {
    if (this.#run !== null || this.#lists.length === 0) return;
    const last = this.#lists[this.#lists.length - 1];
    this.#run = {
      position: last.position,
      counters: last.counters,
      pages: toPages(this.#lists),
      at: 0,
      isRootReady: false,
    };
    this.#lists = [];
    this.#bytes = 0;
    this.#proceed();
  }

  /** Prepares the next pages when few are left. */
  #proceed(): void {
    const run = this.#run;
    if (run === null || this.#reading !== null || this.#isStopped) return;
    if (this.#ready.length > PAGES_AT_ONCE) return;
    if (run.at < run.pages.length) {
      this.#reading = this.#prepare(run).catch(this.#onError).finally(() => {
        this.#reading = null;
        this.#proceed();
        if (this.isReady) this.#onReady();
      });
      return;
    }
    if (run.isRootReady) return;
    run.isRootReady = true;
    this.#ready.push([{ key: ROOT_KEY, value: rootAfter(this.#root, run) }]);
  }

  async #prepare(run: Run): Promise<void> {
    const pages = run.pages.slice(run.at, run.at + PAGES_AT_ONCE);
    run.at += pages.length;
    const heads = await this.#readHeads(pages);
    for (const [i, page] of pages.entries()) {
      const head = heads[i];
      const keys = head === null
        ? []
        : extraParts(head).map((part) => pageKey(page.table, page.page, part));
      const extras = await this.#reader.getMany(keys);
      const entries = readPage(page, head, extras);
      mergePage(entries, page.changes);
      this.#ready.push(...writePage(page, head, entries));
    }
  }

  async #readHeads(pages: readonly PageId[]): Promise<(PageHead | null)[]> {
    const keys = pages.map(({ table, page }) => pageKey(table, page, 0));
    const values = await this.#reader.getMany(keys);
    return values.map((value, i) => readPageHead(pages[i], value));
  }
}

function rootAfter(root: Root, run: Run): Root {
  const { position, counters } = run;
  return { ...root, foldedPosition: position, counters };
}

/** The most that a commit of the fold alone may take. */
export const FOLD_COMMIT_BYTES = COMMIT_BYTES_MAX / 4;

function toPages(lists: readonly ChangeList[]): PageWork[] {
  const all = new ChangeSet();
  for (const list of lists) all.merge(list.changes);
  const pages: PageWork[] = [];
  for (const [table, entries] of all.tables) {
    const perPage = pageKeys(table);
    const byPage = new Map<number, PageWork>();
    for (const [key, change] of entries) {
      const number = Math.floor(key / perPage);
      let page = byPage.get(number);
      if (page === undefined) {
        page = { table, page: number, changes: new Map() };
        byPage.set(number, page);
      }
      page.changes.set(key, change);
    }
    pages.push(...byPage.values());
  }
  return pages;
}
