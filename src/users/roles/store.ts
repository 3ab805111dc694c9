import { duplicateIndex, type MySql, type MySqlTx } from "../../db/prisma";
import type { Role } from "../../generated/prisma/client";

/** A role with the names of its permissions, sorted. */
export interface RoleRow extends Role {
  permissions: string[];
}

const withPermissions = { permissions: { select: { permissionName: true } } } as const;

const toRow = ({ permissions, ...role }: Role & { permissions: { permissionName: string }[] }): RoleRow => ({
  ...role,
  permissions: permissions.map(({ permissionName }) => permissionName).sort(),
});

/** Roles and what they hold, in MySQL. */
export const createRoleStore = (mysql: MySql) => ({
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

  /** The names of everything that a person's roles hold. */
  async permissionNamesOf(userId: string, tx?: MySqlTx): Promise<string[]> {
    const rows = await mysql.on(tx).$queryRaw<{ name: string }[]>`
      SELECT DISTINCT rp.permission_name AS name
      FROM user_roles ur JOIN role_permissions rp ON rp.role_id = ur.role_id
      WHERE ur.user_id = ${userId}`;
    return rows.map(({ name }) => name);
  },

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

  async revoke(userId: string, roleIds: string[], tx: MySqlTx): Promise<void> {
    await mysql.on(tx).userRole.deleteMany({ where: { userId, roleId: { in: roleIds } } });
  },
});

export type RoleStore = ReturnType<typeof createRoleStore>;
