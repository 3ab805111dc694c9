/**
 * BSON without decoding it: the gateway reads a handful of top-level keys of each command and passes the
 * rest on byte for byte, so a page of documents or a batch of inserts costs no parsing here.
 * Layout: https://bsonspec.org/spec.html
 */
import { type Document, deserialize, serialize } from "bson";
import { MongoError } from "./errors.ts";

/** MongoDB refuses deeper documents (BSONDepth::kDefaultMaxAllowableDepth); so does this gateway. */
const MAX_DEPTH = 200;

/** One top-level element: its name, BSON type and where its value lies in the buffer. */
export interface Element {
  name: string;
  type: number;
  /** Offset of the type byte. */
  start: number;
  /** Offset of the value's first byte. */
  value: number;
  /** Offset just after the value. */
  end: number;
}

const FIXED_SIZE: Record<number, number> = {
  1: 8, // double
  6: 0, // undefined (deprecated)
  7: 12, // ObjectId
  8: 1, // boolean
  9: 8, // date
  10: 0, // null
  16: 4, // int32
  17: 8, // timestamp
  18: 8, // int64
  19: 16, // decimal128
  127: 0, // MaxKey
  255: 0, // MinKey
};

function invalid(reason: string): MongoError {
  return new MongoError(22, "InvalidBSON", `invalid BSON: ${reason}`);
}

function cString(buffer: Buffer, from: number, limit: number): number {
  const zero = buffer.indexOf(0, from);
  if (zero < 0 || zero >= limit) throw invalid("unterminated name");
  return zero + 1;
}

/** Checks a whole document (lengths, terminators, nesting) and returns the offset just after it. */
export function validateDocument(buffer: Buffer, start = 0, limit = buffer.length, depth = 0): number {
  if (depth > MAX_DEPTH) throw invalid(`nested deeper than ${MAX_DEPTH} levels`);
  if (limit - start < 5) throw invalid("document shorter than 5 bytes");
  const size = buffer.readInt32LE(start);
  if (size < 5 || size > limit - start) throw invalid("document length out of range");
  const end = start + size;
  if (buffer[end - 1] !== 0) throw invalid("document is not terminated");
  let at = start + 4;
  while (at < end - 1) {
    const type = buffer[at] as number;
    at = cString(buffer, at + 1, end);
    at = skipValue(buffer, type, at, end - 1, depth);
  }
  if (at !== end - 1) throw invalid("elements overrun the document");
  return end;
}

function skipValue(buffer: Buffer, type: number, at: number, limit: number, depth: number): number {
  const fixed = FIXED_SIZE[type];
  let end: number;
  if (fixed !== undefined) end = at + fixed;
  else if (type === 3 || type === 4) return validateDocument(buffer, at, limit, depth + 1);
  else if (type === 2 || type === 13 || type === 14) end = skipString(buffer, at, limit);
  else if (type === 5) {
    if (limit - at < 5) throw invalid("truncated binary");
    const size = buffer.readInt32LE(at);
    if (size < 0) throw invalid("negative binary length");
    end = at + 5 + size;
  } else if (type === 11) end = cString(buffer, cString(buffer, at, limit), limit);
  else if (type === 12) end = skipString(buffer, at, limit) + 12;
  else if (type === 15) {
    if (limit - at < 14) throw invalid("truncated code with scope");
    end = at + buffer.readInt32LE(at);
    const scope = skipString(buffer, at + 4, limit);
    if (end > limit || validateDocument(buffer, scope, limit, depth + 1) !== end) {
      throw invalid("code with scope has a wrong length");
    }
  } else throw invalid(`unknown element type ${type}`);
  if (end > limit) throw invalid("value overruns the document");
  return end;
}

function skipString(buffer: Buffer, at: number, limit: number): number {
  if (limit - at < 5) throw invalid("truncated string");
  const size = buffer.readInt32LE(at);
  if (size < 1 || size > limit - at - 4) throw invalid("string length out of range");
  if (buffer[at + 3 + size] !== 0) throw invalid("string is not terminated");
  return at + 4 + size;
}

