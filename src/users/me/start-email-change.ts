import { languageIn, type Origin } from "../../auth";
import type { MySqlTx } from "../../db/prisma";
import type { NewJob } from "../../jobs/jobs";
import { after, DAY, HOUR } from "../../lib/clock";
import { emailKey } from "../../lib/email";
import type { UserRow } from "../store";
import type { AccountDeps } from "./deps";

/** How long both links of a change are good, in milliseconds. */
const EMAIL_CHANGE_TTL = HOUR;
/**
 * How long a change without the old address waits after the old address was told of it, in milliseconds: long enough
 * for whoever reads mail there to end it.
 */
export const RECOVERY_DELAY = 3 * DAY;

/** Who asks for a change; `administrator` and `owner` do without the old address. */
export type AskedBy = "both_addresses" | "owner" | "administrator";

/** A change of address with its jobs. Make it before the transaction that saves it. */
export function newEmailChange(
  deps: AccountDeps,
  user: Pick<UserRow, "id" | "authEpoch">,
  newEmail: string,
  by: AskedBy,
  origin: Origin,
) {
  const now = deps.clock.now();
  const effectiveAt = by === "both_addresses" ? null : after(now, RECOVERY_DELAY);
  const change = {
    id: deps.random.id(),
    userId: user.id,
    newEmail,
    newEmailCanonical: emailKey(newEmail),
    authEpoch: user.authEpoch,
    requestedAt: now,
    requestedIp: origin.ip,
    effectiveAt,
    expiresAt: effectiveAt === null ? after(now, EMAIL_CHANGE_TTL) : after(effectiveAt, DAY),
  };
  const job = (kind: string, payload: Record<string, string>, runAt = now): NewJob => ({
    id: deps.random.id(),
    kind,
    // Of an administrator's request the language is theirs, and not the person's.
    payload: { changeId: change.id, ...(by === "administrator" ? {} : languageIn(origin)), ...payload },
    runAt,
  });
  const jobs = [
    job("mail.email_change", { side: "old", by }),
    job("mail.email_change", { side: "new" }),
    ...(effectiveAt === null ? [] : [job("users.email_change_due", {}, effectiveAt)]),
  ];
  return { change, jobs };
}

/** Saves a change in place of whatever was open, and enqueues its mails. Call it with the person's row locked. */
export async function saveEmailChange(
  deps: AccountDeps,
  { change, jobs }: ReturnType<typeof newEmailChange>,
  tx: MySqlTx,
): Promise<void> {
  await deps.emailChanges.end(change.userId, "replaced", change.requestedAt, tx);
  await deps.emailChanges.create(change, tx);
  for (const job of jobs) await deps.jobs.mysql.enqueue(job, tx);
}
