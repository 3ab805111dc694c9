import type { Actor } from "../../lib/actor";
import { after } from "../../lib/clock";
import { AppError } from "../../lib/errors";
import { signedInDevice } from "../check-password";
import type { AuthDeps } from "../deps";
import type { Origin } from "../origin";
import { ENROLMENT_TTL } from "../rules";
import { goneMeanwhile } from "./answer-challenge";
import { changeSignIn } from "./change-sign-in";
import { reauthenticate } from "./reauthenticate";
import { makeBackupCodes } from "./renew-backup-codes";
import type { Proof } from "./schema";
import { placeOf, secretOf } from "./secrets";
import { presentSecret, SECRET_BYTES, stepOfCode } from "./totp";

/**
 * Gives the caller a secret for an authenticator app. Nothing counts until its first code comes to `confirm`;
 * an app they have already goes on until then.
 * @returns the secret, this once, and the same as a URI for a QR code
 */
export async function enrol(
  deps: AuthDeps,
  actor: Actor,
  proof: Proof,
  origin: Origin,
): Promise<{ secret: string; uri: string; expiresIn: number }> {
  const user = await reauthenticate(deps, actor, proof, origin);
  const id = deps.random.id();
  const secret = deps.random.bytes(SECRET_BYTES);
  const sealed = deps.vault.seal(secret, placeOf(id));
  await deps.mfa.savePending({ id, userId: user.id, sealed, now: deps.clock.now() });
  return { ...presentSecret(secret, user.email), expiresIn: ENROLMENT_TTL / 1000 };
}

/**
 * Makes the enrolled app count from now on, with its first code. Other sessions go on.
 * @returns ten backup codes, this once
 * @throws AppError invalid_code when the code is wrong or nothing waits for one
 */
export async function confirm(
  deps: AuthDeps,
  actor: Actor,
  { code }: { code: string },
  origin: Origin,
): Promise<{ backupCodes: string[] }> {
  const user = await deps.users.findById(actor.userId);
  if (!user) throw goneMeanwhile();
  const now = deps.clock.now();
  const guesser = { account: user.emailCanonical, ip: origin.ip, deviceId: signedInDevice(user.id) };
  const pending = await deps.throttle.guess("totp", guesser, async () => {
    const row = await deps.mfa.findTotp(user.id, "pending");
    if (!row || row.createdAt <= after(now, -ENROLMENT_TTL)) return null;
    const step = stepOfCode(secretOf(deps, row), code, now);
    return step === null ? null : { id: row.id, step };
  });
  const wrong = () =>
    new AppError("invalid_code", "The code is wrong, or the enrolment is over. Enrol again.");
  if (!pending) throw wrong();
  // Of many at once with one code one goes on, before codes are hashed.
  if (!(await deps.mfa.claimPending(pending.id, pending.step))) throw wrong();
  const { codes, rows } = await makeBackupCodes(deps, user.id);
  await changeSignIn(deps, actor, origin, { action: "second_factor.enrolled" }, async (tx) => {
    if (!(await deps.mfa.confirm(pending.id, user.id, pending.step, now, tx))) throw wrong();
    await deps.mfa.replaceBackupCodes(user.id, rows, now, tx);
    if (actor.sessionId !== null) await deps.sessions.setMethod(actor.sessionId, "totp", tx);
  });
  return { backupCodes: codes };
}
