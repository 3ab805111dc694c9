import { createHash } from "node:crypto";
import { answerCompressed, ENCODINGS, replaceBody, vary } from "./compress";
import { factory } from "./factory";

/** How long browsers and CDNs may keep what a guest is shown, in seconds. */
export interface Freshness {
  /** It is given out without asking again. */
  maxAge: number;
  /** It is given out once more while it is asked for again (RFC 5861). */
  stale: number;
}

/** A tag without the encoding behind it: another encoding of the same answer says as much. */
const ENCODED = new RegExp(`-(?:${ENCODINGS.join("|")})"$`);

/**
 * The tag of the request's If-None-Match that names an answer, in the caller's own spelling; undefined when none does.
 * `*` names any.
 */
function knownTag(header: string | undefined, etag: string): string | undefined {
  if (header === undefined) return undefined;
  const tags = header.split(",").map((tag) => tag.trim().replace(/^W\//, ""));
  if (tags.includes("*")) return etag;
  return tags.find((tag) => tag.replace(ENCODED, '"') === etag);
}

/**
 * For what a shop shows to everybody: guests get an ETag of the whole answer, 304 when they have it already, leave to
 * keep it for a while, and compression. The tag begins with the version that a handler gave as its ETag, so that it is
 * good for If-Match too; the version alone would not do here, because stock and pictures change without a new one.
 * What somebody signed in is shown may be theirs alone: it is kept by nobody. Errors are kept by nobody either.
 */
export const shown = ({ maxAge, stale }: Freshness) =>
  factory.createMiddleware(async (c, next) => {
    await next();
    // Set on the answer's own headers: `c.header` would make the answer anew each time.
    const { status, headers } = c.res;
    vary(headers, "Authorization", "Accept-Encoding");
    const guest = c.req.header("authorization") === undefined;
    if (!guest || (status !== 200 && status !== 301)) {
      headers.set("Cache-Control", guest ? "no-store" : "private, no-store");
      return;
    }
    headers.set("Cache-Control", `public, max-age=${maxAge}, stale-while-revalidate=${stale}`);
    if (status === 301) return;
    const body = new Uint8Array(await c.res.arrayBuffer());
    const hash = createHash("sha256").update(body).digest("hex").slice(0, 32);
    const version = /^"(v\d+)"$/.exec(headers.get("ETag") ?? "")?.[1];
    const etag = version === undefined ? `"${hash}"` : `"${version}-${hash}"`;
    const known = knownTag(c.req.header("if-none-match"), etag);
    headers.set("ETag", known ?? etag);
    if (known === undefined) await answerCompressed(c, body);
    else replaceBody(c, null, 304);
  });
