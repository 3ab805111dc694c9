import type { AuditAction } from "../../audit";
import { newAuditEntry, person } from "../../audit";
import type { Actor } from "../../lib/actor";
import { after } from "../../lib/clock";
import { AppError, invalidInput } from "../../lib/errors";
import type { UserRow } from "../../users";
import { checkPassword, signedInDevice } from "../check-password";
import type { AuthDeps } from "../deps";
import { forgiveFailures } from "../forgive-failures";
import { invalidCredentials } from "../login";
import type { Origin } from "../origin";
import { PROOF_TTL } from "../rules";
import type { Proof } from "./schema";
import { verifyFactor } from "./verify-factor";

/**
 * Asks again who the caller is, before a change that a thief of their device must not make: for the password and,
 * when they have one, the second factor. A sign-in with a passkey in the last ten minutes has shown both.
 * @param refused what the audit log calls a wrong answer, beside `second_factor.change_refused` of a wrong password
 * @returns the account as it was when the proof was checked
 * @throws AppError invalid_input when something is missing, invalid_credentials, invalid_code, too_many_requests
 */
export async function reauthenticate(
  deps: AuthDeps,
  actor: Actor,
  proof: Proof,
  origin: Origin,
  refused?: AuditAction,
): Promise<UserRow> {
  try {
    return await proveIdentity(deps, actor, proof, origin);
  } catch (error) {
    const wrong = error instanceof AppError && ["invalid_credentials", "invalid_code"].includes(error.code);
    if (refused !== undefined && wrong) {
      await deps.audit.record(newAuditEntry(deps, refused, { actor: person(actor.userId), origin }));
    }
    throw error;
  }
}

async function proveIdentity(
  deps: AuthDeps,
  actor: Actor,
  { password, factor }: Proof,
  origin: Origin,
): Promise<UserRow> {
  const user = await deps.users.findById(actor.userId);
  const session = actor.sessionId === null ? null : await deps.sessions.find(actor.sessionId);
  if (!user || !session) throw invalidCredentials();
  if (session.method === "passkey" && session.createdAt > after(deps.clock.now(), -PROOF_TTL)) return user;
  if (password === undefined) {
    throw invalidInput("password", "required", "is required, unless you signed in with a passkey just now");
  }
  const { totp } = await deps.mfa.methodsOf(user.id);
  if (totp && factor === undefined) {
    throw invalidInput("factor", "required", "is required: a code of your second factor, or a backup code");
  }
  const by = { account: user.emailCanonical, deviceId: signedInDevice(user.id), signedIn: true };
  if (!(await checkPassword(deps, { hash: user.hashedPassword, password }, by, origin))) {
    const entry = { actor: person(user.id), origin };
    await deps.audit.record(newAuditEntry(deps, "second_factor.change_refused", entry));
    throw invalidCredentials();
  }
  if (totp && factor !== undefined) await verifyFactor(deps, user, factor, origin, by);
  await forgiveFailures(deps, user, origin, { deviceId: session.deviceId, proof: "whole" });
  return user;
}
