/**
 * Other methods in the place of a class's own, until they are undone.
 *
 * @module
 */

type Method = (...args: never[]) => unknown;

/** Names of an object's methods. */
type MethodName<T> = {
  [K in keyof T]: T[K] extends Method ? K : never;
}[keyof T];

/** What was replaced; disposing puts everything back. */
export class Patches implements Disposable {
  readonly #undo: (() => void)[] = [];

  /** Replaces a method. @param make Gives another one for the original. */
  replace<T extends object, K extends MethodName<T>>(
    target: T,
    name: K,
    make: (original: T[K]) => T[K],
  ): void {
    this.#define(target, name, { value: make(target[name]) });
  }

  /** Replaces a getter. */
  replaceGetter<T extends object, K extends keyof T>(
    target: T,
    name: K,
    get: () => T[K],
  ): void {
    this.#define(target, name, { get });
  }

  /** Sets a constant. */
  set<T extends object, K extends keyof T>(
    target: T,
    name: K,
    value: unknown,
  ): void {
    this.#define(target, name, { value });
  }

  [Symbol.dispose](): void {
    for (const undo of this.#undo.splice(0).reverse()) undo();
  }

  #define(
    target: object,
    name: PropertyKey,
    descriptor: PropertyDescriptor,
  ): void {
    const before = Object.getOwnPropertyDescriptor(target, name);
    if (before === undefined) throw new TypeError(`No ${String(name)} here`);
    Object.defineProperty(target, name, { ...descriptor, configurable: true });
    this.#undo.push(() => Object.defineProperty(target, name, before));
  }
}
