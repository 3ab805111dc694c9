import { erasePersonAnalytics } from "../../analytics";
import { mutate, newAuditEntry, person, SYSTEM } from "../../audit";
import type { Origin, Proof } from "../../auth";
import { reauthenticate } from "../../auth";
import { textIn } from "../../jobs/payload";
import { type JobHandler, JobRefused } from "../../jobs/runner";
import type { Actor } from "../../lib/actor";
import { after, DAY } from "../../lib/clock";
import { accountDeletedMail } from "../../mail";
import { readerOf } from "../reader";
import { accountGone } from "./account";
import { avatarFolder } from "./avatar";
import type { AccountDeps } from "./deps";
import { exportFolder } from "./export";

/** Tries of the erasure; with at most 15 minutes between them about ten days, longer than any outage. */
const MAX_ATTEMPTS = 1000;
/** Tries of the last mail; then the erasure goes on without it. */
const MAIL_ATTEMPTS = 3;

/**
 * Deletes the caller's account: from the commit on every token, key and half-done sign-in is refused, on every
 * process. A job erases the rest.
 * @throws AppError invalid_input, invalid_credentials, invalid_code, too_many_requests
 * @throws AppError conflict for the last administrator
 */
export async function deleteMe(deps: AccountDeps, actor: Actor, proof: Proof, origin: Origin): Promise<void> {
  const user = await reauthenticate(deps, actor, proof, origin, "account.deletion_refused");
  const now = deps.clock.now();
  const job = {
    id: deps.random.id(),
    kind: "users.erase",
    payload: { userId: user.id },
    runAt: now,
    dedupeKey: `users.erase:${user.id}`,
    maxAttempts: MAX_ATTEMPTS,
  };
  const audit = newAuditEntry(deps, "account.deleted", { actor: person(user.id), origin });
  await mutate(deps, "mysql", { audit }, async (tx) => {
    await deps.roles.assertOtherAdministrator(tx, user.id);
    if (!(await deps.users.markDeleted(user.id, now, tx))) throw accountGone();
    await deps.sessions.endAll(user.id, { reason: "deleted", now }, tx);
    await deps.jobs.mysql.enqueue(job, tx);
  });
}

/** What is done for a deleted account, in this order. Each step may run again after a crash. */
const STEPS = ["mail", "behaviour", "files", "keys", "rows", "audit", "account"] as const;
type Step = (typeof STEPS)[number];

const steps: Record<Step, (deps: AccountDeps, userId: string, attempts: number) => Promise<void>> = {
  async mail(deps, userId, attempts) {
    const user = await deps.users.findById(userId);
    if (!user || attempts > MAIL_ATTEMPTS) return;
    await deps.mail.send({
      to: user.email,
      ...(await accountDeletedMail(await readerOf(deps, userId), user.name)),
    });
  },

  async behaviour(deps, userId) {
    await erasePersonAnalytics(deps, userId);
  },

  async files(deps, userId) {
    const user = await deps.users.findById(userId);
    if (user?.avatarId) await deps.storage.removeAll(avatarFolder(user.avatarId));
    for (const id of await deps.exports.idsOf(userId)) await deps.storage.removeAll(exportFolder(id));
  },

  async keys(deps, userId) {
    const apiKeyIds = await deps.apiKeys.idsOf(userId);
    for (const callerId of [`user:${userId}`, ...apiKeyIds.map((id) => `key:${id}`)]) {
      await deps.idempotency.mysql.forget(callerId);
      await deps.idempotency.mongo.forget(callerId);
    }
  },

  rows: (deps, userId) => deps.users.eraseRows(userId),

  async audit(deps, userId) {
    while ((await deps.audit.anonymise(userId)) > 0);
  },

  async account(deps, userId) {
    const now = deps.clock.now();
    const audit = newAuditEntry(deps, "account.erased", {
      actor: SYSTEM,
      subjectUserId: userId,
      origin: null,
    });
    const late = {
      id: deps.random.id(),
      kind: "users.erase_late",
      payload: { userId },
      runAt: after(now, DAY),
      dedupeKey: `users.erase_late:${userId}`,
    };
    await mutate(deps, "mysql", { audit }, async (tx) => {
      await deps.users.anonymise(userId, now, tx);
      await deps.jobs.mysql.enqueue(late, tx);
    });
  },
};

/**
 * Erases a deleted account in both databases and in storage, step by step; what is done is recorded, so that
 * another process goes on where one died. What must stay (the audit log, movements of stock) keeps an id that
 * names nobody any more.
 */
export const eraseAccount =
  (deps: AccountDeps): JobHandler =>
  async ({ job, saveProgress, signal }) => {
    const userId = textIn(job.payload, "userId");
    const user = await deps.users.findById(userId);
    if (!user?.deletedAt) throw new JobRefused("the account is not deleted");
    const done = STEPS.indexOf(job.progress as Step);
    for (const step of STEPS.slice(done + 1)) {
      signal.throwIfAborted();
      await steps[step](deps, userId, job.attempts);
      await saveProgress(step);
    }
  };

/** Erases events that were on their way when the account was deleted, such as of a device without a network. */
export const eraseLateEvents =
  (deps: AccountDeps): JobHandler =>
  async ({ job }) => {
    await erasePersonAnalytics(deps, textIn(job.payload, "userId"));
  };
