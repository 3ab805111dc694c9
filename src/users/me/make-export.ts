import { mutate } from "../../audit";
import { textIn } from "../../jobs/payload";
import type { JobHandler } from "../../jobs/runner";
import { after, DAY, MINUTE } from "../../lib/clock";
import type { JsonValue } from "../../lib/json";
import { exportReadyMail } from "../../mail";
import { wantsNotice } from "../notices";
import { readerOf } from "../reader";
import { sectionsOf, zipOf } from "./archive";
import type { AccountDeps } from "./deps";
import { archiveOf, exportFolder, KEPT_DAYS, pieceOf, piecesOf, progressOf } from "./export";

async function* pieces(
  deps: AccountDeps,
  id: string,
  section: number,
  count: number,
): AsyncGenerator<Uint8Array> {
  for (let piece = 0; piece < count; piece++) {
    const stored = await deps.storage.get(pieceOf(id, section, piece));
    if (!stored) throw new Error(`piece ${section}-${piece} of the export ${id} is not there`);
    yield* stored.body as unknown as AsyncIterable<Uint8Array>;
  }
}

/**
 * Makes an archive. Each piece of some hundred rows is written to storage and recorded, so a process that dies
 * loses one piece, and memory holds one piece however much there is; in the end the pieces are packed.
 */
export const makeExport =
  (deps: AccountDeps): JobHandler =>
  async ({ job, saveProgress, signal }) => {
    const id = textIn(job.payload, "exportId");
    const row = await deps.exports.find(id);
    const owner = row && (await deps.users.findById(row.userId));
    /** The account was deleted: its erasure may have looked for files before these were written. */
    const forget = async () => {
      await deps.storage.removeAll(exportFolder(id));
      await saveProgress(null);
    };
    if (!row || !owner || owner.deletedAt !== null) return forget();
    if (row.status !== "waiting") return deps.storage.removeAll(piecesOf(id));
    const sections = sectionsOf(deps, row.userId, row.createdAt);
    const progress = progressOf(job.progress);
    for (;;) {
      signal.throwIfAborted();
      const { section } = progress;
      const present = sections[section];
      if (!present) break;
      const { content, next } = await present.read(progress.cursor);
      const count = progress.pieces[section] ?? 0;
      if (content.length > 0) {
        const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
        await deps.storage.put(pieceOf(id, section, count), bytes, "application/octet-stream");
      }
      progress.pieces[section] = content.length > 0 ? count + 1 : count;
      progress.cursor = next;
      if (next === null) progress.section++;
      await saveProgress(progress as unknown as JsonValue);
      if ((await deps.users.findById(row.userId))?.deletedAt !== null) return forget();
    }
    const files = sections.map(({ file }, section) => ({
      name: file,
      read: () => pieces(deps, id, section, progress.pieces[section] ?? 0),
    }));
    const size = await deps.storage.putStream(archiveOf(id), zipOf(files, row.createdAt), "application/zip");
    const readyAt = deps.clock.now();
    const expiresAt = after(readyAt, KEPT_DAYS * DAY);
    const payload = { ...(job.payload as { language?: string }), exportId: id, userId: row.userId };
    const jobs = [
      { id: deps.random.id(), kind: "users.export_expire", payload, runAt: expiresAt },
      { id: deps.random.id(), kind: "mail.export_ready", payload, runAt: readyAt },
    ];
    const kept = await mutate(deps, "mysql", {}, async (tx) => {
      if (!(await deps.users.lockActive(row.userId, tx))) return false;
      if (await deps.exports.finish(id, { size, readyAt, expiresAt }, tx)) {
        for (const following of jobs) await deps.jobs.mysql.enqueue(following, tx);
      }
      return true;
    });
    if (!kept && (await deps.users.findById(row.userId))?.deletedAt !== null) return forget();
    if (!kept) throw new Error("the account is banned");
    await deps.storage.removeAll(piecesOf(id));
  };

/** Removes an archive whose time is over. */
export const expireExport =
  (deps: AccountDeps): JobHandler =>
  async ({ job }) => {
    const id = textIn(job.payload, "exportId");
    await deps.exports.expire(id);
    await deps.storage.removeAll(exportFolder(id));
  };

/** Tells a person that their archive can be fetched, if they want to hear of it. */
export const sendExportReady =
  (deps: AccountDeps): JobHandler =>
  async ({ job }) => {
    const row = await deps.exports.find(textIn(job.payload, "exportId"));
    const user = row && (await deps.users.findById(row.userId));
    if (row?.status !== "ready" || !user || user.deletedAt !== null) return;
    if (!(await wantsNotice(deps, user.id, "exportReady"))) return;
    const link = `${deps.config.appUrl}/account/export`;
    await deps.mail.send({
      to: user.email,
      ...(await exportReadyMail(
        await readerOf(deps, user.id, job.payload),
        user.name,
        link,
        KEPT_DAYS * (DAY / MINUTE),
      )),
    });
  };
