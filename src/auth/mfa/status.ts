import type { AuthDeps } from "../deps";
import { confirmedFactors } from "../second-factor";
import type { FactorStatus } from "./schema";

/** What a person has, without a secret; also for the export of their data. */
export async function factorStatus(deps: AuthDeps, userId: string): Promise<FactorStatus> {
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
