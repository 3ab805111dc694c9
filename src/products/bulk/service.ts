import { createHash } from "node:crypto";
import type { MongoTx } from "../../db/mongo";
import type { Deps } from "../../deps";
import type { RecordAnswer } from "../../http/idempotency";
import type { Actor } from "../../lib/actor";
import { after, DAY, HOUR } from "../../lib/clock";
import { AppError } from "../../lib/errors";
import type { JsonValue } from "../../lib/json";
import type { StoredFile } from "../../storage/storage";
import { csvLine } from "./csv";
import type { ImportProgress } from "./import";
import type { BulkDocument } from "./model";
import type { Format } from "./read";
import { type BulkResponse, type ExportRequest, MAX_IMPORT } from "./schema";

/** How long a job and its files are kept. */
export const KEEP = 7 * DAY;
/** Long enough for the slowest upload to be recorded; then what is not recorded is removed. */
const UNRECORDED = 6 * HOUR;
/** Tries of a job: each deploy in the middle of it takes one. */
const TRIES = 20;
/** Refused rows in an answer; the others are in the file of faults. */
const SHOWN_FAULTS = 20;
/** Refused rows that are kept; the rest is counted. */
export const MAX_FAULTS = 10_000;

/** Where the files of a job lie. */
export const folderOf = (id: string): string => `bulk/${id}`;
export const sourceOf = (id: string): string => `${folderOf(id)}/source`;
export const resultOf = (id: string): string => `${folderOf(id)}/result`;

const TYPES: Record<Format, string> = {
  csv: "text/csv; charset=utf-8",
  ndjson: "application/x-ndjson",
};

/** The format that a content type names. @throws AppError unsupported_media_type */
export function formatOf(contentType: string | undefined): Format {
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
  deps: Deps,
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
  let failed = true;
  try {
    const stream = measured(body ?? new Blob().stream(), (chunk) => hash.update(chunk));
    const size = await deps.storage.putStream(sourceOf(id), stream, TYPES[format]);
    if (size === 0) throw new AppError("invalid_input", "The file is empty.");
    failed = false;
    return { id, size, hash: hash.digest() };
  } finally {
    if (failed) await deps.storage.removeAll(folderOf(id));
  }
}

/** Records a job and its row for the runner. */
async function begin(
  deps: Deps,
  bulk: BulkDocument,
  kind: string,
  record: RecordAnswer<MongoTx>,
): Promise<BulkResponse> {
  const cleanId = deps.random.id();
  const response = toBulk(bulk, { status: "waiting", progress: null }, []);
  await deps.mongo.transaction(async (tx) => {
    await deps.bulk.create(bulk, tx);
    await deps.jobs.mongo.enqueue(
      { id: bulk._id, kind, payload: { id: bulk._id }, runAt: bulk.createdAt, maxAttempts: TRIES },
      tx,
    );
    await deps.jobs.mongo.enqueue(
      { id: cleanId, kind: "bulk.clean", payload: { id: bulk._id }, runAt: bulk.expiresAt },
      tx,
    );
    await record(tx, response);
  });
  deps.jobs.wake();
  return response;
}

/** Starts the import of a received file as a job. */
export async function startImport(
  deps: Deps,
  actor: Actor,
  { id, size }: Received,
  options: { format: Format; dryRun: boolean },
  record: RecordAnswer<MongoTx>,
): Promise<BulkResponse> {
  const now = deps.clock.now();
  const bulk: BulkDocument = {
    _id: id,
    kind: "import",
    ...options,
    onlyStatus: null,
    size,
    createdBy: actor.callerId,
    createdAt: now,
    finishedAt: null,
    expiresAt: after(now, KEEP),
  };
  return begin(deps, bulk, "bulk.import", record);
}

/** Removes a received file that was not needed: its request was answered before. */
export async function dropReceived(deps: Deps, { id }: Received): Promise<void> {
  if (!(await deps.bulk.findById(id))) await deps.storage.removeAll(folderOf(id));
}

/** Starts an export as a job. */
export async function startExport(
  deps: Deps,
  actor: Actor,
  { format, status }: ExportRequest,
  record: RecordAnswer<MongoTx>,
): Promise<BulkResponse> {
  const now = deps.clock.now();
  const bulk: BulkDocument = {
    _id: deps.random.id(),
    kind: "export",
    format,
    dryRun: false,
    onlyStatus: status ?? null,
    size: null,
    createdBy: actor.callerId,
    createdAt: now,
    finishedAt: null,
    expiresAt: after(now, KEEP),
  };
  return begin(deps, bulk, "bulk.export", record);
}

/** How far an export is. */
export interface ExportProgress {
  products: number;
  total: number;
}

