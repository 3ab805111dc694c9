import { createHash } from "node:crypto";
import type { Context, Next } from "hono";
import { answerCompressed, ENCODINGS, type Encoding, encode, replaceBody, vary } from "./compress";
import { type AppEnv, factory } from "./factory";

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

/** What every guest is shown who asks for an address at one moment. */
interface Shown {
  status: number;
  headers: [name: string, value: string][];
  body: Uint8Array<ArrayBuffer>;
  etag: string;
  /** The body as encodings have it, each made once. */
  encoded: Map<Encoding, Promise<Uint8Array<ArrayBuffer>>>;
}

/** The ETag of a whole answer: begins with the version that a handler gave as its own. */
function tagOf(body: Uint8Array, given: string | null): string {
  const hash = createHash("sha256").update(body).digest("hex").slice(0, 32);
  const version = /^"(v\d+)"$/.exec(given ?? "")?.[1];
  return version === undefined ? `"${hash}"` : `"${version}-${hash}"`;
}

/** Answers a guest with what was made for all who asked at the same moment. */
async function give(c: Context<AppEnv>, shown: Shown): Promise<void> {
  const { status, body, etag, encoded } = shown;
  c.res = undefined;
  c.res = new Response(status === 200 ? null : body, { status, headers: shown.headers });
  if (status !== 200) return;
  const known = knownTag(c.req.header("if-none-match"), etag);
  c.res.headers.set("ETag", known ?? etag);
  if (known !== undefined) return replaceBody(c, null, 304);
  await answerCompressed(c, body, (encoding) => {
    const made = encoded.get(encoding) ?? encode(encoding, body);
    encoded.set(encoding, made);
    return made;
  });
}

const endOfTurn = () => new Promise<void>((resolve) => setImmediate(resolve));

/**
 * For what a shop shows to everybody: guests get an ETag of the whole answer, 304 when they have it already, leave to
 * keep it for a while, and compression. The tag begins with the version that a handler gave as its ETag, so that it is
 * good for If-Match too; the version alone would not do here, because stock and pictures change without a new one.
 * What somebody signed in is shown may be theirs alone: it is kept by nobody. Errors are kept by nobody either.
 *
 * Guests who ask for the same address in one turn of the event loop get one answer, which is made afterwards: so nobody
 * is shown what was read before they asked. Handlers must look at nothing else of a guest than the address.
 */
export const shown = ({ maxAge, stale }: Freshness) => {
  const asked = new Map<string, Promise<Shown | undefined>>();

  /** Runs the handler. @returns what it gave, when all may be shown it */
  const make = async (c: Context<AppEnv>, next: Next): Promise<Shown | undefined> => {
    await next();
    const { status, headers } = c.res;
    vary(headers, "Authorization", "Accept-Encoding");
    if (status !== 200 && status !== 301) {
      headers.set("Cache-Control", "no-store");
      return undefined;
    }
    headers.set("Cache-Control", `public, max-age=${maxAge}, stale-while-revalidate=${stale}`);
    const body = new Uint8Array(await c.res.arrayBuffer());
    return {
      status,
      headers: [...headers],
      body,
      etag: tagOf(body, headers.get("ETag")),
      encoded: new Map(),
    };
  };

  return factory.createMiddleware(async (c, next) => {
    if (c.req.header("authorization") !== undefined) {
      await next();
      vary(c.res.headers, "Authorization", "Accept-Encoding");
      c.res.headers.set("Cache-Control", "private, no-store");
      return;
    }
    const key = `${c.req.method} ${c.req.url}`;
    const before = asked.get(key);
    if (before) {
      const shown = await before;
      // What went wrong for one went wrong for one: the others ask for themselves.
      if (shown) await give(c, shown);
      else await make(c, next).then((own) => own && give(c, own));
      return;
    }
    const made = Promise.withResolvers<Shown | undefined>();
    asked.set(key, made.promise);
    await endOfTurn();
    asked.delete(key);
    let shown: Shown | undefined;
    try {
      shown = await make(c, next);
    } finally {
      made.resolve(shown);
    }
    if (shown) await give(c, shown);
  });
};
