import type { AuthDeps } from "./deps";

/** What can answer the challenge after a right password. */
export const SECOND_FACTORS = ["totp", "backup_code"] as const;
export type SecondFactor = (typeof SECOND_FACTORS)[number];

/** The second factors that a person has confirmed; a sign-in by password then needs one of them. */
export async function confirmedFactors(deps: AuthDeps, userId: string): Promise<SecondFactor[]> {
  const { totp, backupCode } = await deps.mfa.methodsOf(userId);
  return totp ? ["totp", ...(backupCode ? (["backup_code"] as const) : [])] : [];
}
