import { type Manager, managedEntry, mutate } from "../../audit";
import type { MongoTx } from "../../db/mongo";
import type { RecordAnswer } from "../../http/idempotency";
import { after, DAY } from "../../lib/clock";
import type { ProductDeps } from "../deps";
import { folderOf, type Received } from "./files";
import type { BulkDocument } from "./model";
import { toBulk } from "./read-job";
import type { BulkResponse, ExportRequest } from "./schema";
import type { Format, Shop } from "./shapes";

/** How long a job and its files are kept. */
const KEEP = 7 * DAY;
/** Tries of a job: each deploy in the middle of it takes one. */
const TRIES = 20;
/** Records a job and its row for the runner. */
async function begin(
  deps: ProductDeps,
  manager: Manager,
  bulk: BulkDocument,
  record: RecordAnswer<MongoTx>,
): Promise<BulkResponse> {
  const { _id: id, kind, format, dryRun } = bulk;
  const audit = managedEntry(deps, manager, `${kind}.started`, { id, format });
  const cleanId = deps.random.id();
  const response = toBulk(bulk, { status: "waiting", progress: null }, []);
  return mutate(deps, "mongo", { audit, record }, async (tx, { omit }) => {
    if (dryRun) omit();
    await deps.bulk.create(bulk, tx);
    await deps.jobs.mongo.enqueue(
      { id, kind: `bulk.${kind}`, payload: { id }, runAt: bulk.createdAt, maxAttempts: TRIES },
      tx,
    );
    await deps.jobs.mongo.enqueue(
      { id: cleanId, kind: "bulk.clean", payload: { id }, runAt: bulk.expiresAt },
      tx,
    );
    return response;
  });
}

/** Starts the import of a received file as a job. */
export async function startImport(
  deps: ProductDeps,
  manager: Manager,
  { id, size }: Received,
  options: { format: Format; dryRun: boolean; allowRename: boolean; from?: Shop },
  record: RecordAnswer<MongoTx>,
): Promise<BulkResponse> {
  const now = deps.clock.now();
  const bulk: BulkDocument = {
    _id: id,
    kind: "import",
    ...options,
    onlyStatus: null,
    size,
    createdBy: manager.actor.callerId,
    createdAt: now,
    finishedAt: null,
    expiresAt: after(now, KEEP),
  };
  return begin(deps, manager, bulk, record);
}

/** Removes a received file that was not needed: its request was answered before. */
export async function dropReceived(deps: ProductDeps, { id }: Received): Promise<void> {
  if (!(await deps.bulk.findById(id))) await deps.storage.removeAll(folderOf(id));
}

/** Starts an export as a job. */
export async function startExport(
  deps: ProductDeps,
  manager: Manager,
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
    createdBy: manager.actor.callerId,
    createdAt: now,
    finishedAt: null,
    expiresAt: after(now, KEEP),
  };
  return begin(deps, manager, bulk, record);
}
