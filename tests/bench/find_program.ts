/**
 * Programs of the system.
 *
 * @module
 */

/** Servers lie where the PATH of a plain user does not always look. */
const MORE_FOLDERS = ["/usr/sbin", "/usr/local/sbin"];

/** The whole path of a program; `null` if it is not there. */
export function findProgram(name: string): string | null {
  const folders = (Deno.env.get("PATH") ?? "").split(":");
  for (const folder of [...folders, ...MORE_FOLDERS]) {
    const path = `${folder}/${name}`;
    if (folder !== "" && isFile(path)) return path;
  }
  return null;
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    if (error instanceof Deno.errors.NotADirectory) return false;
    if (error instanceof Deno.errors.PermissionDenied) return false;
    throw error;
  }
}
