import { newAuditEntry, person } from "../../audit";
import type { Origin, Proof } from "../../auth";
import { countRequest, newNotice, reauthenticate } from "../../auth";
import type { NewJob } from "../../jobs/jobs";
import type { Actor } from "../../lib/actor";
import { after, HOUR } from "../../lib/clock";
import { emailKey } from "../../lib/email";
import { AppError, invalidInput } from "../../lib/errors";
import { accountGone } from "./account";
import type { AccountDeps } from "./deps";
import type { EmailChangeRow, Side } from "./email-changes.store";
import type { ConfirmedEmailChange, PendingEmailChange } from "./schema";

/** How long both links of a change are good, in milliseconds. */
export const EMAIL_CHANGE_TTL = HOUR;

/** What a link's secret is bound to: one side of one change. */
export const sideOf = (changeId: string, side: Side): string => `${changeId}:${side}`;

export const toPendingChange = (
  row: Pick<
    EmailChangeRow,
    "id" | "newEmail" | "requestedAt" | "expiresAt" | "oldConfirmedAt" | "newConfirmedAt"
  >,
): PendingEmailChange => ({
  id: row.id,
  newEmail: row.newEmail,
  requestedAt: row.requestedAt.toISOString(),
  expiresAt: row.expiresAt.toISOString(),
  confirmed: { old: row.oldConfirmedAt !== null, new: row.newConfirmedAt !== null },
});

/**
 * Starts a change of address: each of the two addresses gets a link, and both must be followed. A change that
 * was open before ends. Whether someone else has the address is not asked here: the same is written and
 * answered, and the sender of the mail tells its holder instead.
 * @throws AppError invalid_credentials, invalid_code, too_many_requests, invalid_input for the address one has
 */
export async function requestEmailChange(
  deps: AccountDeps,
  actor: Actor,
  { newEmail, ...proof }: { newEmail: string } & Proof,
  origin: Origin,
): Promise<PendingEmailChange> {
  await countRequest(deps, "email_change", origin);
  const user = await reauthenticate(deps, actor, proof, origin, "email_change.refused");
  const newEmailCanonical = emailKey(newEmail);
  if (newEmail === user.email) {
    throw invalidInput("newEmail", "not_allowed", "is the address that the account has");
  }
  const now = deps.clock.now();
  const change = {
    id: deps.random.id(),
    userId: user.id,
    newEmail,
    newEmailCanonical,
    authEpoch: user.authEpoch,
    requestedAt: now,
    requestedIp: origin.ip,
    expiresAt: after(now, EMAIL_CHANGE_TTL),
  };
  if (newEmailCanonical === user.emailCanonical) return respellAddress(deps, change, origin);
  const jobs = (["old", "new"] as const).map(
    (side): NewJob => ({
      id: deps.random.id(),
      kind: "mail.email_change",
      payload: { changeId: change.id, side },
      runAt: now,
    }),
  );
  const audit = newAuditEntry(deps, "email_change.requested", {
    actor: person(user.id),
    origin,
    detail: { changeId: change.id },
  });
  await deps.mysql.transaction(async (tx) => {
    if (!(await deps.users.lockActive(user.id, tx))) throw accountGone();
    await deps.emailChanges.end(user.id, "replaced", now, tx);
    await deps.emailChanges.create(change, tx);
    for (const job of jobs) await deps.jobs.mysql.enqueue(job, tx);
    await deps.audit.record(audit, tx);
  });
  deps.jobs.wake();
  return toPendingChange({ ...change, oldConfirmedAt: null, newConfirmedAt: null });
}

/** Spells the address that the account has another way, such as in capitals: at once, for the mailbox is the same. */
async function respellAddress(
  deps: AccountDeps,
  change: { id: string; userId: string; newEmail: string; newEmailCanonical: string; requestedAt: Date } & {
    expiresAt: Date;
  },
  origin: Origin,
): Promise<PendingEmailChange> {
  const {
    id: changeId,
    userId,
    newEmail: email,
    newEmailCanonical: emailCanonical,
    requestedAt: now,
  } = change;
  const notice = newNotice("address_changed", deps.random.id(), userId, origin, now);
  const actor = person(userId);
  const audit = newAuditEntry(deps, "email_change.completed", { actor, origin, detail: { changeId } });
  await deps.mysql.transaction(async (tx) => {
    if (!(await deps.users.lockActive(userId, tx))) throw accountGone();
    await deps.emailChanges.end(userId, "replaced", now, tx);
    await deps.users.takeAddress(userId, { email, emailCanonical, now }, tx);
    await deps.jobs.mysql.enqueue(notice, tx);
    await deps.audit.record(audit, tx);
  });
  deps.jobs.wake();
  return toPendingChange({ ...change, oldConfirmedAt: now, newConfirmedAt: now });
}

