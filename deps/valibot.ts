/** Schemas: every message, setting and HTTP query is checked by one. */
export * from "npm:valibot@1.5.0";
