/**
 * The Python interpreter that the tests use, where there is one.
 *
 * @module
 */

/** An interpreter of 3.9 or later that has cbor2. */
export interface Python {
  /** Its path, or its name on the search path. */
  readonly path: string;
}

/** Exits 0 if the Python client can run. */
const PROBE = "import sys, cbor2; sys.exit(sys.version_info < (3, 9))";

/**
 * Looks for an interpreter: what `MOM_TEST_PYTHON` names, else one on the search
 * path, else that of the system, for which packages of the system are.
 */
export async function findPython(): Promise<Python | null> {
  const named = Deno.env.get("MOM_TEST_PYTHON");
  const paths = named === undefined
    ? ["python3", "/usr/bin/python3", "python"]
    : [named];
  for (const path of paths) if (await canRun(path)) return { path };
  return null;
}

async function canRun(path: string): Promise<boolean> {
  try {
    const command = new Deno.Command(path, { args: ["-c", PROBE] });
    return (await command.output()).success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** What the name of a test that is skipped says. */
export function withoutPython(python: Python | null): string {
  return python === null
    ? " (skipped: no Python 3.9 with cbor2 here; apt-get install python3-cbor2)"
    : "";
}
