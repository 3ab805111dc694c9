import type { Context } from "hono";
import { type StoredFile, streamOf } from "../storage/storage";
import { type AppEnv, logOf } from "./factory";
import { isKnown } from "./preconditions";

/** Up to so many bytes a file is read before it is answered with: Bun tells nobody how long a stream is. */
const WHOLE = 2 * 1024 * 1024;

/**
 * A stored file as the body of an answer. A large one is read while it is sent: when that fails, it is logged and the
 * connection cut, so that nobody takes a part for the whole. Call it before the answer's own headers are set, which
 * an error's answer would keep.
 * @throws what storage throws for a small one that cannot be read
 */
export async function fileBody(
  c: Context<AppEnv>,
  { body, size }: StoredFile,
): Promise<Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array>> {
  const content = size <= WHOLE ? await new Response(body).bytes() : streamOf(heard(c, body));
  c.header("Content-Length", String(size));
  return content;
}

async function* heard(c: Context<AppEnv>, body: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    yield* body as unknown as AsyncIterable<Uint8Array>;
  } catch (error) {
    logOf(c).error({ err: error }, "a stored file could not be read to its end");
    throw error;
  }
}

/**
 * Answers with a file that never changes under its name, or 304 when the caller has it already.
 * For how long and by whom it may be kept is in the route's statement (`cache`), and nobody keeps an error.
 * @param file what names it, and so its tag; its media type
 * @param read gives the file, or null when it is there and `known`
 */
export async function sendFile(
  c: Context<AppEnv>,
  { name, type }: { name: string; type: string },
  read: (known: boolean) => Promise<StoredFile | null>,
) {
  const etag = `"${name}"`;
  const stored = await read(isKnown(c, etag));
  const content = stored && (await fileBody(c, stored));
  c.header("ETag", etag);
  if (!content) return c.body(null, 304);
  c.header("Content-Type", type);
  return c.body(content, 200);
}
