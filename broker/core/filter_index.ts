/**
 * Which filters match a topic, without looking at each of them: exact ones by
 * map, those with wildcards by a tree of levels.
 *
 * @module
 */

import { isExactFilter, isOwnTopic } from "../../protocol/topics.ts";

/** What is filed under a filter. */
export interface Filtered {
  /** A valid filter. */
  readonly filter: string;
}

/** One level of the tree. */
class Level<T> {
  readonly below = new Map<string, Level<T>>();
  /** Filters that end at this level. */
  readonly ending = new Set<T>();
  /** Filters that go on with `#` and nothing else. */
  readonly deep = new Set<T>();

  get isEmpty(): boolean {
    return this.below.size === 0 && this.ending.size === 0 &&
      this.deep.size === 0;
  }
}

/** An index of things by their filter; several may have the same one. */
export class FilterIndex<T extends Filtered> {
  readonly #exact = new Map<string, Set<T>>();
  readonly #root = new Level<T>();
  #version = 0;

  /** Changes with every change of the index: what was matched before may be out of date. */
  get version(): number {
    return this.#version;
  }

  /** Files `thing`. */
  add(thing: T): void {
    this.#version++;
    if (isExactFilter(thing.filter)) {
      const same = this.#exact.get(thing.filter);
      if (same !== undefined) same.add(thing);
      else this.#exact.set(thing.filter, new Set([thing]));
      return;
    }
    const [levels, isDeep] = toLevels(thing.filter);
    let level = this.#root;
    for (const name of levels) {
      let next = level.below.get(name);
      if (next === undefined) {
        next = new Level();
        level.below.set(name, next);
      }
      level = next;
    }
    (isDeep ? level.deep : level.ending).add(thing);
  }

  /** Takes `thing` out. */
  delete(thing: T): void {
    this.#version++;
    if (isExactFilter(thing.filter)) {
      const same = this.#exact.get(thing.filter);
      same?.delete(thing);
      if (same?.size === 0) this.#exact.delete(thing.filter);
      return;
    }
    const [levels, isDeep] = toLevels(thing.filter);
    const path = [this.#root];
    for (const name of levels) {
      const next = path[path.length - 1].below.get(name);
      if (next === undefined) return;
      path.push(next);
    }
    const last = path[path.length - 1];
    (isDeep ? last.deep : last.ending).delete(thing);
    for (let i = path.length - 1; i > 0 && path[i].isEmpty; i--) {
      path[i - 1].below.delete(levels[i - 1]);
    }
  }

  /** All whose filter matches a valid topic. */
  match(topic: string): T[] {
    const found: T[] = [...this.#exact.get(topic) ?? []];
    const root = this.#root;
    if (root.isEmpty) return found;
    const levels = topic.split("/");
    const isOwn = isOwnTopic(topic);
    let reached: Level<T>[] = [root];
    for (const [depth, name] of levels.entries()) {
      // A wildcard in the first level does not match mom's own topics.
      const takesWild = depth > 0 || !isOwn;
      const next: Level<T>[] = [];
      for (const level of reached) {
        if (takesWild) found.push(...level.deep);
        const named = level.below.get(name);
        if (named !== undefined) next.push(named);
        const any = takesWild ? level.below.get("+") : undefined;
        if (any !== undefined) next.push(any);
      }
      reached = next;
      if (reached.length === 0) return found;
    }
    for (const level of reached) found.push(...level.ending, ...level.deep);
    return found;
  }
}

function toLevels(filter: string): [levels: string[], isDeep: boolean] {
  const levels = filter.split("/");
  const isDeep = levels[levels.length - 1] === "#";
  if (isDeep) levels.pop();
  return [levels, isDeep];
}
