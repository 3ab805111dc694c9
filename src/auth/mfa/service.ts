import type { AuditEntry } from "../../audit/entry";
import type { MySqlTx } from "../../db/prisma";
import type { Deps } from "../../deps";
import type { Actor } from "../../lib/actor";
import { after } from "../../lib/clock";
import { AppError } from "../../lib/errors";
import { stillKnown } from "../devices/known";
import { forgiveOwner } from "../forgive";
import { ADMINISTRATOR, newNotice } from "../jobs";
import { ENROLMENT_TTL } from "../rules";
import { confirmedFactors } from "../second-factor";
import { completeSignIn, type Origin, readChallenge, type SignedIn } from "../service";
import { canonicalBackupCode, newBackupCodes } from "./backup-codes";
import { changeSignIn, placeOf, proveAgain, secretOf, signedInGuesser, takeFactor } from "./factors";
import type { ChallengeAnswer, FactorStatus, Proof } from "./schema";
import { presentSecret, SECRET_BYTES, stepOfCode } from "./totp";

const hasFactor = async (deps: Deps, userId: string) => (await deps.mfa.methodsOf(userId)).totp;
const noFactor = () => new AppError("conflict", "You have no second factor. Enrol one first.");
const goneMeanwhile = () => new AppError("unauthenticated", "The account has changed. Sign in again.");

/**
 * Gives the caller a secret for an authenticator app. Nothing counts until its first code comes to `confirm`;
 * an app they have already goes on until then.
 * @returns the secret, this once, and the same as a URI for a QR code
 */
export async function enrol(
  deps: Deps,
  actor: Actor,
  proof: Proof,
  origin: Origin,
): Promise<{ secret: string; uri: string; expiresIn: number }> {
  const user = await proveAgain(deps, actor, proof, origin);
  const id = deps.random.id();
  const secret = deps.random.bytes(SECRET_BYTES);
  const sealed = deps.vault.seal(secret, placeOf(id));
  await deps.mfa.savePending({ id, userId: user.id, sealed, now: deps.clock.now() });
  return { ...presentSecret(secret, user.email), expiresIn: ENROLMENT_TTL / 1000 };
}

/**
 * New backup codes and the rows that keep them. Made before the transaction, which must be short, and one after
 * the other, so that they take one place in the queue of hashes.
 */
async function makeBackupCodes(deps: Deps) {
  const codes = newBackupCodes(deps.random);
  const rows = [];
  for (const code of codes) {
    const codeHash = await deps.passwords.hash(canonicalBackupCode(code));
    rows.push({ id: deps.random.id(), selector: code.slice(0, 1), codeHash });
  }
  return { codes, rows };
}

/**
 * Makes the enrolled app count from now on, with its first code. Other sessions go on.
 * @returns ten backup codes, this once
 * @throws AppError invalid_code when the code is wrong or nothing waits for one
 */
export async function confirm(
  deps: Deps,
  actor: Actor,
  { code }: { code: string },
  origin: Origin,
): Promise<{ backupCodes: string[] }> {
  const user = await deps.users.findById(actor.userId);
  if (!user) throw goneMeanwhile();
  const now = deps.clock.now();
  const { deviceId } = signedInGuesser(user.id);
  const guesser = { account: user.emailCanonical, ip: origin.ip, deviceId };
  const pending = await deps.throttle.guess("totp", guesser, async () => {
    const row = await deps.mfa.findTotp(user.id, "pending");
    if (!row || row.createdAt <= after(now, -ENROLMENT_TTL)) return null;
    const step = stepOfCode(secretOf(deps, row), code, now);
    return step === null ? null : { id: row.id, step };
  });
  const wrong = () =>
    new AppError("invalid_code", "The code is wrong, or the enrolment is over. Enrol again.");
  if (!pending) throw wrong();
  const { codes, rows } = await makeBackupCodes(deps);
  await changeSignIn(deps, actor, origin, { action: "second_factor.enrolled" }, async (tx) => {
    if (!(await deps.mfa.confirm(pending.id, user.id, pending.step, now, tx))) throw wrong();
    await deps.mfa.replaceBackupCodes(user.id, rows, now, tx);
    if (actor.sessionId !== null) await deps.sessions.setMethod(actor.sessionId, "totp", tx);
  });
  return { backupCodes: codes };
}

