import type { MySqlTx } from "../../db/prisma";
import type { Actor } from "../../lib/actor";
import { AppError } from "../../lib/errors";
import type { AuthDeps } from "../deps";
import { ADMINISTRATOR, newNotice } from "../jobs";
import type { Origin } from "../origin";
import { changeSignIn } from "./change-sign-in";
import { reauthenticate } from "./reauthenticate";
import type { Proof } from "./schema";

export const hasFactor = async (deps: AuthDeps, userId: string) => (await deps.mfa.methodsOf(userId)).totp;

export const noFactor = () => new AppError("conflict", "You have no second factor. Enrol one first.");

/**
 * Takes the caller's second factor away, with its backup codes. Passkeys and sessions stay.
 * @throws AppError conflict when they have none
 */
export async function disable(deps: AuthDeps, actor: Actor, proof: Proof, origin: Origin): Promise<void> {
  if (!(await hasFactor(deps, actor.userId))) throw noFactor();
  await reauthenticate(deps, actor, proof, origin);
  await changeSignIn(deps, actor, origin, { action: "second_factor.disabled" }, async (tx) => {
    if (!(await deps.mfa.removeAll(actor.userId, tx))) throw noFactor();
  });
}

/**
 * Takes the second factor of someone who lost it away, at the word of an administrator. Every session of theirs
 * ends, and they are told by mail. Passkeys stay.
 * @throws AppError conflict when there is none
 */
export async function removeLostFactor(
  deps: AuthDeps,
  userId: string,
  { jobId, now }: { jobId: string; now: Date },
  tx: MySqlTx,
): Promise<void> {
  if (!(await deps.mfa.removeAll(userId, tx))) throw new AppError("conflict", "They have no second factor.");
  await deps.sessions.endAll(userId, { reason: "ended_by_administrator", now }, tx);
  const notice = newNotice("second_factor_changed", jobId, userId, ADMINISTRATOR, now);
  await deps.jobs.mysql.enqueue(notice, tx);
}
