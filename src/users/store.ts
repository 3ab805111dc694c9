import { duplicateIndex, type MySql, type MySqlTx } from "../db/prisma";
import { Prisma, type User } from "../generated/prisma/client";
import type { Permission } from "../lib/permissions";
import { createUserLists } from "./lists.store";
import { createWordStore } from "./words.store";

export type UserRow = User;

/** Stands where the address of a deleted account stood. */
const addressOfDeleted = (userId: string): string => `${userId}@deleted.invalid`;

/** People in MySQL. */
export function createUserStore(mysql: MySql) {
  const words = createWordStore(mysql);
  return {
    ...createUserLists(mysql),
    ...words,

    findById: (id: string, tx?: MySqlTx) => mysql.on(tx).user.findUnique({ where: { id } }),

    findByEmail: (emailCanonical: string, tx?: MySqlTx) =>
      mysql.on(tx).user.findUnique({ where: { emailCanonical } }),

    /** A person's row, locked until the transaction ends; null when there is none. */
    async lock(id: string, tx: MySqlTx): Promise<UserRow | null> {
      await mysql.on(tx).$queryRaw`SELECT id FROM users WHERE id = ${id} FOR UPDATE`;
      return mysql.on(tx).user.findUnique({ where: { id } });
    },

    /**
     * Locks the row of a person in good standing until the transaction ends, so that changes of one account come one
     * after another.
     * @returns null when the account is banned, deleted or not there
     */
    async lockActive(id: string, tx: MySqlTx): Promise<Pick<UserRow, "hashedPassword"> | null> {
      const [row] = await mysql.on(tx).$queryRaw<{ hashedPassword: string | null }[]>`
      SELECT hashed_password AS hashedPassword FROM users
      WHERE id = ${id} AND banned_at IS NULL AND deleted_at IS NULL FOR UPDATE`;
      return row ?? null;
    },

    /**
     * The row of an address, made unverified and without a password when there is none. Safe when many do it
     * at once: one row.
     */
    async findOrCreate(
      user: { id: string; email: string; emailCanonical: string; name: string; now: Date },
      tx?: MySqlTx,
    ): Promise<UserRow> {
      const { id, email, emailCanonical, name, now } = user;
      // One statement whether there is a row or not, so that time does not tell; Prisma's upsert is two.
      await mysql.on(tx).$executeRaw`
      INSERT INTO users (id, email, email_canonical, name, created_at, updated_at)
      VALUES (${id}, ${email}, ${emailCanonical}, ${name}, ${now}, ${now})
      ON DUPLICATE KEY UPDATE id = users.id`;
      return mysql.on(tx).user.findUniqueOrThrow({ where: { emailCanonical } });
    },

    /** Gives a never-verified address its first password. @returns false when someone was faster */
    async verify(
      id: string,
      change: { name: string; email: string; hashedPassword: string; now: Date },
      tx?: MySqlTx,
    ): Promise<boolean> {
      const { count } = await mysql.on(tx).user.updateMany({
        where: { id, emailVerifiedAt: null },
        data: {
          name: change.name,
          email: change.email,
          hashedPassword: change.hashedPassword,
          emailVerifiedAt: change.now,
          version: { increment: 1 },
        },
      });
      if (count === 1) await words.saveWords(id, tx);
      return count === 1;
    },

    /**
     * Gives a verified account in good standing a new password; with `from`, only if that is still its hash.
     * @returns false when there is no such account
     */
    async setPassword(
      id: string,
      change: { hashedPassword: string; now: Date; from?: string },
      tx: MySqlTx,
    ): Promise<boolean> {
      const { count } = await mysql.on(tx).user.updateMany({
        where: {
          id,
          emailVerifiedAt: { not: null },
          bannedAt: null,
          deletedAt: null,
          ...(change.from === undefined ? {} : { hashedPassword: change.from }),
        },
        data: { hashedPassword: change.hashedPassword, updatedAt: change.now, version: { increment: 1 } },
      });
      return count === 1;
    },

    /** Stores a hash of the same password with stronger parameters. */
    async rehash(id: string, from: string, to: string): Promise<void> {
      await mysql.on().user.updateMany({ where: { id, hashedPassword: from }, data: { hashedPassword: to } });
    },

    /** Verified people in good standing whose roles give them a permission, the longest-standing first. */
    peopleWith: (
      permission: Permission,
      limit: number,
    ): Promise<{ id: string; email: string; name: string }[]> =>
      mysql.on().user.findMany({
        where: {
          emailVerifiedAt: { not: null },
          bannedAt: null,
          deletedAt: null,
          roles: { some: { role: { permissions: { some: { permissionName: permission } } } } },
        },
        select: { id: true, email: true, name: true },
        orderBy: [{ createdAt: "asc" }, { id: "asc" }],
        take: limit,
      }),

    async rename(userId: string, name: string, now: Date, tx: MySqlTx): Promise<void> {
      await mysql.on(tx).user.updateMany({
        where: { id: userId },
        data: { name, updatedAt: now, version: { increment: 1 } },
      });
      await words.saveWords(userId, tx);
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

    /** Widths of a picture that someone shows now; null when nobody does. */
    async findAvatar(id: string): Promise<number[] | null> {
      const row = await mysql.on().user.findUnique({
        where: { avatarId: id, deletedAt: null },
        select: { avatarWidths: true },
      });
      return row && (row.avatarWidths as number[]);
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
        await words.saveWords(userId, tx);
        return true;
      } catch (error) {
        // MySQL undoes only the refused statement, so the transaction around it goes on.
        if (duplicateIndex(error) !== "users_email_canonical_key") throw error;
        return false;
      }
    },

    /** Bans (with a reason) or lifts a ban, when `ban` is given; the version grows in any case. */
    async setBan(
      id: string,
      { ban, now }: { ban?: { reason: string } | null; now: Date },
      tx: MySqlTx,
    ): Promise<void> {
      await mysql.on(tx).user.update({
        where: { id },
        data: {
          version: { increment: 1 },
          updatedAt: now,
          ...(ban === undefined ? {} : { bannedAt: ban && now, banReason: ban?.reason ?? null }),
        },
      });
    },

    /**
     * Removes at most `limit` accounts that were never verified, made before a time, with no registration since
     * `active`. @returns how many
     */
    pruneUnverified: (before: Date, active: Date, limit: number): Promise<number> => mysql.on().$executeRaw`
    DELETE FROM users
    WHERE status = 'unverified' AND created_at < ${before} AND email_verified_at IS NULL AND NOT EXISTS (
      SELECT 1 FROM verification_codes c WHERE c.user_id = users.id AND c.created_at > ${active})
    ORDER BY id LIMIT ${limit}`,

    /**
     * Ends an account: from now on nothing of it is accepted, and its address is free. The address itself stays for the
     * last mail. @returns false when it had ended
     */
    async markDeleted(userId: string, now: Date, tx: MySqlTx): Promise<boolean> {
      const { count } = await mysql.on(tx).user.updateMany({
        where: { id: userId, deletedAt: null },
        data: {
          emailCanonical: addressOfDeleted(userId),
          deletedAt: now,
          updatedAt: now,
          version: { increment: 1 },
        },
      });
      return count === 1;
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
      await db.userWord.deleteMany({ where });
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
      const email = addressOfDeleted(userId);
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
      await mysql.on(tx).userWord.deleteMany({ where: { userId } });
    },
  };
}

export type UserStore = ReturnType<typeof createUserStore>;
