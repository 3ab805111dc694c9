import type { MySql, MySqlTx } from "../../db/prisma";
import type { JsonValue } from "../../json";

/** What a person may choose, each kind with a form of its own. */
export type SettingName = "preferences" | "notices";

/** What belongs to one person's account, in MySQL. */
export const createAccountStore = (mysql: MySql) => ({
  /**
   * Locks a person's row until the transaction ends, so that changes of one account come one after another.
   * @returns false when the account is banned, deleted or not there
   */
  async lock(userId: string, tx: MySqlTx): Promise<boolean> {
    const rows = await mysql.on(tx).$queryRaw<unknown[]>`
      SELECT id FROM users
      WHERE id = ${userId} AND deleted_at IS NULL AND banned_at IS NULL FOR UPDATE`;
    return rows.length === 1;
  },

  async rename(userId: string, name: string, now: Date, tx: MySqlTx): Promise<void> {
    await mysql.on(tx).user.updateMany({
      where: { id: userId },
      data: { name, updatedAt: now, version: { increment: 1 } },
    });
  },

  findSetting: (userId: string, kind: SettingName, tx?: MySqlTx) =>
    mysql.on(tx).userSetting.findUnique({ where: { userId_kind: { userId, kind } } }),

  /** Writes a setting; call it with the person's row locked. */
  async saveSetting(
    userId: string,
    kind: SettingName,
    { shape, data, version, now }: { shape: number; data: JsonValue; version: number; now: Date },
    tx: MySqlTx,
  ): Promise<void> {
    const row = { shape, data: data ?? {}, version, updatedAt: now };
    const { count } = await mysql.on(tx).userSetting.updateMany({ where: { userId, kind }, data: row });
    if (count === 0) await mysql.on(tx).userSetting.create({ data: { userId, kind, ...row } });
  },
});

export type AccountStore = ReturnType<typeof createAccountStore>;
