import { ANONYMOUS, mutate, newAuditEntry, person } from "../../audit";
import { AppError } from "../../lib/errors";
import type { UserRow } from "../../users";
import { challengeOver } from "../complete-sign-in";
import type { AuthDeps } from "../deps";
import { requesterOf } from "../hash-queue";
import { newNotice } from "../jobs";
import { recordLock } from "../lockout";
import type { Origin } from "../origin";
import { MAX_CODE_FAILURES } from "../rules";
import type { FactorAnswer } from "./schema";
import { reencrypt, secretOf } from "./secrets";
import { stepOfCode } from "./totp";

/** Takes a code of the authenticator app, once. @returns false for a wrong, old or used one */
async function useTotp(deps: AuthDeps, user: UserRow, code: string): Promise<boolean> {
  const row = await deps.mfa.findTotp(user.id, "confirmed");
  if (!row) return false;
  const secret = secretOf(deps, row);
  const now = deps.clock.now();
  const step = stepOfCode(secret, code, now);
  if (step === null || !(await deps.mfa.useStep(row.id, step, now))) return false;
  if (!deps.vault.isCurrent(row)) await reencrypt(deps, row, secret);
  return true;
}

/** Takes a backup code, once, and tells its owner. @returns false for a wrong or used one */
async function useBackupCode(
  deps: AuthDeps,
  user: UserRow,
  code: string,
  origin: Origin,
  deviceId: string | null,
): Promise<boolean> {
  const row = await deps.mfa.findBackupCode(user.id, code.slice(0, 1));
  // Without a row the same work is done.
  if (!(await deps.passwords.verify(row?.codeHash ?? null, code, requesterOf(origin.ip, deviceId))) || !row)
    return false;
  const now = deps.clock.now();
  const jobId = deps.random.id();
  const audit = newAuditEntry(deps, "backup_code.used", { actor: person(user.id), origin });
  return mutate(deps, "mysql", { audit }, async (tx, { omit }) => {
    const used = await deps.mfa.useBackupCode(row.id, now, tx);
    if (used) await deps.jobs.mysql.enqueue(newNotice("backup_code_used", jobId, user.id, origin, now), tx);
    else omit();
    return used;
  });
}

/** Records a wrong code; of one that follows a right password on a new device its owner is told, once a day. */
async function recordFailure(
  deps: AuthDeps,
  user: UserRow,
  method: FactorAnswer["method"],
  origin: Origin,
  by: FactorGuesser,
): Promise<void> {
  const now = deps.clock.now();
  const notice = {
    ...newNotice("second_factor_failed", deps.random.id(), user.id, origin, now),
    dedupeKey: `second_factor_failed:${user.id}:${now.toISOString().slice(0, 10)}`,
  };
  const audit = newAuditEntry(deps, "second_factor.failed", {
    actor: by.signedIn ? person(user.id) : ANONYMOUS,
    subjectUserId: user.id,
    origin,
    detail: { method },
  });
  await mutate(deps, "mysql", { audit }, async (tx) => {
    if (by.deviceId === null) await deps.jobs.mysql.enqueue(notice, tx);
  });
}

/** Who answers: the known device, and whether they are signed in or about to be. */
export interface FactorGuesser {
  deviceId: string | null;
  signedIn: boolean;
  /** The challenge that is answered: it takes five answers, and none once it has opened a session. */
  challengeId?: string;
}

/**
 * Takes the answer of a second factor, and counts a wrong one apart from wrong passwords.
 * @throws AppError invalid_code when it is wrong or was used, too_many_requests, unauthenticated when the
 * challenge is over
 */
export async function verifyFactor(
  deps: AuthDeps,
  user: UserRow,
  { method, code }: FactorAnswer,
  origin: Origin,
  by: FactorGuesser,
): Promise<void> {
  const taken = await deps.throttle.guess(
    method,
    { account: user.emailCanonical, ip: origin.ip, deviceId: by.deviceId },
    async () => {
      // Counted before it is judged, so that answers at once cannot exceed the limit.
      const { challengeId: id } = by;
      if (id !== undefined && !(await deps.codes.countTry(id, MAX_CODE_FAILURES))) throw challengeOver();
      const take = method === "totp" ? useTotp : useBackupCode;
      return (await take(deps, user, code, origin, by.deviceId)) || null;
    },
    recordLock(deps, method, user.emailCanonical, origin),
  );
  if (taken) return;
  await recordFailure(deps, user, method, origin, by);
  throw new AppError("invalid_code", "The code is wrong or was used. Wait for the next one.");
}
