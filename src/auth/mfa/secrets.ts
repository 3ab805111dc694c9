import type { AuthDeps } from "../deps";
import type { TotpFactorRow } from "./store";

/** Where a secret is kept; what it is sealed for. */
export const placeOf = (factorId: string): string => `totp_factors:${factorId}`;

/** The secret of an authenticator app. @throws AppError service_unavailable without the key it is under */
export const secretOf = (deps: AuthDeps, row: TotpFactorRow): Uint8Array<ArrayBuffer> =>
  deps.vault.open({ keyVersion: row.keyVersion, bytes: row.secret }, placeOf(row.id));

export const reencrypt = (deps: AuthDeps, row: TotpFactorRow, secret: Uint8Array): Promise<void> =>
  deps.mfa.reseal(row.id, row.keyVersion, deps.vault.seal(secret, placeOf(row.id)));

/** How many secrets are read at once. */
const STEP = 500;

/**
 * Seals anew what is under another key of `DATA_KEY` than the first, so that this key can be taken away. What cannot
 * be read stays as it is.
 * @returns how many were sealed anew, how many stayed, and why the first of these did
 */
export async function reencryptAll(
  deps: AuthDeps,
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
      await reencrypt(deps, row, secret);
      done.sealed++;
    }
    afterId = last.id;
  }
  return done;
}
