import { AppError } from "../../lib/errors";
import type { JsonValue } from "../../lib/json";
import type { StoredFile } from "../../storage";
import type { ProductDeps } from "../deps";
import { csvLine } from "./csv-write";
import { resultOf, TYPES } from "./files";
import type { BulkDocument } from "./model";
import type { BulkResponse } from "./schema";
import type { ImportProgress } from "./shapes";

/** Refused rows in an answer; the others are in the file of faults. */
const SHOWN_FAULTS = 20;
/** Refused rows that are kept; the rest is counted. */
export const MAX_FAULTS = 10_000;
/** How far an export is. */
export interface ExportProgress {
  products: number;
  total: number;
}

export function toBulk(
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
      ignored: Object.entries(importing.ignored ?? {}).map(([what, rows]) => ({ what, rows })),
      faults: faults.map(({ row, message }) => ({ row, message })),
      kinds: (importing.kinds ?? []).map(({ row, message, count }) => ({ row, message, count })),
      samples: importing.samples ?? [],
      pictures: importing.pictures ?? null,
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

async function requireBulk(deps: ProductDeps, kind: BulkDocument["kind"], id: string): Promise<BulkDocument> {
  const bulk = await deps.bulk.findById(id);
  if (bulk?.kind !== kind) throw new AppError("not_found", `There is no such ${kind}.`);
  return bulk;
}

/** An import or export as it stands. @throws AppError not_found */
export async function readBulk(
  deps: ProductDeps,
  kind: BulkDocument["kind"],
  id: string,
): Promise<BulkResponse> {
  const [bulk, job, faults] = await Promise.all([
    requireBulk(deps, kind, id),
    deps.jobs.mongo.find(id),
    kind === "import" ? deps.bulk.faultsOf(id, SHOWN_FAULTS) : [],
  ]);
  return toBulk(bulk, job ?? { status: "failed", progress: null }, faults);
}

/** The refused rows of an import as CSV. @throws AppError not_found */
export async function readFaults(deps: ProductDeps, id: string): Promise<string> {
  await requireBulk(deps, "import", id);
  const faults = await deps.bulk.faultsOf(id, MAX_FAULTS);
  return [["row", "message"], ...faults.map(({ row, message }) => [String(row), message])]
    .map(csvLine)
    .join("");
}

/** The file of an export. @throws AppError not_found, conflict while it is not done */
export async function readExport(
  deps: ProductDeps,
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
