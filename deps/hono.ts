/** The HTTP side of broker and daemon. */
export { Hono } from "npm:hono@4.13.13";
export type { Context, MiddlewareHandler } from "npm:hono@4.13.13";
