import { type AuditEntry, mutate, newAuditEntry, person } from "../../audit";
import type { Origin, Proof } from "../../auth";
import { countRequest, newNotice, reauthenticate } from "../../auth";
import type { Actor } from "../../lib/actor";
import { after } from "../../lib/clock";
import { AppError, invalidInput } from "../../lib/errors";
import { accountGone } from "./account";
import type { AccountDeps } from "./deps";
import type { EmailChangeRow } from "./email-changes.store";
import type { PendingEmailChange } from "./schema";
import { newEmailChange, RECOVERY_DELAY, saveEmailChange } from "./start-email-change";

export const toPendingChange = (
  row: Pick<
    EmailChangeRow,
    "id" | "newEmail" | "requestedAt" | "expiresAt" | "oldConfirmedAt" | "newConfirmedAt" | "effectiveAt"
  >,
): PendingEmailChange => ({
  id: row.id,
  newEmail: row.newEmail,
  requestedAt: row.requestedAt.toISOString(),
  expiresAt: row.expiresAt.toISOString(),
  effectiveAt: row.effectiveAt?.toISOString() ?? null,
  confirmed: { old: row.oldConfirmedAt !== null, new: row.newConfirmedAt !== null },
});

/**
 * Starts a change of address: each of the two addresses gets a link, and both must be followed. A change that
 * was open before ends. Whether someone else has the address is not asked here: the same is written and
 * answered, and the sender of the mail tells its holder instead.
 * @param wanted `oldAddressLost`: the second factor stands in for the old address, which is told and can end the
 * change for three days
 * @throws AppError invalid_credentials, invalid_code, too_many_requests, invalid_input for the address one has,
 * second_factor_required when the old address is lost and no second factor was there for as long
 */
export async function requestEmailChange(
  deps: AccountDeps,
  actor: Actor,
  wanted: { newEmail: string; oldAddressLost: boolean } & Proof,
  origin: Origin,
): Promise<PendingEmailChange> {
  const { newEmail, oldAddressLost, ...proof } = wanted;
  await countRequest(deps, "email_change", origin);
  const user = await reauthenticate(deps, actor, proof, origin, "email_change.refused");
  if (newEmail === user.email) {
    throw invalidInput("newEmail", "not_allowed", "is the address that the account has");
  }
  if (oldAddressLost && !(await hasOldFactor(deps, user.id))) {
    throw new AppError(
      "second_factor_required",
      "Without the old address a second factor or a passkey is needed that you have had for three days.",
    );
  }
  const begun = newEmailChange(deps, user, newEmail, oldAddressLost ? "owner" : "both_addresses", origin);
  const { change } = begun;
  if (change.newEmailCanonical === user.emailCanonical) return respellAddress(deps, change, origin);
  const audit = newAuditEntry(deps, "email_change.requested", {
    actor: person(user.id),
    origin,
    detail: { changeId: change.id, ...(oldAddressLost ? { oldAddressLost } : {}) } as AuditEntry["detail"],
  });
  await mutate(deps, "mysql", { audit }, async (tx) => {
    if (!(await deps.users.lockActive(user.id, tx))) throw accountGone();
    await saveEmailChange(deps, begun, tx);
  });
  return toPendingChange({ ...change, oldConfirmedAt: null, newConfirmedAt: null });
}

/** Whether a person had a second factor for as long as the old address has to object: a thief's would be new. */
async function hasOldFactor(deps: AccountDeps, userId: string): Promise<boolean> {
  const since = after(deps.clock.now(), -RECOVERY_DELAY);
  const app = await deps.mfa.findTotp(userId, "confirmed");
  if (app?.confirmedAt && app.confirmedAt <= since) return true;
  return (await deps.passkeys.ofUser(userId)).some(({ createdAt }) => createdAt <= since);
}

/** Spells the address that the account has another way, such as in capitals: at once, for the mailbox is the same. */
async function respellAddress(
  deps: AccountDeps,
  change: ReturnType<typeof newEmailChange>["change"],
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
  await mutate(deps, "mysql", { audit }, async (tx) => {
    if (!(await deps.users.lockActive(userId, tx))) throw accountGone();
    await deps.emailChanges.end(userId, "replaced", now, tx);
    await deps.users.takeAddress(userId, { email, emailCanonical, now }, tx);
    await deps.jobs.mysql.enqueue(notice, tx);
  });
  return toPendingChange({ ...change, oldConfirmedAt: now, newConfirmedAt: now });
}

/** Takes back the change that the caller has open; its links die. @throws AppError not_found without one */
export async function cancelEmailChange(deps: AccountDeps, actor: Actor, origin: Origin): Promise<void> {
  const now = deps.clock.now();
  const audit = newAuditEntry(deps, "email_change.cancelled", { actor: person(actor.userId), origin });
  const user = await deps.users.findById(actor.userId);
  const open = user && (await deps.emailChanges.findOpen(user.id, user.authEpoch, now));
  if (!open) throw noChange();
  await mutate(deps, "mysql", { audit }, async (tx) => {
    if (!(await deps.users.lockActive(actor.userId, tx))) throw accountGone();
    if ((await deps.emailChanges.end(actor.userId, "cancelled", now, tx)) === 0) throw noChange();
  });
}

const noChange = () => new AppError("not_found", "No change of your address is open.");
