/**
 * The HTTP side that broker and daemon have in common:
 *
 * | path | answer | token |
 * | --- | --- | --- |
 * | `/healthz` | 200 as long as the process answers | no |
 * | `/readyz` | 200 when it serves, else 503 | no |
 * | `/metrics` | Prometheus text | yes |
 * | `/api/v1/status?topic=&user=` | the status report | yes |
 * | `POST /api/v1/purge?topic=` or `?user=` or `?all=true` | what was purged; a broker's only | yes |
 *
 * Errors are JSON: `{ "error": { "code", "message" } }`.
 *
 * @module
 */

import { type Context, Hono } from "../deps/hono.ts";
import * as v from "../deps/valibot.ts";
import { type ErrorCode, MomError } from "../protocol/errors.ts";
import { type Refusal, refuseForeign, refuseStranger } from "./http_guard.ts";
import { METRICS_CONTENT_TYPE } from "./metrics.ts";
import type { StatusQuery } from "./status.ts";

/** Answers one request. */
export type HttpHandler = (request: Request) => Response | Promise<Response>;

/** What the HTTP side needs to know. */
export interface HttpAppOptions {
  /** Who answers. */
  role: "broker" | "daemon";
  /** Who knows it is let in; `null` lets everybody in. */
  token: string | null;
  /**
   * The host that it listens on, which requests may name beside loopback.
   *
   * @default {"127.0.0.1"}
   */
  hostname?: string;
  /** The status report; may fail with a `MomError`. */
  status(query: StatusQuery): unknown;
  /** Purges, where there is something to purge; may fail with a `MomError`. */
  purge?(wish: PurgeQuery): unknown;
  /** Whether it serves its clients at this moment. */
  ready(): boolean;
  /** The metrics as Prometheus text. */
  metrics(): string | Promise<string>;
}

/** What to purge: exactly one of them. */
export interface PurgeQuery {
  readonly topic?: string;
  /** `name@machine`. */
  readonly user?: string;
  readonly all?: true;
}

const PURGE_PATH = "/api/v1/purge";
const OPEN_PATHS: readonly string[] = ["/healthz", "/readyz"];

const querySchema = v.strictObject({
  topic: v.optional(v.pipe(v.string(), v.maxLength(255))),
  user: v.optional(v.pipe(v.string(), v.maxLength(255))),
});

const purgeSchema = v.strictObject({
  topic: v.optional(v.pipe(v.string(), v.maxLength(255))),
  user: v.optional(v.pipe(v.string(), v.maxLength(255))),
  all: v.optional(v.pipe(v.literal("true"), v.transform(() => true as const))),
});

type HttpStatus = 400 | 401 | 403 | 404 | 405 | 500 | 503;

/** Makes the handler of all requests. */
export function createHttpApp(options: HttpAppOptions): HttpHandler {
  const { role, token, hostname = "127.0.0.1" } = options;
  const app = new Hono();
  app.use(async (context, next) => {
    const { req } = context;
    const refusal = refuseForeign(req.raw.headers, hostname) ??
      (OPEN_PATHS.includes(req.path)
        ? null
        : refuseStranger(req.raw.headers, token));
    if (refusal !== null) return refuse(context, refusal);
    const isPurge = req.path === PURGE_PATH && options.purge !== undefined;
    const methods = isPurge ? ["POST"] : ["GET", "HEAD"];
    if (!methods.includes(req.method)) {
      const message = `Cannot ${req.method}: only ${methods[0]}`;
      context.header("allow", methods.join(", "));
      return fail(context, 405, "unsupported", message);
    }
    await next();
    context.header("cache-control", "no-store");
    context.header("x-content-type-options", "nosniff");
  });
  app.get("/healthz", (context) => context.json({ role, healthy: true }));
  app.get("/readyz", (context) => {
    const ready = options.ready();
    return context.json({ role, ready }, ready ? 200 : 503);
  });
  app.get(
    "/metrics",
    async (context) =>
      context.body(await options.metrics(), 200, {
        "content-type": METRICS_CONTENT_TYPE,
      }),
  );
  app.get("/api/v1/status", async (context) => {
    const query = v.safeParse(querySchema, context.req.query());
    if (!query.success) return refuseQuery(context, query.issues[0]);
    return context.json(await options.status(query.output));
  });
  app.post(PURGE_PATH, async (context) => {
    const query = v.safeParse(purgeSchema, context.req.query());
    if (!query.success) return refuseQuery(context, query.issues[0]);
    return context.json(await options.purge?.(query.output) ?? null);
  });
  app.notFound((context) => {
    const message = `Cannot find "${context.req.path}"`;
    return fail(context, 404, "unsupported", message);
  });
  app.onError((error, context) => failWith(context, error));
  return (request) => app.fetch(request);
}

function fail(
  context: Context,
  status: HttpStatus,
  code: ErrorCode,
  message: string,
): Response {
  return context.json({ error: { code, message } }, status);
}

function refuse(context: Context, { status, message }: Refusal): Response {
  if (status === 401) context.header("www-authenticate", "Bearer");
  return fail(context, status, "unauthorized", message);
}

function refuseQuery(
  context: Context,
  issue: v.BaseIssue<unknown>,
): Response {
  const name = String(issue.path?.[0]?.key ?? "");
  const value = context.req.query(name) ?? "";
  const message = `Cannot use query ${name}="${value}": ${issue.message}`;
  return fail(context, 400, "option_invalid", message);
}

function failWith(context: Context, error: Error): Response {
  if (!(error instanceof MomError)) {
    return fail(context, 500, "internal", "Cannot answer: defect in mom");
  }
  const { code, retriable, message } = error;
  if (code === "internal") return fail(context, 500, code, message);
  return fail(
    context,
    retriable || code === "closed" ? 503 : 400,
    code,
    message,
  );
}
