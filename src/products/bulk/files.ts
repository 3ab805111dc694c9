import { createHash } from "node:crypto";
import { after, HOUR } from "../../lib/clock";
import { AppError } from "../../lib/errors";
import type { ProductDeps } from "../deps";
import { MAX_IMPORT } from "./schema";
import type { Format } from "./shapes";

/** Long enough for the slowest upload to be recorded; then what is not recorded is removed. */
const UNRECORDED = 6 * HOUR;
/** Where the files of a job lie. */
export const folderOf = (id: string): string => `bulk/${id}`;
export const sourceOf = (id: string): string => `${folderOf(id)}/source`;
export const resultOf = (id: string): string => `${folderOf(id)}/result`;

export const TYPES: Record<Format, string> = {
  csv: "text/csv; charset=utf-8",
  ndjson: "application/x-ndjson",
};

/** The format that a content type names. @throws AppError unsupported_media_type */
export function formatOfType(contentType: string | undefined): Format {
  const type = contentType?.split(";")[0]?.trim().toLowerCase();
  if (type === "text/csv") return "csv";
  if (type === "application/x-ndjson" || type === "application/jsonl" || type === "application/ndjson") {
    return "ndjson";
  }
  throw new AppError(
    "unsupported_media_type",
    "Send the file itself as the body, as text/csv or application/x-ndjson.",
  );
}

/** What a caller sends, as it comes. @throws AppError malformed_request when it breaks off */
async function* arriving(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    yield* stream;
  } catch (cause) {
    throw new AppError("malformed_request", "The upload broke off. Send the file again.", { cause });
  }
}

/** The stream with its bytes counted. @throws AppError payload_too_large */
async function* measured(
  stream: AsyncIterable<Uint8Array>,
  onChunk: (chunk: Uint8Array) => void,
): AsyncGenerator<Uint8Array> {
  let size = 0;
  for await (const chunk of arriving(stream)) {
    size += chunk.length;
    if (size > MAX_IMPORT) {
      throw new AppError(
        "payload_too_large",
        `The file must be at most ${MAX_IMPORT / 1024 / 1024} MB. Split it, or use the command line.`,
      );
    }
    onChunk(chunk);
    yield chunk;
  }
}

/** A file that was received, not yet recorded. */
export interface Received {
  id: string;
  size: number;
  /** Of its bytes: what makes two uploads the same. */
  hash: Uint8Array;
}

/**
 * Stores the file of an import as it comes. A job that is made before removes it again when no record follows, so
 * a crash leaves nothing behind.
 * @throws AppError payload_too_large, malformed_request when it breaks off, invalid_input when it is empty
 */
export async function receiveImport(
  deps: ProductDeps,
  body: AsyncIterable<Uint8Array> | null,
  format: Format,
): Promise<Received> {
  const id = deps.random.id();
  await deps.jobs.mongo.enqueue({
    id: deps.random.id(),
    kind: "bulk.clean",
    payload: { id },
    runAt: after(deps.clock.now(), UNRECORDED),
  });
  const hash = createHash("sha256");
  try {
    const stream = measured(body ?? new Blob().stream(), (chunk) => hash.update(chunk));
    const size = await deps.storage.putStream(sourceOf(id), stream, TYPES[format]);
    if (size === 0) throw new AppError("invalid_input", "The file is empty.");
    return { id, size, hash: hash.digest() };
  } catch (error) {
    // Where that fails too, the planned job does it later; the first error is what matters.
    await deps.storage.removeAll(folderOf(id)).catch(() => undefined);
    throw error;
  }
}
