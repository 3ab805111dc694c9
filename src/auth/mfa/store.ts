import type { MySql, MySqlTx } from "../../db/prisma";
import type { BackupCode, TotpFactor } from "../../generated/prisma/client";
import type { Sealed } from "../vault";

export type TotpFactorRow = TotpFactor;
export type TotpState = "pending" | "confirmed";

/** Authenticator apps and backup codes in MySQL. */
export const createMfaStore = (mysql: MySql) => ({
  findTotp: (userId: string, state: TotpState, tx?: MySqlTx): Promise<TotpFactorRow | null> =>
    mysql.on(tx).totpFactor.findUnique({ where: { userId_state: { userId, state } } }),

  /** What can answer a challenge, in one round trip. */
  async methodsOf(userId: string): Promise<{ totp: boolean; backupCode: boolean }> {
    const [row] = await mysql.on().$queryRaw<{ totp: unknown; backupCode: unknown }[]>`
      SELECT
        EXISTS (SELECT 1 FROM totp_factors WHERE user_id = ${userId} AND state = 'confirmed') AS totp,
        EXISTS (SELECT 1 FROM backup_codes WHERE user_id = ${userId} AND used_at IS NULL) AS backupCode`;
    return { totp: Number(row?.totp) === 1, backupCode: Number(row?.backupCode) === 1 };
  },

  /** Keeps an app whose first code is awaited, in place of an earlier one. One statement: safe at once. */
  async savePending(factor: { id: string; userId: string; sealed: Sealed; now: Date }): Promise<void> {
    const { id, userId, sealed, now } = factor;
    await mysql.on().$executeRaw`
      INSERT INTO totp_factors (id, user_id, state, secret, key_version, created_at)
      VALUES (${id}, ${userId}, 'pending', ${sealed.bytes}, ${sealed.keyVersion}, ${now})
      ON DUPLICATE KEY UPDATE id = VALUES(id), secret = VALUES(secret), key_version = VALUES(key_version), last_step = NULL,
        created_at = VALUES(created_at)`;
  },

  /** Lets one of many that confirm a pending app with one code go on. @returns false for the others */
  async claimPending(id: string, step: number): Promise<boolean> {
    const { count } = await mysql.on().totpFactor.updateMany({
      where: { id, state: "pending", OR: [{ lastStep: null }, { lastStep: { lt: step } }] },
      data: { lastStep: step },
    });
    return count === 1;
  },

  /** Makes the pending app the one that counts, in place of an earlier one. @returns false when it is gone */
  async confirm(id: string, userId: string, lastStep: number, now: Date, tx: MySqlTx): Promise<boolean> {
    await mysql.on(tx).totpFactor.deleteMany({ where: { userId, state: "confirmed" } });
    const { count } = await mysql.on(tx).totpFactor.updateMany({
      where: { id, state: "pending" },
      data: { state: "confirmed", confirmedAt: now, lastStep },
    });
    return count === 1;
  },

  /**
   * Uses the code of a time step up. @returns false when it, or a later one, was used before: of many at once
   * one gets through
   */
  async useStep(id: string, step: number, now: Date): Promise<boolean> {
    const { count } = await mysql.on().totpFactor.updateMany({
      where: { id, state: "confirmed", OR: [{ lastStep: null }, { lastStep: { lt: step } }] },
      data: { lastStep: step, lastUsedAt: now },
    });
    return count === 1;
  },

  /** Keeps the same secret under another key. */
  async reseal(id: string, from: string, sealed: Sealed): Promise<void> {
    await mysql.on().totpFactor.updateMany({
      where: { id, keyVersion: from },
      data: { secret: sealed.bytes, keyVersion: sealed.keyVersion },
    });
  },

  /** At most `limit` secrets that are under another key than this one, in the order of their ids from one on. */
  notUnder: (keyVersion: string, afterId: string, limit: number): Promise<TotpFactorRow[]> =>
    mysql.on().totpFactor.findMany({
      where: { keyVersion: { not: keyVersion }, id: { gt: afterId } },
      orderBy: { id: "asc" },
      take: limit,
    }),

  /** How many secrets are under other keys than this one, by key. */
  async countNotUnder(keyVersion: string): Promise<{ keyVersion: string; count: number }[]> {
    const groups = await mysql.on().totpFactor.groupBy({
      by: ["keyVersion"],
      where: { keyVersion: { not: keyVersion } },
      _count: true,
      orderBy: { keyVersion: "asc" },
    });
    return groups.map(({ keyVersion: version, _count }) => ({ keyVersion: version, count: _count }));
  },

  /** Takes away a person's apps and backup codes. @returns whether an app counted */
  async removeAll(userId: string, tx: MySqlTx): Promise<boolean> {
    const { count } = await mysql.on(tx).totpFactor.deleteMany({ where: { userId, state: "confirmed" } });
    await mysql.on(tx).totpFactor.deleteMany({ where: { userId } });
    await mysql.on(tx).backupCode.deleteMany({ where: { userId } });
    return count > 0;
  },

  /** Gives a person new backup codes in place of all earlier ones. */
  async replaceBackupCodes(
    userId: string,
    codes: { id: string; selector: string; codeHash: string }[],
    now: Date,
    tx: MySqlTx,
  ): Promise<void> {
    await mysql.on(tx).backupCode.deleteMany({ where: { userId } });
    await mysql.on(tx).backupCode.createMany({
      data: codes.map((code) => ({ ...code, userId, createdAt: now })),
    });
  },

  findBackupCode: (userId: string, selector: string): Promise<BackupCode | null> =>
    mysql.on().backupCode.findFirst({ where: { userId, selector, usedAt: null } }),

  /** Uses a backup code up. @returns false when someone was faster, or it was replaced */
  async useBackupCode(id: string, now: Date, tx: MySqlTx): Promise<boolean> {
    const { count } = await mysql.on(tx).backupCode.updateMany({
      where: { id, usedAt: null },
      data: { usedAt: now },
    });
    return count === 1;
  },

  /** How many backup codes are left, and when they were made; null when there never were any. */
  async backupCodes(userId: string): Promise<{ left: number; createdAt: Date } | null> {
    const rows = await mysql.on().backupCode.findMany({
      where: { userId },
      select: { usedAt: true, createdAt: true },
    });
    const [first] = rows;
    return first
      ? { left: rows.filter(({ usedAt }) => usedAt === null).length, createdAt: first.createdAt }
      : null;
  },
});

export type MfaStore = ReturnType<typeof createMfaStore>;
