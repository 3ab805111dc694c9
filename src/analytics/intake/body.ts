import { factory } from "../../http/factory";
import { problem } from "../../http/problems";

/** Largest body after it was unpacked, in bytes. */
const MAX_UNPACKED = 1024 * 1024;

/** @returns null when it is not gzip, or more than `MAX_UNPACKED` */
async function unpack(body: ReadableStream<Uint8Array>): Promise<Uint8Array<ArrayBuffer> | null> {
  const parts: Uint8Array[] = [];
  let size = 0;
  try {
    const stream = body.pipeThrough(new DecompressionStream("gzip") as never) as ReadableStream<Uint8Array>;
    for await (const part of stream) {
      size += part.length;
      if (size > MAX_UNPACKED) return null;
      parts.push(part);
    }
  } catch {
    return null;
  }
  return Buffer.concat(parts);
}

/**
 * Takes what libraries send for JSON: as `text/plain`, which needs no preflight and is what `navigator.sendBeacon`
 * sends, without a type, or packed with gzip. Only routes of events use it: nothing there acts for who is signed in by
 * a cookie.
 * @param library true for what libraries call: some of them name a type that it is not
 */
export const anyJson = ({ library = false } = {}) =>
  factory.createMiddleware(async (c, next) => {
    const type = c.req.header("content-type") ?? "";
    const packed = c.req.header("content-encoding")?.trim().toLowerCase() === "gzip";
    const plain = library || /^(text\/plain\s*(;|$)|$)/i.test(type);
    if (!packed && !plain) return next();
    const headers = new Headers(c.req.raw.headers);
    if (plain) headers.set("content-type", "application/json");
    if (!packed || c.req.raw.body === null) {
      c.req.raw = new Request(c.req.raw, { headers });
      return next();
    }
    const body = await unpack(c.req.raw.body);
    if (body === null) {
      return problem(
        c,
        "malformed_request",
        `Send gzip of at most ${MAX_UNPACKED} bytes when it is unpacked.`,
      );
    }
    headers.delete("content-encoding");
    headers.delete("content-length");
    c.req.raw = new Request(c.req.raw.url, { method: c.req.method, headers, body });
    await next();
  });
