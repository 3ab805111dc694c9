import type { Actor } from "../../lib/actor";
import { signedInDevice } from "../check-password";
import type { AuthDeps } from "../deps";
import type { Origin } from "../origin";
import { canonicalBackupCode, newBackupCodes } from "./backup-codes";
import { changeSignIn } from "./change-sign-in";
import { hasFactor, noFactor } from "./disable";
import { reauthenticate } from "./reauthenticate";
import type { Proof } from "./schema";

/**
 * New backup codes and the rows that keep them. Made before the transaction, which must be short, and one after
 * the other, so that they take one place in the queue of hashes.
 */
export async function makeBackupCodes(deps: AuthDeps, userId: string) {
  const codes = newBackupCodes(deps.random);
  const rows = [];
  const by = { source: signedInDevice(userId), known: true };
  for (const code of codes) {
    const codeHash = await deps.passwords.hash(canonicalBackupCode(code), by);
    rows.push({ id: deps.random.id(), selector: code.slice(0, 1), codeHash });
  }
  return { codes, rows };
}

/**
 * Gives the caller ten new backup codes in place of all earlier ones.
 * @throws AppError conflict when they have no second factor
 */
export async function renewBackupCodes(
  deps: AuthDeps,
  actor: Actor,
  proof: Proof,
  origin: Origin,
): Promise<{ backupCodes: string[] }> {
  if (!(await hasFactor(deps, actor.userId))) throw noFactor();
  await reauthenticate(deps, actor, proof, origin);
  const { codes, rows } = await makeBackupCodes(deps, actor.userId);
  await changeSignIn(deps, actor, origin, { action: "backup_codes.renewed" }, async (tx, now) => {
    if (!(await deps.mfa.findTotp(actor.userId, "confirmed", tx))) throw noFactor();
    await deps.mfa.replaceBackupCodes(actor.userId, rows, now, tx);
  });
  return { backupCodes: codes };
}
