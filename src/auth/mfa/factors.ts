import type { AuditAction } from "../../audit/actions";
import { ANONYMOUS, type AuditEntry, newAuditEntry, person } from "../../audit/entry";
import type { MySqlTx } from "../../db/prisma";
import type { Deps } from "../../deps";
import type { Actor } from "../../lib/actor";
import { after } from "../../lib/clock";
import { AppError, invalidInput } from "../../lib/errors";
import type { Notice, NoticeKeys } from "../../mail/templates";
import type { UserRow } from "../../users/store";
import { forgiveOwner } from "../forgive";
import { newNotice } from "../jobs";
import { recordLock } from "../lockout";
import { MAX_CODE_FAILURES, PROOF_TTL } from "../rules";
import { challengeOver, invalidCredentials, type Origin } from "../service";
import type { FactorAnswer, Proof } from "./schema";
import type { TotpFactorRow } from "./store";
import { stepOfCode } from "./totp";

/** Where a secret is kept; what it is sealed for. */
export const placeOf = (factorId: string): string => `totp_factors:${factorId}`;

/** The secret of an authenticator app. @throws AppError service_unavailable without the key it is under */
export const secretOf = (deps: Deps, row: TotpFactorRow): Uint8Array<ArrayBuffer> =>
  deps.vault.open({ keyVersion: row.keyVersion, bytes: row.secret }, placeOf(row.id));

const sealAnew = (deps: Deps, row: TotpFactorRow, secret: Uint8Array): Promise<void> =>
  deps.mfa.reseal(row.id, row.keyVersion, deps.vault.seal(secret, placeOf(row.id)));

/** How many secrets are read at once. */
const STEP = 500;

/**
 * Seals anew what is under another key of `DATA_KEY` than the first, so that this key can be taken away. What cannot
 * be read stays as it is.
 * @returns how many were sealed anew, how many stayed, and why the first of these did
 */
export async function sealAllAnew(
  deps: Deps,
  signal: AbortSignal,
): Promise<{ sealed: number; left: number; why: unknown }> {
  const done = { sealed: 0, left: 0, why: undefined as unknown };
  for (let afterId = ""; !signal.aborted; ) {
    const rows = await deps.mfa.notUnder(deps.vault.version, afterId, STEP);
    const last = rows.at(-1);
    if (!last) break;
    for (const row of rows) {
      let secret: Uint8Array;
      try {
        secret = secretOf(deps, row);
      } catch (error) {
        done.left++;
        done.why ??= error;
        continue;
      }
      await sealAnew(deps, row, secret);
      done.sealed++;
    }
    afterId = last.id;
  }
  return done;
}

/** Takes a code of the authenticator app, once. @returns false for a wrong, old or used one */
async function takeTotp(deps: Deps, user: UserRow, code: string): Promise<boolean> {
  const row = await deps.mfa.findTotp(user.id, "confirmed");
  if (!row) return false;
  const secret = secretOf(deps, row);
  const now = deps.clock.now();
  const step = stepOfCode(secret, code, now);
  if (step === null || !(await deps.mfa.useStep(row.id, step, now))) return false;
  if (!deps.vault.isCurrent(row)) await sealAnew(deps, row, secret);
  return true;
}

/** Takes a backup code, once, and tells its owner. @returns false for a wrong or used one */
async function takeBackupCode(deps: Deps, user: UserRow, code: string, origin: Origin): Promise<boolean> {
  const row = await deps.mfa.findBackupCode(user.id, code.slice(0, 1));
  // Without a row the same work is done.
  if (!(await deps.passwords.verify(row?.codeHash ?? null, code)) || !row) return false;
  const now = deps.clock.now();
  const jobId = deps.random.id();
  const entry = newAuditEntry(deps, "backup_code.used", { actor: person(user.id), origin });
  const used = await deps.mysql.transaction(async (tx) => {
    if (!(await deps.mfa.useBackupCode(row.id, now, tx))) return false;
    await deps.audit.record(entry, tx);
    await deps.jobs.mysql.enqueue(newNotice("backup_code_used", jobId, user.id, origin, now), tx);
    return true;
  });
  if (used) deps.jobs.wake();
  return used;
}

/** Records a wrong code; of one that follows a right password on a new device its owner is told, once a day. */
async function recordFailure(
  deps: Deps,
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
  const entry = newAuditEntry(deps, "second_factor.failed", {
    actor: by.signedIn ? person(user.id) : ANONYMOUS,
    subjectUserId: user.id,
    origin,
    detail: { method },
  });
  await deps.mysql.transaction(async (tx) => {
    await deps.audit.record(entry, tx);
    if (by.deviceId === null) await deps.jobs.mysql.enqueue(notice, tx);
  });
  deps.jobs.wake();
}

