/**
 * Ports that can be used again after their program was killed.
 *
 * @module
 */

/**
 * A free port of loopback below the range from which systems take the ports of
 * outgoing connections: while its program is down, nobody gets it by chance,
 * and a client that tries to connect cannot meet itself.
 */
export function freePort(): number {
  for (let attempt = 0; attempt < 100; attempt++) {
    const port = 10_000 + Math.floor(Math.random() * 20_000);
    try {
      Deno.listen({ hostname: "127.0.0.1", port }).close();
      return port;
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    }
  }
  throw new Error("Found no free port in 100 attempts");
}
