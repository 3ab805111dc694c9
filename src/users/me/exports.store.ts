import type { MySql, MySqlTx } from "../../db/prisma";
import type { UserExport } from "../../generated/prisma/client";

export type ExportRow = UserExport;

/** Archives of people's data, in MySQL. */
export const createExportStore = (mysql: MySql) => ({
  async create(row: { id: string; userId: string; createdAt: Date }, tx: MySqlTx): Promise<void> {
    await mysql.on(tx).userExport.create({ data: { ...row, status: "waiting" } });
  },

  find: (id: string): Promise<ExportRow | null> => mysql.on().userExport.findUnique({ where: { id } }),

  /** A person's exports, the newest first. */
  ofUser: (userId: string, limit: number): Promise<ExportRow[]> =>
    mysql.on().userExport.findMany({
      where: { userId },
      orderBy: [{ createdAt: "desc" }, { id: "desc" }],
      take: limit,
    }),

  /** The export of a person that is being made; its job has the same id. Call it with their row locked. */
  async inWork(userId: string, tx: MySqlTx): Promise<string | null> {
    const rows = await mysql.on(tx).$queryRaw<{ id: string }[]>`
      SELECT e.id AS id FROM user_exports e JOIN jobs j ON j.id = e.id
      WHERE e.user_id = ${userId} AND e.status = 'waiting' AND j.status = 'waiting'`;
    return rows[0]?.id ?? null;
  },

  count: (userId: string, since: Date, tx: MySqlTx): Promise<number> =>
    mysql.on(tx).userExport.count({ where: { userId, createdAt: { gt: since } } }),

  /** @returns false when it is ready already, or gone */
  async finish(
    id: string,
    { size, readyAt, expiresAt }: { size: number; readyAt: Date; expiresAt: Date },
    tx: MySqlTx,
  ): Promise<boolean> {
    const { count } = await mysql.on(tx).userExport.updateMany({
      where: { id, status: "waiting" },
      data: { status: "ready", size, readyAt, expiresAt },
    });
    return count === 1;
  },

  async expire(id: string): Promise<void> {
    await mysql.on().userExport.updateMany({ where: { id }, data: { status: "expired" } });
  },

  idsOf: async (userId: string): Promise<string[]> =>
    (await mysql.on().userExport.findMany({ where: { userId }, select: { id: true } })).map(({ id }) => id),
});

export type ExportStore = ReturnType<typeof createExportStore>;
