import { duplicateIndex, type MySql, type MySqlTx } from "../db/prisma";
import type { User } from "../generated/prisma/client";
import { AppError } from "../lib/errors";
import type { Permission } from "../lib/permissions";
import { ADMIN_ROLE, isPermission } from "../lib/permissions";

export type UserRow = User;

/**
 * Locks until the transaction ends who administers, so that changes to it come one after another, on every
 * process. Taken before any lock on a person's row: in this one order nobody waits for each other.
 */
async function lockAdministration(mysql: MySql, tx: MySqlTx): Promise<void> {
  await mysql.on(tx).$queryRaw`SELECT id FROM roles WHERE name = ${ADMIN_ROLE} FOR UPDATE`;
}

/** People in MySQL. */
export const createUserStore = (mysql: MySql) => ({
  lockAdministration: (tx: MySqlTx): Promise<void> => lockAdministration(mysql, tx),

  /**
   * For whatever takes a person away (a ban, a deletion, the loss of the role): the last administrator in good
   * standing stays. Locks as `lockAdministration`, so call it first in the transaction.
   * @throws AppError conflict when this person is an administrator and there is no other
   */
  async assertOtherAdministrator(tx: MySqlTx, userId: string): Promise<void> {
    await lockAdministration(mysql, tx);
    const administrators = await mysql.on(tx).$queryRaw<{ own: number }[]>`
      SELECT DISTINCT u.id = ${userId} AS own
      FROM roles r JOIN user_roles ur ON ur.role_id = r.id JOIN users u ON u.id = ur.user_id
      WHERE r.name = ${ADMIN_ROLE} AND u.email_verified_at IS NOT NULL AND u.banned_at IS NULL
        AND u.deleted_at IS NULL`;
    // MySQL gives a comparison as a number, which the driver may make a bigint.
    if (administrators.length === 1 && Number(administrators[0]?.own) === 1) {
      throw new AppError(
        "conflict",
        "This is the last administrator. Make someone else one first, then try again.",
      );
    }
  },

  findById: (id: string, tx?: MySqlTx) => mysql.on(tx).user.findUnique({ where: { id } }),

  findByEmail: (emailCanonical: string, tx?: MySqlTx) =>
    mysql.on(tx).user.findUnique({ where: { emailCanonical } }),

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

  /** Grants a role by name; once however often it is asked. */
  async grantRole(userId: string, roleName: string, now: Date, tx?: MySqlTx): Promise<void> {
    const role = await mysql.on(tx).role.findUniqueOrThrow({ where: { name: roleName } });
    await mysql.on(tx).userRole.createMany({
      data: [{ userId, roleId: role.id, grantedAt: now }],
      skipDuplicates: true,
    });
  },

  /** Makes the rows of permissions that are missing. */
  async savePermissions(permissions: { name: string; description: string }[]): Promise<void> {
    await mysql.on().permission.createMany({ data: permissions, skipDuplicates: true });
  },

  /** Makes a role with its permissions unless there is one of this name, which is then left alone. */
  async ensureRole(role: {
    id: string;
    name: string;
    description: string;
    permissions: Permission[];
    now: Date;
  }): Promise<void> {
    if (await mysql.on().role.findUnique({ where: { name: role.name } })) return;
    try {
      await mysql.on().role.create({
        data: {
          id: role.id,
          name: role.name,
          description: role.description,
          createdAt: role.now,
          permissions: { create: role.permissions.map((permissionName) => ({ permissionName })) },
        },
      });
    } catch (error) {
      if (duplicateIndex(error) !== "roles_name_key") throw error;
    }
  },

  /** Adds permissions to a role. */
  async addPermissions(roleName: string, permissions: Permission[]): Promise<void> {
    const role = await mysql.on().role.findUniqueOrThrow({ where: { name: roleName } });
    await mysql.on().rolePermission.createMany({
      data: permissions.map((permissionName) => ({ roleId: role.id, permissionName })),
      skipDuplicates: true,
    });
  },

  /** The names of a person's roles, sorted, and whether one of them demands a second factor. */
  async rolesOf(userId: string): Promise<{ names: string[]; demandsFactor: boolean }> {
    const rows = await mysql.on().$queryRaw<{ name: string; demands: unknown }[]>`
      SELECT r.name, r.requires_second_factor AS demands
      FROM user_roles ur JOIN roles r ON r.id = ur.role_id WHERE ur.user_id = ${userId}`;
    return {
      names: rows.map(({ name }) => name).sort(),
      demandsFactor: rows.some(({ demands }) => Number(demands) === 1),
    };
  },

  /** The names of a person's roles, sorted. One round trip; Prisma would take one for each table. */
  async roleNames(userId: string, tx?: MySqlTx): Promise<string[]> {
    const rows = await mysql.on(tx).$queryRaw<{ name: string }[]>`
      SELECT r.name FROM user_roles ur JOIN roles r ON r.id = ur.role_id WHERE ur.user_id = ${userId}`;
    return rows.map(({ name }) => name).sort();
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

  async permissionsOf(userId: string, tx?: MySqlTx): Promise<Permission[]> {
    const rows = await mysql.on(tx).rolePermission.findMany({
      where: { role: { users: { some: { userId } } } },
      select: { permissionName: true },
      distinct: ["permissionName"],
    });
    return rows.map(({ permissionName }) => permissionName).filter(isPermission);
  },
});

export type UserStore = ReturnType<typeof createUserStore>;
