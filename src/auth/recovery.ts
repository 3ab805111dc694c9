import { ANONYMOUS, newAuditEntry, person } from "../audit/entry";
import type { Deps } from "../deps";
import type { Actor } from "../lib/actor";
import { after } from "../lib/clock";
import { AppError } from "../lib/errors";
import { canonicalKey } from "../lib/text";
import { endKeys, namesOf, newKeysEnd } from "./api-keys/end";
import { knownDevice } from "./devices/known";
import { deviceOf } from "./devices/service";
import { forgiveOwner } from "./forgive";
import { newNotice } from "./jobs";
import { recordLock } from "./lockout";
import { refuseOwnWords } from "./registration";
import { RESET_TTL } from "./rules";
import { invalidCredentials, type Origin } from "./service";

/**
 * Mails a link for a new password. The same is written for every address, known or not; the sender of the
 * mail finds out whose it is.
 */
export async function forgotPassword(
  deps: Deps,
  { email }: { email: string },
  origin: Origin,
): Promise<{ expiresIn: number }> {
  await deps.throttle.request("forgot", origin.ip);
  const now = deps.clock.now();
  const [codeId, jobId] = [deps.random.id(), deps.random.id()];
  const user = await deps.users.findByEmail(canonicalKey(email));
  const deviceId = await knownDevice(deps, user?.id, origin);
  const entry = newAuditEntry(deps, "password.reset_requested", {
    actor: ANONYMOUS,
    subjectUserId: user?.id ?? null,
    origin,
  });
  await deps.mysql.transaction(async (tx) => {
    await deps.codes.create(
      {
        id: codeId,
        userId: user?.id ?? null,
        purpose: "reset_password",
        requestedIp: origin.ip,
        requestedAt: now,
        expiresAt: after(now, RESET_TTL),
      },
      tx,
    );
    await deps.jobs.mysql.enqueue(
      { id: jobId, kind: "mail.reset_password", payload: { codeId, deviceId }, runAt: now },
      tx,
    );
    await deps.audit.record(entry, tx);
  });
  deps.jobs.wake();
  return { expiresIn: RESET_TTL / 1000 };
}

const wrongLink = () =>
  new AppError("invalid_code", "The link is wrong, used or no longer good. Ask for a new one.");

/**
 * Sets a new password with the token of a mailed link, which works once. Every session ends, every other link
 * dies, API keys are revoked unless the caller wants to keep them, and failed sign-ins are forgiven. The mail says
 * which keys were revoked, or go on working. Nobody is signed in by it, so a second factor is still asked for.
 * @param forgetDevices also makes every known device a stranger's
 * @throws AppError invalid_code for every reason alike
 */
export async function resetPassword(
  deps: Deps,
  {
    token,
    password,
    revokeApiKeys,
    forgetDevices,
  }: { token: string; password: string; revokeApiKeys: boolean; forgetDevices: boolean },
  origin: Origin,
): Promise<void> {
  await deps.throttle.request("reset", origin.ip);
  const now = deps.clock.now();
  const jobId = deps.random.id();
  const [, codeId = "", secret = ""] = /^([0-9a-f-]{36})\.([A-Za-z0-9_-]{43})$/.exec(token) ?? [];
  const row = codeId === "" ? null : await deps.codes.find(codeId);
  const user = row?.user;
  if (
    row?.purpose !== "reset_password" ||
    !user ||
    row.consumedAt !== null ||
    row.expiresAt <= now ||
    !deps.otp.matches(secret, row.id, row.codeHash)
  ) {
    throw wrongLink();
  }
  refuseOwnWords(password, user.email, user.name);
  const hashedPassword = await deps.passwords.hash(password);
  const deviceId = await knownDevice(deps, user.id, origin);
  const entry = newAuditEntry(deps, "password.reset", {
    actor: person(user.id),
    origin,
    detail: forgetDevices ? { forgetDevices } : {},
  });
  const keysEnd = newKeysEnd(deps, user.id, {
    revoke: revokeApiKeys,
    actor: person(user.id),
    reason: "password_reset",
    origin,
  });
  await deps.mysql.transaction(async (tx) => {
    if (!(await deps.codes.use(row.id, now, tx))) throw wrongLink();
    if (!(await deps.users.setPassword(user.id, { hashedPassword, now }, tx))) throw wrongLink();
    await deps.codes.endAll(user.id, "reset_password", now, tx);
    await deps.sessions.endAll(
      user.id,
      { reason: "password_reset", detail: `the password was reset, from ${origin.ip}`, now },
      tx,
    );
    if (forgetDevices) await deps.devices.forget(user.id, { now }, tx);
    const keys = namesOf(await endKeys(deps, keysEnd, tx));
    await deps.jobs.mysql.enqueue(newNotice("password_reset", jobId, user.id, origin, now, { keys }), tx);
    await deps.audit.record(entry, tx);
  });
  deps.jobs.wake();
  await forgiveOwner(deps, user, origin, { deviceId, proof: "mailbox" });
}

