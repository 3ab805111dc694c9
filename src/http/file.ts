import type { Context } from "hono";
import type { StoredFile } from "../storage/storage";
import { isKnown } from "./etag";
import type { AppEnv } from "./factory";

/**
 * Answers with a file that never changes under its name, or 304 when the caller has it already.
 * @param file what names it, and so its tag; its media type; for how long and by whom it may be kept
 * @param read gives the file, or null when it is there and `known`; what it throws is kept by nobody
 */
export async function sendFile(
  c: Context<AppEnv>,
  { name, type, cache }: { name: string; type: string; cache: string },
  read: (known: boolean) => Promise<StoredFile | null>,
) {
  // Until the file is found: an error's answer keeps the header, and nobody should keep the error.
  c.header("Cache-Control", "no-store");
  const etag = `"${name}"`;
  const stored = await read(isKnown(c, etag));
  c.header("Cache-Control", cache);
  c.header("ETag", etag);
  if (!stored) return c.body(null, 304);
  c.header("Content-Type", type);
  c.header("Content-Length", String(stored.size));
  return c.body(stored.body, 200);
}