/**
 * Completes a sign-in whose password was right.
 * @throws AppError unauthenticated when the challenge is over or the account has changed since, invalid_code
 */
export async function answerChallenge(
  deps: Deps,
  { challenge, ...answer }: ChallengeAnswer,
  origin: Origin,
): Promise<SignedIn> {
  const claims = readChallenge(deps, challenge);
  const user = await deps.users.findById(claims.userId);
  if (!user || user.authEpoch !== claims.epoch || user.bannedAt !== null || user.deletedAt !== null) {
    throw goneMeanwhile();
  }
  const deviceId = await stillKnown(deps, claims.deviceId);
  await takeFactor(deps, user, answer, origin, {
    deviceId,
    signedIn: false,
    challengeId: claims.id,
  });
  const signedIn = await completeSignIn(deps, { ...claims, deviceId }, answer.method, origin);
  await forgiveOwner(deps, user, origin, { deviceId, proof: "whole" });
  return signedIn;
}

/**
 * Takes the caller's second factor away, with its backup codes. Passkeys and sessions stay.
 * @throws AppError conflict when they have none
 */
export async function disable(deps: Deps, actor: Actor, proof: Proof, origin: Origin): Promise<void> {
  if (!(await hasFactor(deps, actor.userId))) throw noFactor();
  await proveAgain(deps, actor, proof, origin);
  await changeSignIn(deps, actor, origin, { action: "second_factor.disabled" }, async (tx) => {
    if (!(await deps.mfa.removeAll(actor.userId, tx))) throw noFactor();
  });
}

/**
 * Gives the caller ten new backup codes in place of all earlier ones.
 * @throws AppError conflict when they have no second factor
 */
export async function renewBackupCodes(
  deps: Deps,
  actor: Actor,
  proof: Proof,
  origin: Origin,
): Promise<{ backupCodes: string[] }> {
  if (!(await hasFactor(deps, actor.userId))) throw noFactor();
  await proveAgain(deps, actor, proof, origin);
  const { codes, rows } = await makeBackupCodes(deps);
  await changeSignIn(deps, actor, origin, { action: "backup_codes.renewed" }, async (tx, now) => {
    if (!(await deps.mfa.findTotp(actor.userId, "confirmed", tx))) throw noFactor();
    await deps.mfa.replaceBackupCodes(actor.userId, rows, now, tx);
  });
  return { backupCodes: codes };
}

/**
 * Takes the second factor of someone who lost it away, at the word of an administrator. Every session of theirs
 * ends, and they are told by mail. Passkeys stay.
 * @param entry says who did it
 * @throws AppError conflict when there is none
 */
export async function removeLostFactor(
  deps: Deps,
  userId: string,
  { entry, jobId, now }: { entry: AuditEntry; jobId: string; now: Date },
  tx: MySqlTx,
): Promise<void> {
  if (!(await deps.mfa.removeAll(userId, tx))) throw new AppError("conflict", "They have no second factor.");
  await deps.sessions.endAll(userId, { reason: "ended_by_administrator", now }, tx);
  const notice = newNotice("second_factor_changed", jobId, userId, ADMINISTRATOR, now);
  await deps.jobs.mysql.enqueue(notice, tx);
  await deps.audit.record({ ...entry, subjectUserId: userId }, tx);
}

/** What a person has, without a secret; also for the export of their data. */
export async function factorStatus(deps: Deps, userId: string): Promise<FactorStatus> {
  const [methods, row, backupCodes] = [
    await confirmedFactors(deps, userId),
    await deps.mfa.findTotp(userId, "confirmed"),
    await deps.mfa.backupCodes(userId),
  ];
  return {
    methods,
    totp: row && {
      confirmedAt: (row.confirmedAt ?? row.createdAt).toISOString(),
      lastUsedAt: row.lastUsedAt?.toISOString() ?? null,
    },
    backupCodes: backupCodes && { left: backupCodes.left, createdAt: backupCodes.createdAt.toISOString() },
  };
}
