/**
 * CBOR (RFC 8949) as frames use it: writer and strict reader. Message values,
 * which may hold more kinds, are the business of `values.ts`.
 *
 * @module
 */

export { type CborItem, CborWriter, headBytes } from "./cbor_writer.ts";
export {
  type CborBounds,
  CborReader,
  decodeFrameFields,
  FRAME_BOUNDS,
  LIST_BOUNDS,
} from "./cbor_reader.ts";