function toBulk(
  bulk: BulkDocument,
  job: { status: string; progress: JsonValue },
  faults: { row: number; message: string }[],
): BulkResponse {
  const importing = bulk.kind === "import" ? (job.progress as ImportProgress | null) : null;
  const exporting = bulk.kind === "export" ? (job.progress as ExportProgress | null) : null;
  const waiting = job.progress === null ? "waiting" : "running";
  const status = job.status === "done" || job.status === "failed" ? job.status : waiting;
  const path = `/api/products/${bulk.kind}/${bulk._id}`;
  return {
    id: bulk._id,
    kind: bulk.kind,
    format: bulk.format,
    dryRun: bulk.dryRun,
    status,
    progress:
      bulk.kind === "import"
        ? { done: importing?.bytes ?? 0, total: bulk.size }
        : { done: exporting?.products ?? 0, total: exporting?.total ?? null },
    result: importing && {
      rows: importing.rows,
      created: importing.created,
      updated: importing.updated,
      unchanged: importing.unchanged,
      failed: importing.failed,
      faults: faults.map(({ row, message }) => ({ row, message })),
    },
    file:
      bulk.kind === "import"
        ? faults.length > 0
          ? `${path}/faults`
          : null
        : status === "done"
          ? `${path}/file`
          : null,
    createdAt: bulk.createdAt.toISOString(),
    finishedAt: bulk.finishedAt?.toISOString() ?? null,
    expiresAt: bulk.expiresAt.toISOString(),
  };
}

async function requireBulk(deps: Deps, kind: BulkDocument["kind"], id: string): Promise<BulkDocument> {
  const bulk = await deps.bulk.findById(id);
  if (bulk?.kind !== kind) throw new AppError("not_found", `There is no such ${kind}.`);
  return bulk;
}

/** An import or export as it stands. @throws AppError not_found */
export async function readBulk(deps: Deps, kind: BulkDocument["kind"], id: string): Promise<BulkResponse> {
  const [bulk, job, faults] = await Promise.all([
    requireBulk(deps, kind, id),
    deps.jobs.mongo.find(id),
    kind === "import" ? deps.bulk.faultsOf(id, SHOWN_FAULTS) : [],
  ]);
  return toBulk(bulk, job ?? { status: "failed", progress: null }, faults);
}

/** The refused rows of an import as CSV. @throws AppError not_found */
export async function readFaults(deps: Deps, id: string): Promise<string> {
  await requireBulk(deps, "import", id);
  const faults = await deps.bulk.faultsOf(id, MAX_FAULTS);
  return [["row", "message"], ...faults.map(({ row, message }) => [String(row), message])]
    .map(csvLine)
    .join("");
}

/** The file of an export. @throws AppError not_found, conflict while it is not done */
export async function readExport(
  deps: Deps,
  id: string,
): Promise<StoredFile & { type: string; name: string }> {
  const bulk = await requireBulk(deps, "export", id);
  const job = await deps.jobs.mongo.find(id);
  if (job?.status !== "done") throw new AppError("conflict", "The export is not done.");
  const stored = await deps.storage.get(resultOf(id));
  if (!stored) throw new AppError("not_found", "The file of this export was removed.");
  const name = `products-${bulk.createdAt.toISOString().slice(0, 10)}.${bulk.format}`;
  return { ...stored, type: TYPES[bulk.format], name };
}

/** One message of a job's event stream; null is a heartbeat. */
export type BulkEvent = { event: "progress" | "end"; data: string } | null;

/**
 * How a job goes, until it ends or `signal` does: a message for each change, and a heartbeat when there was none
 * for a while.
 * @param pace milliseconds between two looks, and of silence before a heartbeat
 * @throws AppError not_found
 */
export async function* watchBulk(
  deps: Deps,
  kind: BulkDocument["kind"],
  id: string,
  signal: AbortSignal,
  pace = { every: 500, heartbeat: 15_000 },
): AsyncGenerator<BulkEvent> {
  let before = "";
  let spoken = performance.now();
  while (!signal.aborted) {
    const bulk = await readBulk(deps, kind, id);
    const data = JSON.stringify(bulk);
    if (bulk.status === "done" || bulk.status === "failed") {
      yield { event: "end", data };
      return;
    }
    if (data !== before) {
      before = data;
      spoken = performance.now();
      yield { event: "progress", data };
    } else if (performance.now() - spoken >= pace.heartbeat) {
      spoken = performance.now();
      yield null;
    }
    await pause(pace.every, signal);
  }
}

const pause = (milliseconds: number, signal: AbortSignal) =>
  new Promise<void>((resolve) => {
    const wake = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", wake);
      resolve();
    };
    const timer = setTimeout(wake, milliseconds);
    signal.addEventListener("abort", wake);
  });
