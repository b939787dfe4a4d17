/**
 * Ports that can be used again after their program was killed.
 *
 * @module
 */

/** Tests that run at the same time in two processes have half of them each. */
const [FIRST, COUNT] = {
  low: [10_000, 10_000],
  high: [20_000, 10_000],
}[Deno.env.get("MOM_TEST_PORTS") ?? ""] ?? [10_000, 20_000];

/**
 * A free port of loopback below the range from which systems take the ports of
 * outgoing connections: while its program is down, nobody gets it by chance,
 * and a client that tries to connect cannot meet itself.
 */
export function freePort(): number {
  for (let attempt = 0; attempt < 100; attempt++) {
    const port = FIRST + Math.floor(Math.random() * COUNT);
    try {
      Deno.listen({ hostname: "127.0.0.1", port }).close();
      return port;
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    }
  }
  throw new Error("Found no free port in 100 attempts");
}
