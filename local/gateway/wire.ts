/**
 * MongoDB's wire protocol: frames in, frames out. It knows nothing of commands.
 * https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/
 */
import { elements, stringValue, validateDocument, withElement } from "./bson.ts";

/** Larger frames are refused, as MongoDB does (maxMessageSizeBytes in hello). */
export const MAX_MESSAGE_BYTES = 48_000_000;
const HEADER_BYTES = 16;
const OP_REPLY = 1;
const OP_QUERY = 2004;
const OP_MSG = 2013;
const CHECKSUM_PRESENT = 1;
const MORE_TO_COME = 2;
/** Bits 0 to 15 of the OP_MSG flags are required: an unknown one must be refused. */
const UNKNOWN_REQUIRED_BITS = 0xffff & ~(CHECKSUM_PRESENT | MORE_TO_COME);

/** The frame cannot be understood; the connection it came on must be closed. */
export class ProtocolError extends Error {}

/** One request: the command document as it came, and its document sequences by name. */
export interface Request {
  id: number;
  /** Whether the reply goes out as OP_REPLY (the driver's first hello comes as OP_QUERY). */
  legacy: boolean;
  /** False for `moreToCome`: the client does not read an answer. */
  wantsReply: boolean;
  body: Buffer;
  /** Kind 1 sections: documents one after the other. */
  sequences: Map<string, Buffer>;
}

/** Cuts a stream of bytes into frames. */
export class FrameReader {
  private chunks: Buffer[] = [];
  private length = 0;
  private needed = HEADER_BYTES;

  /** Takes the next bytes and returns the frames they complete. Throws ProtocolError on a bad length. */
  push(chunk: Buffer): Buffer[] {
    this.chunks.push(chunk);
    this.length += chunk.length;
    if (this.length < this.needed) return [];
    let data = this.chunks.length === 1 ? chunk : Buffer.concat(this.chunks);
    const frames: Buffer[] = [];
    for (;;) {
      if (data.length < HEADER_BYTES) {
        this.needed = HEADER_BYTES;
        break;
      }
      const size = data.readInt32LE(0);
      if (size < HEADER_BYTES || size > MAX_MESSAGE_BYTES) throw new ProtocolError(`frame of ${size} bytes`);
      if (data.length < size) {
        this.needed = size;
        break;
      }
      frames.push(data.subarray(0, size));
      data = data.subarray(size);
    }
    this.chunks = data.length > 0 ? [data] : [];
    this.length = data.length;
    return frames;
  }
}

/** Reads one frame. Throws ProtocolError for what is not a request this gateway can answer. */
export function parseRequest(frame: Buffer): Request {
  const id = frame.readInt32LE(4);
  const opcode = frame.readInt32LE(12);
  try {
    if (opcode === OP_MSG) return parseMessage(frame, id);
    if (opcode === OP_QUERY) return parseQuery(frame, id);
  } catch (error) {
    if (error instanceof ProtocolError) throw error;
    throw new ProtocolError(error instanceof Error ? error.message : String(error));
  }
  // OP_COMPRESSED (2012) comes only from a client that ignored that hello offers no compression.
  throw new ProtocolError(`opcode ${opcode} is not supported`);
}

function parseMessage(frame: Buffer, id: number): Request {
  if (frame.length < HEADER_BYTES + 4 + 1 + 5) throw new ProtocolError("OP_MSG is too short");
  const flags = frame.readUInt32LE(HEADER_BYTES);
  if ((flags & UNKNOWN_REQUIRED_BITS) !== 0) throw new ProtocolError(`unknown OP_MSG flags ${flags}`);
  const end = frame.length - ((flags & CHECKSUM_PRESENT) !== 0 ? 4 : 0);
  const sequences = new Map<string, Buffer>();
  let body: Buffer | undefined;
  let at = HEADER_BYTES + 4;
  while (at < end) {
    const kind = frame[at++];
    if (kind === 0) {
      if (body !== undefined) throw new ProtocolError("OP_MSG has two bodies");
      const stop = validateDocument(frame, at, end);
      body = frame.subarray(at, stop);
      at = stop;
    } else if (kind === 1) {
      if (end - at < 5) throw new ProtocolError("truncated document sequence");
      const stop = at + frame.readInt32LE(at);
      const zero = frame.indexOf(0, at + 4);
      if (stop > end || zero < 0 || zero >= stop) throw new ProtocolError("document sequence out of range");
      const name = frame.toString("utf8", at + 4, zero);
      if (sequences.has(name)) throw new ProtocolError(`document sequence ${name} comes twice`);
      for (let document = zero + 1; document < stop; ) document = validateDocument(frame, document, stop);
      sequences.set(name, frame.subarray(zero + 1, stop));
      at = stop;
    } else throw new ProtocolError(`unknown OP_MSG section ${kind}`);
  }
  if (body === undefined) throw new ProtocolError("OP_MSG without a body");
  return { id, legacy: false, wantsReply: (flags & MORE_TO_COME) === 0, body, sequences };
}

function parseQuery(frame: Buffer, id: number): Request {
  const nameEnd = frame.indexOf(0, HEADER_BYTES + 4);
  if (nameEnd < 0 || frame.length < nameEnd + 9 + 5) throw new ProtocolError("OP_QUERY is too short");
  const collection = frame.toString("utf8", HEADER_BYTES + 4, nameEnd);
  if (!collection.endsWith(".$cmd")) throw new ProtocolError("OP_QUERY is only supported for commands");
  const stop = validateDocument(frame, nameEnd + 9, frame.length);
  let body = frame.subarray(nameEnd + 9, stop);
  if (stringValue(body, elements(body).get("$db")) === undefined) {
    const database = Buffer.from(collection.slice(0, -".$cmd".length));
    const element = Buffer.concat([Buffer.from("\x02$db\0\0\0\0\0"), database, Buffer.alloc(1)]);
    element.writeInt32LE(database.length + 1, 5);
    body = withElement(body, element);
  }
  return { id, legacy: true, wantsReply: true, body, sequences: new Map() };
}

let nextId = 1;

/** The reply frame for a request. */
export function replyFrame(request: Request, document: Buffer): Buffer {
  const prefix = request.legacy ? 20 : 5;
  const frame = Buffer.allocUnsafe(HEADER_BYTES + prefix + document.length);
  frame.fill(0, HEADER_BYTES, HEADER_BYTES + prefix);
  frame.writeInt32LE(frame.length, 0);
  frame.writeInt32LE(nextId, 4);
  nextId = (nextId + 1) & 0x7fffffff;
  frame.writeInt32LE(request.id, 8);
  frame.writeInt32LE(request.legacy ? OP_REPLY : OP_MSG, 12);
  if (request.legacy) {
    frame.writeInt32LE(8, HEADER_BYTES); // responseFlags: AwaitCapable
    frame.writeInt32LE(1, HEADER_BYTES + 16); // numberReturned
  }
  document.copy(frame, HEADER_BYTES + prefix);
  return frame;
}
