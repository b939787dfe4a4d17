/**
 * Environment variables, read only where reading is allowed: as a library mom
 * must neither fail nor make Deno ask on the terminal.
 *
 * @module
 */

/** Reads one variable; `undefined` when it is not set, empty, or not allowed. */
export type ReadEnvironment = (name: string) => string | undefined;

/** The process's own environment. */
export const processEnvironment: ReadEnvironment = (name) => {
  const { state } = Deno.permissions.querySync({ name: "env", variable: name });
  if (state !== "granted") return undefined;
  const value = Deno.env.get(name);
  return value === "" ? undefined : value;
};
