import { mutate, newAuditEntry, person, SYSTEM } from "../../audit";
import { countRequest, newNotice, type Origin } from "../../auth";
import type { MySqlTx } from "../../db/prisma";
import type { NewJob } from "../../jobs/jobs";
import { textIn } from "../../jobs/payload";
import type { JobHandler } from "../../jobs/runner";
import { AppError } from "../../lib/errors";
import type { AccountDeps } from "./deps";
import type { EmailChangeRow, Side } from "./email-changes.store";
import type { ConfirmedEmailChange } from "./schema";

/** What a link's secret is bound to: one side of one change. */
export const sideOf = (changeId: string, side: Side): string => `${changeId}:${side}`;

const wrongLink = () =>
  new AppError("invalid_code", "The link is wrong, used or no longer good. Ask for the change again.");

/** What a confirmed change still waits for; null when it can be made. */
function waitsFor(change: EmailChangeRow, now: Date): ConfirmedEmailChange["waitingFor"] {
  if (change.newConfirmedAt === null) return "new";
  if (change.oldConfirmedAt !== null) return null;
  if (change.effectiveAt === null) return "old";
  return change.effectiveAt <= now ? null : "delay";
}

/** Gives the account its new address. @returns `taken` when another account proved it first */
async function makeChange(
  deps: AccountDeps,
  { userId, newEmail: email, newEmailCanonical: emailCanonical }: EmailChangeRow,
  { now, notice }: { now: Date; notice: NewJob },
  tx: MySqlTx,
): Promise<"completed" | "taken"> {
  if (!(await deps.users.takeAddress(userId, { email, emailCanonical, now }, tx))) {
    await deps.emailChanges.end(userId, "taken", now, tx);
    return "taken";
  }
  await deps.emailChanges.end(userId, "completed", now, tx);
  await deps.codes.endAll(userId, "reset_password", now, tx);
  await deps.jobs.mysql.enqueue(notice, tx);
  return "completed";
}

/**
 * Confirms a change for the address whose link was followed; the second of the two makes the change, and so does the
 * new one alone where the old one is lost and had its time to object. Links for a new password that went to the old
 * address die, and the old address gets a notice. Whoever holds the link holds the mailbox, so no sign-in is asked
 * for: the link may be opened on another device.
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
  const { userId } = change;
  const actor = person(userId);
  const audit = newAuditEntry(deps, "email_change.completed", { actor, origin, detail: { changeId } });
  const outcome = await mutate(deps, "mysql", { audit }, async (tx, { omit }) => {
    if (!(await deps.users.lockActive(userId, tx))) throw wrongLink();
    if (!(await deps.emailChanges.confirm(changeId, side, now, tx))) throw wrongLink();
    const confirmed = await deps.emailChanges.find(changeId, tx);
    // A new password or ended sessions since: whoever asked for the change may have been a thief.
    if (!confirmed || confirmed.authEpoch !== confirmed.user.authEpoch) throw wrongLink();
    const notice = newNotice("address_changed", jobId, userId, origin, now, { to: confirmed.user.email });
    const outcome = waitsFor(confirmed, now) ?? (await makeChange(deps, confirmed, { now, notice }, tx));
    if (outcome !== "completed") omit();
    return outcome;
  });
  if (outcome === "taken") {
    throw new AppError("already_exists", "Another account has this address by now.");
  }
  if (outcome !== "completed") return { status: "waiting", waitingFor: outcome };
  return { status: "completed", waitingFor: null };
}

/** Makes a change that the old address had its time to object to, if the new one was proved and nobody ended it. */
export const makeDueEmailChange =
  (deps: AccountDeps): JobHandler =>
  async ({ job }) => {
    const changeId = textIn(job.payload, "changeId");
    const change = await deps.emailChanges.find(changeId);
    if (!change) return;
    const { userId } = change;
    const now = deps.clock.now();
    const where = { ip: change.requestedIp, userAgent: "unknown" };
    const subject = { actor: SYSTEM, subjectUserId: userId, origin: null, detail: { changeId } };
    const audit = newAuditEntry(deps, "email_change.completed", subject);
    const to = change.user.email;
    const notice = newNotice("address_changed", deps.random.id(), userId, where, now, { to });
    await mutate(deps, "mysql", { audit }, async (tx, { omit }) => {
      const isActive = await deps.users.lockActive(userId, tx);
      const present = isActive && (await deps.emailChanges.find(changeId, tx));
      const isOpen = present?.endedAt === null && present.authEpoch === present.user.authEpoch;
      const isDue = isOpen && waitsFor(present, now) === null;
      if (!isDue || (await makeChange(deps, present, { now, notice }, tx)) !== "completed") omit();
    });
  };