/** Who answers: the known device, and whether they are signed in or about to be. */
export interface FactorGuesser {
  deviceId: string | null;
  signedIn: boolean;
  /** The challenge that is answered: it takes five answers, and none once it has opened a session. */
  challengeId?: string;
}

/** Someone signed in, so a known device: strangers' failures do not count for them. */
export const signedInGuesser = (userId: string) => ({ deviceId: `user:${userId}`, signedIn: true });

/**
 * Takes the answer of a second factor, and counts a wrong one apart from wrong passwords.
 * @throws AppError invalid_code when it is wrong or was used, too_many_requests, unauthenticated when the
 * challenge is over
 */
export async function takeFactor(
  deps: Deps,
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
      const take = method === "totp" ? takeTotp : takeBackupCode;
      return (await take(deps, user, code, origin)) || null;
    },
    recordLock(deps, method, user.emailCanonical, origin),
  );
  if (taken) return;
  await recordFailure(deps, user, method, origin, by);
  throw new AppError("invalid_code", "The code is wrong or was used. Wait for the next one.");
}

/**
 * Makes sure once more who is asking, before how they sign in is changed: by the password and, when they have
 * one, the second factor. Who signed in with a passkey in the last ten minutes has shown both.
 * @throws AppError invalid_input when something is missing, invalid_credentials, invalid_code
 */
export async function proveAgain(
  deps: Deps,
  actor: Actor,
  { password, factor }: Proof,
  origin: Origin,
): Promise<UserRow> {
  const user = await deps.users.findById(actor.userId);
  const session = actor.sessionId === null ? null : await deps.sessions.find(actor.sessionId);
  if (!user || !session) throw invalidCredentials();
  if (session.method === "passkey" && session.createdAt > after(deps.clock.now(), -PROOF_TTL)) return user;
  if (password === undefined) {
    throw invalidInput(
      "password",
      "required",
      "is needed; a sign-in with a passkey just now would do as well",
    );
  }
  const { totp } = await deps.mfa.methodsOf(user.id);
  if (totp && factor === undefined) {
    throw invalidInput("factor", "required", "is needed: a code of your second factor, or a backup code");
  }
  const by = signedInGuesser(user.id);
  const right = await deps.throttle.guess(
    "password",
    { account: user.emailCanonical, ip: origin.ip, deviceId: by.deviceId },
    async () => (await deps.passwords.verify(user.hashedPassword, password)) || null,
    recordLock(deps, "password", user.emailCanonical, origin),
  );
  if (!right) {
    const actor = person(user.id);
    await deps.audit.record(newAuditEntry(deps, "second_factor.change_refused", { actor, origin }));
    throw invalidCredentials();
  }
  if (totp && factor !== undefined) await takeFactor(deps, user, factor, origin, by);
  await forgiveOwner(deps, user, origin, { deviceId: session.deviceId, proof: "whole" });
  return user;
}

/**
 * Changes how a person signs in: one change at a time, recorded, and they are told of it by mail.
 * @param actor who proved to be the person; what they proved counts for as long as their session does
 * @param act what the audit log and the mail say of it
 * @param work makes the change; it may run again
 * @throws AppError unauthenticated when they were banned or deleted, or the session ended, meanwhile
 */
export async function changeSignIn<T>(
  deps: Deps,
  { userId, sessionId }: Pick<Actor, "userId" | "sessionId">,
  origin: Origin,
  act: { action: AuditAction; detail?: AuditEntry["detail"]; notice?: Notice; keys?: NoticeKeys },
  work: (tx: MySqlTx, now: Date, owner: { hashedPassword: string | null }) => Promise<T>,
): Promise<T> {
  const now = deps.clock.now();
  const jobId = deps.random.id();
  const { action, detail = {}, notice = "second_factor_changed", keys } = act;
  const entry = newAuditEntry(deps, action, { actor: person(userId), origin, detail });
  const result = await deps.mysql.transaction(async (tx) => {
    const owner = await deps.users.lockActive(userId, tx);
    const session = sessionId === null ? null : await deps.sessions.find(sessionId, tx);
    if (!owner || session?.endedAt !== null)
      throw new AppError("unauthenticated", "The account has changed. Sign in again.");
    const done = await work(tx, now, owner);
    await deps.audit.record(entry, tx);
    await deps.jobs.mysql.enqueue(newNotice(notice, jobId, userId, origin, now, { keys }), tx);
    return done;
  });
  deps.jobs.wake();
  return result;
}