/**
 * Changes the caller's password. Every other session ends; this one goes on. API keys go on too, unless the caller
 * wants them revoked; the mail says which.
 * @throws AppError invalid_credentials when the current password is wrong
 */
export async function changePassword(
  deps: Deps,
  actor: Actor,
  {
    currentPassword,
    newPassword,
    revokeApiKeys,
    forgetDevices,
  }: { currentPassword: string; newPassword: string; revokeApiKeys: boolean; forgetDevices: boolean },
  origin: Origin,
): Promise<void> {
  if (actor.sessionId === null) throw new AppError("forbidden", "An API key cannot change a password.");
  const sessionId = actor.sessionId;
  const now = deps.clock.now();
  const jobId = deps.random.id();
  const user = await deps.users.findById(actor.userId);
  const current = user?.hashedPassword ?? null;
  if (!user) throw invalidCredentials();
  // Signed in, so a known device: strangers' failures do not count here.
  const guesser = { account: user.emailCanonical, ip: origin.ip, deviceId: `user:${user.id}` };
  const right = await deps.throttle.guess(
    "password",
    guesser,
    async () => (await deps.passwords.verify(current, currentPassword)) || null,
    recordLock(deps, "password", user.emailCanonical, origin),
  );
  if (!right || current === null) {
    await deps.audit.record(
      newAuditEntry(deps, "password.change_failed", { actor: person(user.id), origin }),
    );
    throw invalidCredentials();
  }
  refuseOwnWords(newPassword, user.email, user.name, "newPassword");
  const hashedPassword = await deps.passwords.hash(newPassword);
  const deviceId = await deviceOf(deps, actor);
  const entry = newAuditEntry(deps, "password.changed", {
    actor: person(user.id),
    origin,
    detail: forgetDevices ? { forgetDevices } : {},
  });
  const keysEnd = newKeysEnd(deps, user.id, {
    revoke: revokeApiKeys,
    actor: person(user.id),
    reason: "password_changed",
    origin,
  });
  await deps.mysql.transaction(async (tx) => {
    if (!(await deps.users.setPassword(user.id, { hashedPassword, now, from: current }, tx))) {
      throw new AppError("conflict", "The password was changed by another request just now.");
    }
    await deps.codes.endAll(user.id, "reset_password", now, tx);
    await deps.sessions.endAll(
      user.id,
      {
        reason: "password_changed",
        detail: `the password was changed, from ${origin.ip}`,
        now,
        except: sessionId,
      },
      tx,
    );
    if (forgetDevices) await deps.devices.forget(user.id, { except: deviceId, now }, tx);
    const keys = namesOf(await endKeys(deps, keysEnd, tx));
    await deps.jobs.mysql.enqueue(newNotice("password_changed", jobId, user.id, origin, now, { keys }), tx);
    await deps.audit.record(entry, tx);
  });
  deps.jobs.wake();
  await forgiveOwner(deps, user, origin, { deviceId, proof: "mailbox" });
}
