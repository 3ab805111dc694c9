import type { MySql, MySqlTx } from "../db/prisma";
import type { JsonValue } from "../lib/json";

/** What a person may choose, each kind with a form of its own. */
export type SettingName = "preferences" | "notices";

/** What people chose, in MySQL. */
export const createSettingStore = (mysql: MySql) => ({
  find: (userId: string, kind: SettingName, tx?: MySqlTx) =>
    mysql.on(tx).userSetting.findUnique({ where: { userId_kind: { userId, kind } } }),

  /** Writes a setting; call it with the person's row locked. */
  async save(
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

export type SettingStore = ReturnType<typeof createSettingStore>;
