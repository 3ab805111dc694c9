import { newAuditEntry, person } from "../audit";
import type { Actor } from "../lib/actor";
import { AppError } from "../lib/errors";
import { checkPassword, signedInDevice } from "./check-password";
import type { AuthDeps } from "./deps";
import { deviceOf } from "./devices/known";
import { invalidCredentials } from "./login";
import type { Origin } from "./origin";
import { replacePassword } from "./replace-password";

const changedMeanwhile = () =>
  new AppError("conflict", "The password was changed by another request just now.");

/**
 * Changes the caller's password. Every other session ends; this one goes on.
 * @throws AppError invalid_credentials when the current password is wrong
 */
export async function changePassword(
  deps: AuthDeps,
  actor: Actor,
  {
    currentPassword,
    newPassword,
    ...wanted
  }: { currentPassword: string; newPassword: string; revokeApiKeys: boolean; forgetDevices: boolean },
  origin: Origin,
): Promise<void> {
  if (actor.sessionId === null) throw new AppError("forbidden", "An API key cannot change a password.");
  const user = await deps.users.findById(actor.userId);
  if (!user) throw invalidCredentials();
  const guess = { hash: user.hashedPassword, password: currentPassword };
  const by = { account: user.emailCanonical, deviceId: signedInDevice(user.id) };
  if (!(await checkPassword(deps, guess, by, origin)) || user.hashedPassword === null) {
    const entry = { actor: person(user.id), origin };
    await deps.audit.record(newAuditEntry(deps, "password.change_failed", entry));
    throw invalidCredentials();
  }
  const replacement = {
    ...wanted,
    password: newPassword,
    field: "newPassword",
    why: "password_changed",
    deviceId: await deviceOf(deps, actor),
    session: actor.sessionId,
    from: user.hashedPassword,
    refuse: changedMeanwhile,
  } as const;
  await replacePassword(deps, user, replacement, origin);
}