/** The top-level elements of an already validated document, by name; of doubled names the last one. */
export function elements(document: Buffer): Map<string, Element> {
  const found = new Map<string, Element>();
  const limit = document.readInt32LE(0) - 1;
  let at = 4;
  while (at < limit) {
    const start = at;
    const type = document[at] as number;
    const value = document.indexOf(0, at + 1) + 1;
    const name = document.toString("utf8", at + 1, value - 1);
    at = topLevelEnd(document, type, value);
    found.set(name, { name, type, start, value, end: at });
  }
  return found;
}

function topLevelEnd(document: Buffer, type: number, at: number): number {
  const fixed = FIXED_SIZE[type];
  if (fixed !== undefined) return at + fixed;
  const size = type === 11 ? 0 : document.readInt32LE(at);
  switch (type) {
    case 3:
    case 4:
    case 15:
      return at + size;
    case 5:
      return at + 5 + size;
    case 11: {
      const pattern = document.indexOf(0, at) + 1;
      return document.indexOf(0, pattern) + 1;
    }
    case 12:
      return at + 4 + size + 12;
    default:
      return at + 4 + size;
  }
}

/** The value of a string element, or undefined for any other type. */
export function stringValue(document: Buffer, element: Element | undefined): string | undefined {
  if (element?.type !== 2) return undefined;
  return document.toString("utf8", element.value + 4, element.end - 1);
}

/** The value of a numeric element as a bigint (fractions are cut off), or undefined for any other type. */
export function integerValue(document: Buffer, element: Element | undefined): bigint | undefined {
  if (element?.type === 16) return BigInt(document.readInt32LE(element.value));
  if (element?.type === 18) return document.readBigInt64LE(element.value);
  if (element?.type === 1) {
    const double = document.readDoubleLE(element.value);
    return Number.isFinite(double) ? BigInt(Math.trunc(double)) : undefined;
  }
  return undefined;
}

/** The value of a boolean element, or undefined for any other type. */
export function booleanValue(document: Buffer, element: Element | undefined): boolean | undefined {
  return element?.type === 8 ? document[element.value] === 1 : undefined;
}

/** The bytes of an embedded document or array, or undefined for any other type. */
export function documentValue(document: Buffer, element: Element | undefined): Buffer | undefined {
  if (element?.type !== 3 && element?.type !== 4) return undefined;
  return document.subarray(element.value, element.end);
}

/** A copy of the document with an element (its bytes from type byte to the end of its value) at the end. */
export function withElement(document: Buffer, element: Buffer): Buffer {
  const copy = Buffer.concat([document.subarray(0, -1), element, Buffer.alloc(1)]);
  copy.writeInt32LE(copy.length, 0);
  return copy;
}

/** A timestamp element. */
export function timestampElement(name: string, value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(value);
  return Buffer.concat([Buffer.from(`\x11${name}\0`), bytes]);
}

/** An array element holding the documents of a sequence (documents one after the other). */
export function arrayElement(name: string, sequence: Buffer): Buffer {
  const parts: Buffer[] = [];
  let size = 5;
  let at = 0;
  for (let index = 0; at < sequence.length; index++) {
    const key = Buffer.from(`\x03${index}\0`);
    const end = at + sequence.readInt32LE(at);
    parts.push(key, sequence.subarray(at, end));
    size += key.length + end - at;
    at = end;
  }
  const head = Buffer.from(`\x04${name}\0\0\0\0\0`);
  head.writeInt32LE(size, head.length - 4);
  return Buffer.concat([head, ...parts, Buffer.alloc(1)]);
}

/** Decodes a document without changing any type, so that encoding it again gives the same bytes. */
export function decode(document: Uint8Array): Document {
  return deserialize(document, { promoteLongs: false, promoteValues: false, bsonRegExp: true });
}

/** Decodes a document into plain JavaScript values, for reading. */
export function decodePlain(document: Uint8Array): Document {
  return deserialize(document, { promoteBuffers: true });
}

/** Encodes a document; undefined values are left out. */
export function encode(document: Document): Buffer {
  return Buffer.from(serialize(document, { ignoreUndefined: true }));
}
