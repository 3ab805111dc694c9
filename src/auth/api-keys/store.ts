import { dateIn, jsonIn, parsed } from "../../db/json-row";
import type { MySql, MySqlTx } from "../../db/prisma";
import type { Owner } from "../../lib/actor";
import { isPermission, type Permission } from "../../lib/permissions";
import { OWNER, type OwnerJson, ownerOf } from "../../users";

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
  owner: Owner;
}

/** A live key as MySQL's JSON has it, bytes as hexadecimal digits. */
interface LiveJson {
  secretDigest: string | null;
  secretHash: string;
  permissions: unknown;
  expiresAt: string;
  lastUsedAt: string | null;
  owner: unknown;
}

const bytesOf = (hex: string): Uint8Array<ArrayBuffer> => new Uint8Array(Buffer.from(hex, "hex"));

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
    const row = jsonIn<LiveJson>(
      await mysql.on().$queryRaw`
        SELECT JSON_OBJECT('secretDigest', HEX(k.secret_digest), 'secretHash', HEX(k.secret_hash),
          'permissions', k.permissions, 'expiresAt', k.expires_at, 'lastUsedAt', k.last_used_at,
          'owner', ${OWNER}) AS json
        FROM api_keys k JOIN users u ON u.id = k.user_id
        WHERE k.id = ${id} AND k.revoked_at IS NULL AND u.banned_at IS NULL AND u.deleted_at IS NULL`,
    );
    if (!row) return null;
    const { owner, permissions: ownerPermissions } = ownerOf(parsed(row.owner) as OwnerJson);
    return {
      userId: owner.id,
      owner,
      ownerPermissions,
      permissions: known(parsed(row.permissions)),
      secretDigest: row.secretDigest === null ? null : bytesOf(row.secretDigest),
      secretHash: bytesOf(row.secretHash),
      expiresAt: dateIn(row.expiresAt),
      lastUsedAt: row.lastUsedAt === null ? null : dateIn(row.lastUsedAt),
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
