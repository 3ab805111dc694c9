import type { MySql, MySqlTx } from "../../db/prisma";
import type { KnownDevice } from "../../generated/prisma/client";

export type DeviceRow = KnownDevice;

/** Known devices in MySQL. */
export const createDeviceStore = (mysql: MySql) => ({
  /** Notes a sign-in on a device, which makes it a known one. */
  async use(
    device: { id: string; userId: string; userAgent: string; ip: string; now: Date; expiresAt: Date },
    tx: MySqlTx,
  ): Promise<void> {
    const { id, userId, userAgent, ip, now, expiresAt } = device;
    await mysql.on(tx).$executeRaw`
      INSERT INTO known_devices (id, user_id, user_agent, ip, created_at, last_used_at, expires_at)
      VALUES (${id}, ${userId}, ${userAgent}, ${ip}, ${now}, ${now}, ${expiresAt})
      ON DUPLICATE KEY UPDATE user_agent = VALUES(user_agent), ip = VALUES(ip),
        last_used_at = VALUES(last_used_at), expires_at = VALUES(expires_at)`;
  },

  /** True when the device was forgotten; false also for one of before devices were kept. */
  isForgotten: async (id: string): Promise<boolean> =>
    (await mysql.on().knownDevice.findFirst({ where: { id, forgottenAt: { not: null } } })) !== null,

  /** A person's known devices, the last used first. */
  list: (
    userId: string,
    page: { now: Date; limit: number; before?: { lastUsedAt: Date; id: string } },
  ): Promise<DeviceRow[]> => {
    const { now, limit, before } = page;
    return mysql.on().knownDevice.findMany({
      where: {
        userId,
        forgottenAt: null,
        expiresAt: { gt: now },
        ...(before === undefined
          ? {}
          : {
              OR: [
                { lastUsedAt: { lt: before.lastUsedAt } },
                { lastUsedAt: before.lastUsedAt, id: { lt: before.id } },
              ],
            }),
      },
      orderBy: [{ lastUsedAt: "desc" }, { id: "desc" }],
      take: limit,
    });
  },

  /** The known devices that a person last signed in on from an address, at most `limit`. */
  async idsAt(userId: string, ip: string, limit: number): Promise<string[]> {
    const rows = await mysql.on().knownDevice.findMany({
      where: { userId, ip, forgottenAt: null },
      select: { id: true },
      orderBy: { lastUsedAt: "desc" },
      take: limit,
    });
    return rows.map(({ id }) => id);
  },

  /** Forgets one of a person's devices, or all but one. @returns how many were known */
  async forget(
    userId: string,
    which: { id?: string; except?: string | null; now: Date },
    tx: MySqlTx,
  ): Promise<number> {
    const { id, except, now } = which;
    const { count } = await mysql.on(tx).knownDevice.updateMany({
      where: {
        userId,
        forgottenAt: null,
        expiresAt: { gt: now },
        ...(id === undefined ? {} : { id }),
        ...(except ? { NOT: { id: except } } : {}),
      },
      data: { forgottenAt: now },
    });
    return count;
  },

  /** Removes at most `limit` devices whose tokens ended before a time. @returns how many */
  prune: (before: Date, limit: number): Promise<number> => mysql.on().$executeRaw`
    DELETE FROM known_devices WHERE expires_at < ${before} ORDER BY expires_at LIMIT ${limit}`,
});

export type DeviceStore = ReturnType<typeof createDeviceStore>;
