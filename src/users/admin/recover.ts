import { auditActor, newAuditEntry } from "../../audit";
import type { Origin } from "../../auth";
import { RESET_TTL } from "../../auth";
import type { MySqlTx } from "../../db/prisma";
import type { RecordAnswer } from "../../http/idempotency";
import type { Actor } from "../../lib/actor";
import { after } from "../../lib/clock";
import { AppError, invalidInput } from "../../lib/errors";
import type { AccountDeps } from "../me/deps";
import { toPendingChange } from "../me/email-change";
import type { PendingEmailChange } from "../me/schema";
import { newEmailChange, saveEmailChange } from "../me/start-email-change";
import type { UserRow } from "../store";
import { administer, type Held } from "./authority";
import { changeable } from "./change";

/** Someone whom the caller may help back in: in good standing, and not the caller. */
async function recoverable(
  deps: AccountDeps,
  actor: Actor,
  id: string,
  held: Held,
  tx: MySqlTx,
): Promise<UserRow> {
  if (id === actor.userId) throw new AppError("conflict", "For your own account use its settings.");
  const user = await changeable(deps, id, held, tx);
  if (user.bannedAt !== null || user.emailVerifiedAt === null) {
    throw new AppError("conflict", "The account is banned or its address was never proved.");
  }
  return user;
}

/**
 * Has a link for a new password mailed to somebody, as if they had asked for it themselves. Their password stays
 * until they use it, and the administrator learns nothing of it.
 * @throws AppError not_found, forbidden for someone who holds more than the caller, conflict
 */
export async function startPasswordReset(
  deps: AccountDeps,
  actor: Actor,
  id: string,
  origin: Origin,
  record: RecordAnswer<MySqlTx>,
): Promise<{ expiresIn: number }> {
  const now = deps.clock.now();
  const [codeId, jobId] = [deps.random.id(), deps.random.id()];
  const subject = { actor: auditActor(actor), subjectUserId: id, origin };
  const audit = newAuditEntry(deps, "user.password_reset_started", subject);
  return administer(deps, actor, ["users:write"], { audit, record }, async (tx, held) => {
    const { id: userId } = await recoverable(deps, actor, id, held, tx);
    const times = { requestedAt: now, expiresAt: after(now, RESET_TTL) };
    const code = { id: codeId, userId, purpose: "reset_password", requestedIp: origin.ip, ...times } as const;
    await deps.codes.create(code, tx);
    const payload = { codeId, by: "administrator" };
    await deps.jobs.mysql.enqueue({ id: jobId, kind: "mail.reset_password", payload, runAt: now }, tx);
    return { expiresIn: RESET_TTL / 1000 };
  });
}

/**
 * Starts a change of somebody's address who lost the old one: a link goes to the new address, the old one is told
 * and can end the change for three days.
 * @throws AppError not_found, forbidden for someone who holds more than the caller, conflict, invalid_input for the
 * address they have
 */
export async function startEmailChange(
  deps: AccountDeps,
  actor: Actor,
  id: string,
  { newEmail }: { newEmail: string },
  origin: Origin,
  record: RecordAnswer<MySqlTx>,
): Promise<PendingEmailChange> {
  // The epoch is the person's at the lock below.
  const begun = newEmailChange(deps, { id, authEpoch: 0 }, newEmail, "administrator", origin);
  const audit = newAuditEntry(deps, "user.email_change_started", {
    actor: auditActor(actor),
    subjectUserId: id,
    origin,
    detail: { changeId: begun.change.id },
  });
  const response = toPendingChange({ ...begun.change, oldConfirmedAt: null, newConfirmedAt: null });
  return administer(deps, actor, ["users:write"], { audit, record }, async (tx, held) => {
    const user = await recoverable(deps, actor, id, held, tx);
    if (user.emailCanonical === begun.change.newEmailCanonical) {
      throw invalidInput("newEmail", "not_allowed", "is the address that the account has");
    }
    await saveEmailChange(deps, { ...begun, change: { ...begun.change, authEpoch: user.authEpoch } }, tx);
    return response;
  });
}
