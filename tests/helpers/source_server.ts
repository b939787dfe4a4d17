/**
 * The sources as a web server hands them out.
 *
 * @module
 */

const ROOT = new URL("../../", import.meta.url);

/** Serves the sources on a free port of loopback; ends when disposed. */
export class SourceServer implements AsyncDisposable {
  readonly #server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    (request) => answer(new URL(request.url).pathname),
  );

  /** `HOST:PORT`. */
  get host(): string {
    return `127.0.0.1:${this.#server.addr.port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }
}

async function answer(path: string): Promise<Response> {
  const type = path.endsWith(".json")
    ? "application/json"
    : "application/typescript";
  try {
    const body = await Deno.readFile(new URL(`.${path}`, ROOT));
    return new Response(body, { headers: { "content-type": type } });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return new Response(null, { status: 404 });
  }
}
