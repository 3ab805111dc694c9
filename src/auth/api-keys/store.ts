import type { MySql, MySqlTx } from "../../db/prisma";
import { isPermission, type Permission } from "../../lib/permissions";

export interface ApiKeyRow {
  id: string;
  userId: string;
  name: string;
  secretDigest: Uint8Array<ArrayBuffer> | null;
  secretHash: Uint8Array<ArrayBuffer>;
  permissions: Permission[];
  createdAt: Date;
  expiresAt: Date;
  lastUsedAt: Date | null;
}

/** A key that was not revoked, with what its owner may now. */
export interface LiveApiKey
  extends Pick<
    ApiKeyRow,
    "userId" | "secretDigest" | "secretHash" | "permissions" | "expiresAt" | "lastUsedAt"
  > {
  ownerPermissions: Permission[];
}

const known = (names: unknown): Permission[] =>
  Array.isArray(names)
    ? names.filter((name): name is Permission => typeof name === "string" && isPermission(name))
    : [];

/** API keys in MySQL. */
export const createApiKeyStore = (mysql: MySql) => ({
  async create(key: Omit<ApiKeyRow, "lastUsedAt">, tx: MySqlTx): Promise<void> {
    await mysql.on(tx).apiKey.create({ data: key });
  },

  /**
   * A person's keys, the newest first: all, or at most `limit` behind a position.
   * @param options `revoked`: also those that were revoked
   */
  async ofUser(
    userId: string,
    options: { limit?: number; before?: { createdAt: Date; id: string }; revoked?: true } = {},
  ): Promise<(Omit<ApiKeyRow, "secretDigest" | "secretHash"> & { revokedAt: Date | null })[]> {
    const { limit, before, revoked } = options;
    const rows = await mysql.on().apiKey.findMany({
      where: {
        userId,
        ...(revoked ? {} : { revokedAt: null }),
        ...(before && {
          OR: [
            { createdAt: { lt: before.createdAt } },
            { createdAt: before.createdAt, id: { lt: before.id } },
          ],
        }),
      },
      orderBy: [{ createdAt: "desc" }, { id: "desc" }],
      ...(limit !== undefined && { take: limit }),
    });
    return rows.map(({ secretDigest: _, secretHash: __, ...row }) => ({
      ...row,
      permissions: known(row.permissions),
    }));
  },

  /** One of a person's keys that was not revoked. */
  find: (id: string, userId: string): Promise<{ name: string } | null> =>
    mysql.on().apiKey.findFirst({ where: { id, userId, revokedAt: null }, select: { name: true } }),

  /** Every key that a person ever had. */
  idsOf: async (userId: string): Promise<string[]> =>
    (await mysql.on().apiKey.findMany({ where: { userId }, select: { id: true } })).map(({ id }) => id),

  countWorking: (userId: string, now: Date, tx: MySqlTx): Promise<number> =>
    mysql.on(tx).apiKey.count({ where: { userId, revokedAt: null, expiresAt: { gt: now } } }),

  /** A person's keys that were neither revoked nor expired, the newest first. */
  working: (userId: string, now: Date, tx: MySqlTx): Promise<{ id: string; name: string }[]> =>
    mysql.on(tx).apiKey.findMany({
      where: { userId, revokedAt: null, expiresAt: { gt: now } },
      select: { id: true, name: true },
      orderBy: [{ createdAt: "desc" }, { id: "desc" }],
    }),

  async revokeAll(ids: string[], now: Date, tx: MySqlTx): Promise<void> {
    await mysql.on(tx).apiKey.updateMany({
      where: { id: { in: ids }, revokedAt: null },
      data: { revokedAt: now },
    });
  },

  /** Revokes a person's key. @returns false when they have none of this id */
  async revoke(id: string, userId: string, now: Date, tx: MySqlTx): Promise<boolean> {
    const { count } = await mysql.on(tx).apiKey.updateMany({
      where: { id, userId, revokedAt: null },
      data: { revokedAt: now },
    });
    return count === 1;
  },

  /** A key and what its owner may, in one round trip; null when it was revoked, or its owner is banned or deleted. */
  async findLive(id: string): Promise<LiveApiKey | null> {
    const rows = await mysql.on().$queryRaw<
      {
        userId: string;
        secretDigest: Uint8Array<ArrayBuffer> | null;
        secretHash: Uint8Array<ArrayBuffer>;
        permissions: unknown;
        expiresAt: Date;
        lastUsedAt: Date | null;
        permission: string | null;
      }[]
    >`
      SELECT k.user_id AS userId, k.secret_digest AS secretDigest, k.secret_hash AS secretHash, k.permissions AS permissions,
        k.expires_at AS expiresAt, k.last_used_at AS lastUsedAt, rp.permission_name AS permission
      FROM api_keys k
      JOIN users u ON u.id = k.user_id
      LEFT JOIN user_roles ur ON ur.user_id = u.id
      LEFT JOIN role_permissions rp ON rp.role_id = ur.role_id
      WHERE k.id = ${id} AND k.revoked_at IS NULL AND u.banned_at IS NULL AND u.deleted_at IS NULL`;
    const [first] = rows;
    if (!first) return null;
    const { permission: _, permissions, ...key } = first;
    const named = typeof permissions === "string" ? JSON.parse(permissions) : permissions;
    return {
      ...key,
      permissions: known(named),
      ownerPermissions: known(rows.map(({ permission }) => permission)),
    };
  },

  /** Removes at most `limit` keys that ended before a time. @returns how many */
  prune: (before: Date, limit: number): Promise<number> => mysql.on().$executeRaw`
    DELETE FROM api_keys WHERE expires_at < ${before} ORDER BY expires_at LIMIT ${limit}`,

  /** Keeps the digest of a key that an earlier version made. */
  async keepDigest(id: string, secretDigest: Uint8Array<ArrayBuffer>): Promise<void> {
    await mysql.on().apiKey.updateMany({ where: { id, secretDigest: null }, data: { secretDigest } });
  },

  /** Whether a key that still works has no digest yet. */
  hasUndigested: async (now: Date): Promise<boolean> =>
    (await mysql.on().apiKey.findFirst({
      where: { secretDigest: null, revokedAt: null, expiresAt: { gt: now } },
      select: { id: true },
    })) !== null,

  /** Keeps keys under which an earlier version hashed; those that are kept already stay. */
  async keepHashKeys(hashKeys: readonly Uint8Array<ArrayBuffer>[], now: Date): Promise<void> {
    await mysql.on().apiKeyHashKey.createMany({
      data: hashKeys.map((hashKey) => ({ hashKey, notedAt: now })),
      skipDuplicates: true,
    });
  },

  hashKeys: async (): Promise<Uint8Array[]> =>
    (await mysql.on().apiKeyHashKey.findMany()).map(({ hashKey }) => hashKey),

  /** Notes that a key is used, at most once a minute. */
  async touch(id: string, now: Date, notSince: Date): Promise<void> {
    await mysql.on().apiKey.updateMany({
      where: { id, OR: [{ lastUsedAt: null }, { lastUsedAt: { lt: notSince } }] },
      data: { lastUsedAt: now },
    });
  },
});

export type ApiKeyStore = ReturnType<typeof createApiKeyStore>;