/** Takes back the change that the caller has open; its links die. @throws AppError not_found without one */
export async function cancelEmailChange(deps: AccountDeps, actor: Actor, origin: Origin): Promise<void> {
  const now = deps.clock.now();
  const audit = newAuditEntry(deps, "email_change.cancelled", { actor: person(actor.userId), origin });
  const user = await deps.users.findById(actor.userId);
  const open = user && (await deps.emailChanges.findOpen(user.id, user.authEpoch, now));
  if (!open) throw noChange();
  await deps.mysql.transaction(async (tx) => {
    if (!(await deps.users.lockActive(actor.userId, tx))) throw accountGone();
    if ((await deps.emailChanges.end(actor.userId, "cancelled", now, tx)) === 0) throw noChange();
    await deps.audit.record(audit, tx);
  });
}

const noChange = () => new AppError("not_found", "No change of your address is open.");
const wrongLink = () =>
  new AppError("invalid_code", "The link is wrong, used or no longer good. Ask for the change again.");

/**
 * Confirms a change for the address whose link was followed; the second of the two makes the change. Links for
 * a new password that went to the old address die, and the old address gets a notice. Whoever holds the link
 * holds the mailbox, so no sign-in is asked for: the link may be opened on another device.
 * @throws AppError invalid_code for every reason alike
 * @throws AppError already_exists when someone else proved the address first
 */
export async function confirmEmailChange(
  deps: AccountDeps,
  { token }: { token: string },
  origin: Origin,
): Promise<ConfirmedEmailChange> {
  await countRequest(deps, "email_change", origin);
  const now = deps.clock.now();
  const jobId = deps.random.id();
  const [, changeId = "", side = "", secret = ""] =
    /^([0-9a-f-]{36})\.(old|new)\.([A-Za-z0-9_-]{43})$/.exec(token) ?? [];
  const change = changeId === "" ? null : await deps.emailChanges.find(changeId);
  if (
    !change ||
    (side !== "old" && side !== "new") ||
    change.endedAt !== null ||
    change.expiresAt <= now ||
    change.user.emailVerifiedAt === null ||
    !deps.otp.matches(secret, sideOf(change.id, side), side === "old" ? change.oldHash : change.newHash)
  ) {
    throw wrongLink();
  }
  const { userId, newEmail: email, newEmailCanonical: emailCanonical } = change;
  const audit = newAuditEntry(deps, "email_change.completed", {
    actor: person(userId),
    origin,
    detail: { changeId },
  });
  const outcome = await deps.mysql.transaction(async (tx) => {
    if (!(await deps.users.lockActive(userId, tx))) throw wrongLink();
    if (!(await deps.emailChanges.confirm(changeId, side, now, tx))) throw wrongLink();
    const confirmed = await deps.emailChanges.find(changeId, tx);
    // A new password or ended sessions since: whoever asked for the change may have been a thief.
    if (!confirmed || confirmed.authEpoch !== confirmed.user.authEpoch) throw wrongLink();
    if (confirmed.oldConfirmedAt === null) return "old";
    if (confirmed.newConfirmedAt === null) return "new";
    if (!(await deps.users.takeAddress(userId, { email, emailCanonical, now }, tx))) {
      await deps.emailChanges.end(userId, "taken", now, tx);
      return "taken";
    }
    await deps.emailChanges.end(userId, "completed", now, tx);
    await deps.codes.endAll(userId, "reset_password", now, tx);
    const notice = newNotice("address_changed", jobId, userId, origin, now, {
      to: confirmed.user.email,
    });
    await deps.jobs.mysql.enqueue(notice, tx);
    await deps.audit.record(audit, tx);
    return "completed";
  });
  if (outcome === "taken") {
    throw new AppError("already_exists", "Another account has this address by now.");
  }
  if (outcome !== "completed") return { status: "waiting", waitingFor: outcome };
  deps.jobs.wake();
  return { status: "completed", waitingFor: null };
}
