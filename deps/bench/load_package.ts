/**
 * How the clients of other brokers get in: by name, at run time, in a process of
 * the bench alone. So neither `deno install` nor `deno check` nor the tests need
 * them, and `deno.lock` does not hold them; `deps/bench/deno.lock` does.
 *
 * @module
 */

/** Loads a package. @param specifier With an exact version. */
export async function loadPackage<T>(specifier: string): Promise<T> {
  return await import(specifier);
}
