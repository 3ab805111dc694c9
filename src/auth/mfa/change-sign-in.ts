import type { AuditAction } from "../../audit";
import { type AuditEntry, mutate, newAuditEntry, person } from "../../audit";
import type { MySqlTx } from "../../db/prisma";
import type { Actor } from "../../lib/actor";
import { AppError } from "../../lib/errors";
import type { Notice, NoticeKeys } from "../../mail";
import type { AuthDeps } from "../deps";
import { newNotice } from "../jobs";
import type { Origin } from "../origin";

/**
 * Changes how a person signs in: one change at a time, recorded, and they are told of it by mail.
 * @param actor who proved to be the person; what they proved counts for as long as their session does
 * @param act what the audit log and the mail say of it
 * @param work makes the change; it may run again
 * @throws AppError unauthenticated when they were banned or deleted, or the session ended, meanwhile
 */
export async function changeSignIn<T>(
  deps: AuthDeps,
  { userId, sessionId }: Pick<Actor, "userId" | "sessionId">,
  origin: Origin,
  act: { action: AuditAction; detail?: AuditEntry["detail"]; notice?: Notice; keys?: NoticeKeys },
  work: (tx: MySqlTx, now: Date, owner: { hashedPassword: string | null }) => Promise<T>,
): Promise<T> {
  const now = deps.clock.now();
  const jobId = deps.random.id();
  const { action, detail = {}, notice = "second_factor_changed", keys } = act;
  const audit = newAuditEntry(deps, action, { actor: person(userId), origin, detail });
  return mutate(deps, "mysql", { audit }, async (tx) => {
    const owner = await deps.users.lockActive(userId, tx);
    const session = sessionId === null ? null : await deps.sessions.find(sessionId, tx);
    if (!owner || session?.endedAt !== null)
      throw new AppError("unauthenticated", "The account has changed. Sign in again.");
    const done = await work(tx, now, owner);
    await deps.jobs.mysql.enqueue(newNotice(notice, jobId, userId, origin, now, { keys }), tx);
    return done;
  });
}
