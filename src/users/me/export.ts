import { mutate, newAuditEntry, person } from "../../audit";
import { languageIn, type Origin } from "../../auth";
import type { MySqlTx } from "../../db/prisma";
import type { RecordAnswer } from "../../http/idempotency";
import type { Actor } from "../../lib/actor";
import { after, DAY } from "../../lib/clock";
import { AppError } from "../../lib/errors";
import type { JsonValue } from "../../lib/json";
import type { StoredFile } from "../../storage/storage";
import { accountGone } from "./account";
import { sectionsOf } from "./archive";
import type { AccountDeps } from "./deps";
import type { ExportRow } from "./exports.store";
import type { ExportResponse } from "./schema";

/** How long an archive can be fetched, in days. */
export const KEPT_DAYS = 7;

/** Most archives that one person may ask for in a day. */
const MOST_A_DAY = 5;

/** How many a list shows. */
const LISTED = 20;

/** Where an archive, and its pieces while it is made, lie. */
export const exportFolder = (id: string): string => `exports/${id}`;

export const archiveOf = (id: string): string => `${exportFolder(id)}/archive.zip`;

export const piecesOf = (id: string): string => `${exportFolder(id)}/pieces`;

export const pieceOf = (id: string, section: number, piece: number): string =>
  `${piecesOf(id)}/${section}-${piece}`;

/** How far the making of an archive is: which file, from where, and how many pieces each file has so far. */
interface Progress {
  section: number;
  cursor: JsonValue;
  pieces: number[];
}

export const progressOf = (progress: JsonValue): Progress =>
  (progress as unknown as Progress | null) ?? { section: 0, cursor: null, pieces: [] };

async function toExport(deps: AccountDeps, row: ExportRow): Promise<ExportResponse> {
  // The job has the export's id; one that was given up leaves an export that never comes.
  const job = row.status === "waiting" ? await deps.jobs.mysql.find(row.id) : null;
  const inWork = row.status === "waiting" && job?.status === "waiting";
  return {
    id: row.id,
    status: row.status === "waiting" && !inWork ? "failed" : (row.status as ExportResponse["status"]),
    progress: inWork
      ? {
          done: progressOf(job.progress).section,
          of: sectionsOf(deps, row.userId, row.createdAt).length,
        }
      : null,
    size: row.size === null ? null : Number(row.size),
    createdAt: row.createdAt.toISOString(),
    readyAt: row.readyAt?.toISOString() ?? null,
    expiresAt: row.expiresAt?.toISOString() ?? null,
  };
}

/**
 * Asks for an archive of everything that is known of the caller; a job makes it.
 * @throws AppError conflict while one is being made, too_many_requests after five in a day
 */
export async function requestExport(
  deps: AccountDeps,
  actor: Actor,
  origin: Origin,
  record: RecordAnswer<MySqlTx>,
): Promise<ExportResponse> {
  const now = deps.clock.now();
  const row = { id: deps.random.id(), userId: actor.userId, createdAt: now };
  const audit = newAuditEntry(deps, "export.requested", {
    actor: person(actor.userId),
    origin,
    detail: { exportId: row.id },
  });
  const response: ExportResponse = {
    id: row.id,
    status: "waiting",
    progress: { done: 0, of: sectionsOf(deps, row.userId, now).length },
    size: null,
    createdAt: now.toISOString(),
    readyAt: null,
    expiresAt: null,
  };
  return mutate(deps, "mysql", { audit, record }, async (tx) => {
    if (!(await deps.users.lockActive(actor.userId, tx))) throw accountGone();
    const inWork = await deps.exports.inWork(actor.userId, tx);
    if (inWork !== null) {
      throw new AppError("conflict", "An archive of your data is being made. Wait for it.", {
        members: { exportId: inWork },
      });
    }
    if ((await deps.exports.count(actor.userId, after(now, -DAY), tx)) >= MOST_A_DAY) {
      throw new AppError("too_many_requests", "You have asked for many archives today. Wait a day.", {
        retryAfter: DAY / 1000,
      });
    }
    await deps.exports.create(row, tx);
    const payload = { exportId: row.id, userId: row.userId, ...languageIn(origin) };
    await deps.jobs.mysql.enqueue({ id: row.id, kind: "users.export", payload, runAt: now }, tx);
    return response;
  });
}

/** The newest archives of the caller. */
export const listExports = async (deps: AccountDeps, actor: Actor): Promise<ExportResponse[]> =>
  Promise.all((await deps.exports.ofUser(actor.userId, LISTED)).map((row) => toExport(deps, row)));

async function ownExport(deps: AccountDeps, actor: Actor, id: string): Promise<ExportRow> {
  const row = await deps.exports.find(id);
  if (row?.userId !== actor.userId) throw new AppError("not_found", "You have no such archive.");
  return row;
}

/** The state of an archive. @throws AppError not_found for one that is not the caller's */
export const readExport = async (deps: AccountDeps, actor: Actor, id: string): Promise<ExportResponse> =>
  toExport(deps, await ownExport(deps, actor, id));

/**
 * Opens an archive for its owner, and notes that they fetched it.
 * @throws AppError not_found for one that is not the caller's, conflict before it is ready, gone after its time
 */
export async function openExport(
  deps: AccountDeps,
  actor: Actor,
  id: string,
  origin: Origin,
): Promise<{ file: StoredFile; name: string }> {
  const row = await ownExport(deps, actor, id);
  if (row.status === "waiting") throw new AppError("conflict", "The archive is not ready yet.");
  const open = row.status === "ready" && row.expiresAt !== null && row.expiresAt > deps.clock.now();
  const file = open ? await deps.storage.get(archiveOf(id)) : null;
  if (!file) throw new AppError("gone", "The archive is no longer there. Ask for a new one.");
  await deps.audit.record(
    newAuditEntry(deps, "export.downloaded", {
      actor: person(actor.userId),
      origin,
      detail: { exportId: id },
    }),
  );
  return { file, name: `aizy-${row.createdAt.toISOString().slice(0, 10)}.zip` };
}
