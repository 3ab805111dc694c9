import { promisify } from "node:util";
import { brotliCompress, constants, gzip, zstdCompress } from "node:zlib";
import type { Context } from "hono";
import { parseAccept } from "hono/utils/accept";
import { COMPRESSIBLE_CONTENT_TYPE_REGEX } from "hono/utils/compress";
import { factory } from "./factory";

const [brotli, gzipped, zstd] = [promisify(brotliCompress), promisify(gzip), promisify(zstdCompress)];

/** Fewest bytes that are compressed: a smaller answer fits a packet or two as it is. */
const LEAST = 1024;

/** The best first, of those that a caller takes as gladly; measured by `bun run bench reads`. */
const ENCODERS = {
  zstd: (body: Uint8Array) => zstd(body),
  br: (body: Uint8Array) =>
    brotli(body, {
      params: {
        [constants.BROTLI_PARAM_QUALITY]: 3,
        [constants.BROTLI_PARAM_MODE]: constants.BROTLI_MODE_TEXT,
        [constants.BROTLI_PARAM_SIZE_HINT]: body.length,
      },
    }),
  gzip: (body: Uint8Array) => gzipped(body, { level: 6 }),
};

export type Encoding = keyof typeof ENCODERS;

/** A text as an encoding has it. */
export const encode = async (encoding: Encoding, body: Uint8Array): Promise<Uint8Array<ArrayBuffer>> =>
  new Uint8Array(await ENCODERS[encoding](body));

export const ENCODINGS = Object.keys(ENCODERS) as Encoding[];

/**
 * The encoding that a caller takes most gladly, or undefined for none (RFC 9110 §12.5.3). What the header does not
 * name is not taken, unless it has `*`; nothing is compressed for who likes it better as it is.
 * @example preferredEncoding("gzip;q=0.5, br") // "br"
 */
export function preferredEncoding(header: string | undefined): Encoding | undefined {
  if (header === undefined) return undefined;
  const accepted = new Map(parseAccept(header).map(({ type, q }) => [type.toLowerCase(), q]));
  const qualityOf = (name: string) => accepted.get(name) ?? accepted.get("*") ?? 0;
  const best = Math.max(...ENCODINGS.map(qualityOf));
  if (best === 0 || best < (accepted.get("identity") ?? 0)) return undefined;
  return ENCODINGS.find((encoding) => qualityOf(encoding) === best);
}

/** Adds names to `Vary` that are not there yet. */
export function vary(headers: Headers, ...names: string[]): void {
  const present = headers.get("Vary");
  const known = new Set(present?.toLowerCase().split(/\s*,\s*/));
  const added = names.filter((name) => !known.has(name.toLowerCase()));
  if (added.length > 0) headers.set("Vary", [...(present ? [present] : []), ...added].join(", "));
}

/** Answers with `body` in place of what is there: its status and headers stay. */
export function replaceBody(c: Context, body: Uint8Array<ArrayBuffer> | null, status: number): void {
  const { headers } = c.res;
  if (body === null) for (const name of ["Content-Type", "Content-Length"]) headers.delete(name);
  else headers.set("Content-Length", String(body.length));
  // Cleared first: what is assigned over an answer takes the old headers on.
  c.res = undefined;
  c.res = new Response(body, { status, headers });
}

/**
 * Answers with a text, compressed as the caller takes it when it is not small. A strong ETag gets the encoding behind
 * it, since it names the bytes (RFC 9110 §8.8.3.3).
 *
 * Only for what everybody is shown: an answer that holds a secret beside text of the caller's own would give the secret
 * away by its length (BREACH, CVE-2013-3587).
 */
export async function answerCompressed(
  c: Context,
  body: Uint8Array<ArrayBuffer>,
  compress: (encoding: Encoding) => Promise<Uint8Array<ArrayBuffer>> = (encoding) => encode(encoding, body),
): Promise<void> {
  const { headers } = c.res;
  vary(headers, "Accept-Encoding");
  const encoding = body.length < LEAST ? undefined : preferredEncoding(c.req.header("accept-encoding"));
  if (!encoding) return replaceBody(c, body, 200);
  headers.set("Content-Encoding", encoding);
  const etag = headers.get("ETag");
  if (etag?.startsWith('"')) headers.set("ETag", `${etag.slice(0, -1)}-${encoding}"`);
  replaceBody(c, await compress(encoding), 200);
}

/** For routes that give every guest the same text: see `answerCompressed`. Whoever is signed in gets it as it is. */
export const compressed = () =>
  factory.createMiddleware(async (c, next) => {
    await next();
    if (c.req.header("authorization") !== undefined) return;
    const type = c.res.headers.get("Content-Type") ?? "";
    if (c.res.status !== 200 || !COMPRESSIBLE_CONTENT_TYPE_REGEX.test(type)) return;
    await answerCompressed(c, new Uint8Array(await c.res.arrayBuffer()));
  });
