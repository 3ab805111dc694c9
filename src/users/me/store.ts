import { duplicateIndex, type MySql, type MySqlTx } from "../../db/prisma";
import { type AuditEntry, type EmailChange, Prisma, type UserExport } from "../../generated/prisma/client";
import type { JsonValue } from "../../lib/json";

/** What a person may choose, each kind with a form of its own. */
export type SettingName = "preferences" | "notices";

export type EmailChangeRow = EmailChange;
export type ExportRow = UserExport;

/** The two addresses that confirm a change: the present one and the one to come. */
export type Side = "old" | "new";

/** Why a change of address is no longer open. */
export type EmailChangeEnd = "completed" | "cancelled" | "replaced" | "taken";

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

  /** Gives a person another picture, or none. */
  async setAvatar(
    userId: string,
    avatar: { id: string; widths: number[] } | null,
    now: Date,
    tx: MySqlTx,
  ): Promise<void> {
    await mysql.on(tx).user.updateMany({
      where: { id: userId },
      data: {
        avatarId: avatar?.id ?? null,
        avatarWidths: avatar?.widths ?? Prisma.DbNull,
        updatedAt: now,
        version: { increment: 1 },
      },
    });
  },

  async createExport(row: { id: string; userId: string; createdAt: Date }, tx: MySqlTx): Promise<void> {
    await mysql.on(tx).userExport.create({ data: { ...row, status: "waiting" } });
  },

  findExport: (id: string): Promise<ExportRow | null> => mysql.on().userExport.findUnique({ where: { id } }),

  /** A person's exports, the newest first. */
  listExports: (userId: string, limit: number): Promise<ExportRow[]> =>
    mysql.on().userExport.findMany({
      where: { userId },
      orderBy: [{ createdAt: "desc" }, { id: "desc" }],
      take: limit,
    }),

  /** The export of a person that is being made; its job has the same id. Call it with their row locked. */
  async exportInWork(userId: string, tx: MySqlTx): Promise<string | null> {
    const rows = await mysql.on(tx).$queryRaw<{ id: string }[]>`
      SELECT e.id AS id FROM user_exports e JOIN jobs j ON j.id = e.id
      WHERE e.user_id = ${userId} AND e.status = 'waiting' AND j.status = 'waiting'`;
    return rows[0]?.id ?? null;
  },

  countExports: (userId: string, since: Date, tx: MySqlTx): Promise<number> =>
    mysql.on(tx).userExport.count({ where: { userId, createdAt: { gt: since } } }),

  /** @returns false when it is ready already, or gone */
  async finishExport(
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

  async expireExport(id: string): Promise<void> {
    await mysql.on().userExport.updateMany({ where: { id }, data: { status: "expired" } });
  },

  /**
   * Entries of the audit log about a person, or else by them about others, the oldest first.
   * @param behind the last one that was read
   */
  auditEntries: (
    userId: string,
    side: "about" | "by",
    behind: { at: Date; id: string } | null,
    limit: number,
  ): Promise<AuditEntry[]> =>
    mysql.on().auditEntry.findMany({
      where: {
        ...(side === "about"
          ? { subjectUserId: userId }
          : { actorId: userId, NOT: { subjectUserId: { equals: userId } } }),
        ...(behind === null
          ? {}
          : {
              at: { gte: behind.at },
              AND: [{ OR: [{ at: { gt: behind.at } }, { at: behind.at, id: { gt: behind.id } }] }],
            }),
      },
      orderBy: [{ at: "asc" }, { id: "asc" }],
      take: limit,
    }),

  /** Ends an account: from now on nothing of it is accepted. @returns false when it had ended */
  async markDeleted(userId: string, now: Date, tx: MySqlTx): Promise<boolean> {
    const { count } = await mysql.on(tx).user.updateMany({
      where: { id: userId, deletedAt: null },
      data: { deletedAt: now, updatedAt: now, version: { increment: 1 } },
    });
    return count === 1;
  },

  /** What names files and callers of a person, for their erasure. */
  async traces(userId: string): Promise<{ apiKeyIds: string[]; exportIds: string[] }> {
    const where = { userId };
    const select = { id: true };
    const [keys, exports] = [
      await mysql.on().apiKey.findMany({ where, select }),
      await mysql.on().userExport.findMany({ where, select }),
    ];
    return { apiKeyIds: keys.map(({ id }) => id), exportIds: exports.map(({ id }) => id) };
  },

  /**
   * Removes every row that belongs to a person, and finished jobs about them: some hold an address and where a
   * request came from. Safe to repeat.
   */
  async eraseRows(userId: string): Promise<void> {
    const where = { userId };
    const db = mysql.on();
    await db.session.deleteMany({ where });
    await db.knownDevice.deleteMany({ where });
    await db.verificationCode.deleteMany({ where });
    await db.apiKey.deleteMany({ where });
    await db.totpFactor.deleteMany({ where });
    await db.backupCode.deleteMany({ where });
    await db.passkey.deleteMany({ where });
    await db.webauthnChallenge.deleteMany({ where });
    await db.userSetting.deleteMany({ where });
    await db.emailChange.deleteMany({ where });
    await db.userExport.deleteMany({ where });
    await db.userRole.deleteMany({ where });
    await db.$executeRaw`
      DELETE FROM jobs
      WHERE status <> 'waiting' AND JSON_UNQUOTE(JSON_EXTRACT(payload, '$.userId')) = ${userId}`;
  },

  /**
   * Leaves of a deleted account nothing but its id, which the audit log and the stock's movements name. Its
   * address is free from then on.
   */
  async anonymise(userId: string, now: Date, tx: MySqlTx): Promise<void> {
    const email = `${userId}@deleted.invalid`;
    await mysql.on(tx).user.updateMany({
      where: { id: userId, deletedAt: { not: null } },
      data: {
        email,
        emailCanonical: email,
        name: "Deleted",
        hashedPassword: null,
        banReason: null,
        avatarId: null,
        avatarWidths: Prisma.DbNull,
        updatedAt: now,
      },
    });
  },

  /** Widths of a picture that someone shows now; null when nobody does. */
  async findAvatar(id: string): Promise<number[] | null> {
    const row = await mysql.on().user.findUnique({
      where: { avatarId: id, deletedAt: null },
      select: { avatarWidths: true },
    });
    return row && (row.avatarWidths as number[]);
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

  async createEmailChange(
    change: Pick<
      EmailChange,
      | "id"
      | "userId"
      | "newEmail"
      | "newEmailCanonical"
      | "authEpoch"
      | "requestedAt"
      | "requestedIp"
      | "expiresAt"
    >,
    tx: MySqlTx,
  ): Promise<void> {
    await mysql.on(tx).emailChange.create({ data: change });
  },

  findEmailChange: (id: string, tx?: MySqlTx) =>
    mysql.on(tx).emailChange.findUnique({ where: { id }, include: { user: true } }),

  /** The change that a person has open: not ended, not too old, and asked for since their sessions were ended. */
  openEmailChange: (userId: string, authEpoch: number, now: Date): Promise<EmailChangeRow | null> =>
    mysql.on().emailChange.findFirst({
      where: { userId, endedAt: null, expiresAt: { gt: now }, authEpoch },
      orderBy: { requestedAt: "desc" },
    }),

  /** Every change of address that a person asked for, the oldest first. */
  emailChanges: (userId: string, limit: number): Promise<EmailChangeRow[]> =>
    mysql.on().emailChange.findMany({ where: { userId }, orderBy: { requestedAt: "asc" }, take: limit }),

  /** Ends whatever change a person has open. @returns how many there were */
  async endEmailChanges(userId: string, reason: EmailChangeEnd, now: Date, tx: MySqlTx): Promise<number> {
    const { count } = await mysql.on(tx).emailChange.updateMany({
      where: { userId, endedAt: null },
      data: { endedAt: now, endReason: reason },
    });
    return count;
  },

  /** Stores the hash of the link that is about to be mailed to one side. @returns false when it is over */
  async setEmailChangeHash(id: string, side: Side, hash: Uint8Array<ArrayBuffer>): Promise<boolean> {
    const { count } = await mysql.on().emailChange.updateMany({
      where: { id, endedAt: null, ...(side === "old" ? { oldConfirmedAt: null } : { newConfirmedAt: null }) },
      data: side === "old" ? { oldHash: hash } : { newHash: hash },
    });
    return count === 1;
  },

  /** Notes that one side confirmed, and makes its link useless. @returns false when someone was faster */
  async confirmEmailChange(id: string, side: Side, now: Date, tx: MySqlTx): Promise<boolean> {
    const { count } = await mysql.on(tx).emailChange.updateMany({
      where: { id, endedAt: null, ...(side === "old" ? { oldConfirmedAt: null } : { newConfirmedAt: null }) },
      data: side === "old" ? { oldConfirmedAt: now, oldHash: null } : { newConfirmedAt: now, newHash: null },
    });
    return count === 1;
  },

  /**
   * Gives an account another address, which its owner has proved. An account that never proved the address
   * makes way for it, with its attempts.
   * @returns false when another account has the address
   */
  async takeAddress(
    userId: string,
    { email, emailCanonical, now }: { email: string; emailCanonical: string; now: Date },
    tx: MySqlTx,
  ): Promise<boolean> {
    // Locked, so that a registration of it, or its proof, is either seen here or waits.
    await mysql.on(tx).$queryRaw`SELECT id FROM users WHERE email_canonical = ${emailCanonical} FOR UPDATE`;
    await mysql.on(tx).user.deleteMany({
      where: { emailCanonical, emailVerifiedAt: null, deletedAt: null, id: { not: userId } },
    });
    try {
      await mysql.on(tx).user.updateMany({
        where: { id: userId },
        data: { email, emailCanonical, emailVerifiedAt: now, updatedAt: now, version: { increment: 1 } },
      });
      return true;
    } catch (error) {
      // MySQL undoes only the refused statement, so the transaction around it goes on.
      if (duplicateIndex(error) !== "users_email_canonical_key") throw error;
      return false;
    }
  },
});

export type AccountStore = ReturnType<typeof createAccountStore>;
