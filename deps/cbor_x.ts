/**
 * CBOR values. The `/encode` subpath is pure JavaScript: no native addon, no
 * permission at import. Only `protocol/values.ts` may use it.
 */
export { Decoder, Encoder } from "npm:cbor-x@1.6.8/encode";
