import { duplicateIndex, type MySql, type MySqlTx } from "../../db/prisma";
import type { Role } from "../../generated/prisma/client";
import { AppError } from "../../lib/errors";
import { ADMIN_ROLE, isPermission, type Permission } from "../../lib/permissions";

/** A role with the names of its permissions, sorted. */
export interface RoleRow extends Role {
  permissions: string[];
}

const withPermissions = { permissions: { select: { permissionName: true } } } as const;

const toRow = ({ permissions, ...role }: Role & { permissions: { permissionName: string }[] }): RoleRow => ({
  ...role,
  permissions: permissions.map(({ permissionName }) => permissionName).sort(),
});

/**
 * Locks until the transaction ends who administers, so that changes to it come one after another, on every
 * process. Taken before any lock on a person's row, so that no two wait for each other.
 */
async function lockAdministration(mysql: MySql, tx: MySqlTx): Promise<void> {
  await mysql.on(tx).$queryRaw`SELECT id FROM roles WHERE name = ${ADMIN_ROLE} FOR UPDATE`;
}

/** The names of everything that a person's roles hold, also of what only a newer release knows. */
async function permissionNamesOf(mysql: MySql, userId: string, tx?: MySqlTx): Promise<string[]> {
  const rows = await mysql.on(tx).$queryRaw<{ name: string }[]>`
    SELECT DISTINCT rp.permission_name AS name
    FROM user_roles ur JOIN role_permissions rp ON rp.role_id = ur.role_id
    WHERE ur.user_id = ${userId}`;
  return rows.map(({ name }) => name);
}

/** Roles, what they allow and who has them, in MySQL. */
export const createRoleStore = (mysql: MySql) => ({
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

  /** Every role by name, at most `most`. */
  async list(most: number): Promise<RoleRow[]> {
    const rows = await mysql
      .on()
      .role.findMany({ include: withPermissions, orderBy: { name: "asc" }, take: most });
    return rows.map(toRow);
  },

  count: (tx?: MySqlTx): Promise<number> => mysql.on(tx).role.count(),

  async find(id: string, tx?: MySqlTx): Promise<RoleRow | null> {
    const row = await mysql.on(tx).role.findUnique({ where: { id }, include: withPermissions });
    return row && toRow(row);
  },

  async byNames(names: string[], tx?: MySqlTx): Promise<RoleRow[]> {
    const rows = await mysql
      .on(tx)
      .role.findMany({ where: { name: { in: names } }, include: withPermissions });
    return rows.map(toRow);
  },

  /** The roles of a person. */
  async ofUser(userId: string, tx?: MySqlTx): Promise<RoleRow[]> {
    const rows = await mysql.on(tx).userRole.findMany({
      where: { userId },
      include: { role: { include: withPermissions } },
    });
    return rows.map(({ role }) => toRow(role));
  },

  permissionNamesOf: (userId: string, tx?: MySqlTx): Promise<string[]> =>
    permissionNamesOf(mysql, userId, tx),

  /** Makes a role. @returns false when there is one of this name */
  async create(
    role: {
      id: string;
      name: string;
      description: string;
      permissions: string[];
      requiresSecondFactor?: boolean;
      now: Date;
    },
    tx: MySqlTx,
  ): Promise<boolean> {
    const { id, name, description, requiresSecondFactor = false, now } = role;
    try {
      await mysql
        .on(tx)
        .role.createMany({ data: [{ id, name, description, requiresSecondFactor, createdAt: now }] });
    } catch (error) {
      if (duplicateIndex(error) !== "roles_name_key") throw error;
      return false;
    }
    await mysql.on(tx).rolePermission.createMany({
      data: role.permissions.map((permissionName) => ({ roleId: id, permissionName })),
    });
    return true;
  },

  /** Gives a role another description, and other permissions when they are given. */
  async change(
    id: string,
    {
      permissions,
      ...data
    }: { description?: string; permissions?: string[]; requiresSecondFactor?: boolean },
    tx: MySqlTx,
  ): Promise<void> {
    await mysql.on(tx).role.update({
      where: { id },
      data: { version: { increment: 1 }, ...data },
    });
    if (permissions === undefined) return;
    await mysql.on(tx).rolePermission.deleteMany({ where: { roleId: id } });
    await mysql.on(tx).rolePermission.createMany({
      data: permissions.map((permissionName) => ({ roleId: id, permissionName })),
    });
  },

  /** True when someone has the role. */
  isHeld: async (id: string, tx: MySqlTx): Promise<boolean> =>
    (await mysql.on(tx).userRole.findFirst({ where: { roleId: id } })) !== null,

  async remove(id: string, tx: MySqlTx): Promise<void> {
    await mysql.on(tx).role.deleteMany({ where: { id } });
  },

  async grant(userId: string, roleIds: string[], now: Date, tx: MySqlTx): Promise<void> {
    await mysql.on(tx).userRole.createMany({
      data: roleIds.map((roleId) => ({ userId, roleId, grantedAt: now })),
      skipDuplicates: true,
    });
  },

  /** Grants a role by name; once however often it is asked. */
  async grantNamed(userId: string, roleName: string, now: Date, tx?: MySqlTx): Promise<void> {
    const role = await mysql.on(tx).role.findUniqueOrThrow({ where: { name: roleName } });
    await mysql.on(tx).userRole.createMany({
      data: [{ userId, roleId: role.id, grantedAt: now }],
      skipDuplicates: true,
    });
  },

  async revoke(userId: string, roleIds: string[], tx: MySqlTx): Promise<void> {
    await mysql.on(tx).userRole.deleteMany({ where: { userId, roleId: { in: roleIds } } });
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

  /** The names of a person's roles, sorted. One round trip; Prisma would take one for each table. */
  async namesOf(userId: string, tx?: MySqlTx): Promise<string[]> {
    const rows = await mysql.on(tx).$queryRaw<{ name: string }[]>`
      SELECT r.name FROM user_roles ur JOIN roles r ON r.id = ur.role_id WHERE ur.user_id = ${userId}`;
    return rows.map(({ name }) => name).sort();
  },

  /** What a person may do, of the permissions that this version knows. */
  permissionsOf: async (userId: string, tx?: MySqlTx): Promise<Permission[]> =>
    (await permissionNamesOf(mysql, userId, tx)).filter(isPermission),
});

export type RoleStore = ReturnType<typeof createRoleStore>;
