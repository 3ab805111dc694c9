import type { AuthDeps } from "../../auth";
import { AppError } from "../../lib/errors";
import { ADMIN_ROLE, ALL_PERMISSIONS, BASE_ROLE, PERMISSIONS } from "../../lib/permissions";
import type { RoleResponse } from "./schema";
import type { RoleRow } from "./store";

/** Most roles that there may be: every list of them is whole. */
export const MAX_ROLES = 200;

export const toRole = (row: RoleRow): RoleResponse => ({
  id: row.id,
  name: row.name,
  description: row.description,
  permissions: row.permissions,
  requiresSecondFactor: row.requiresSecondFactor,
  builtIn: row.name === ADMIN_ROLE || row.name === BASE_ROLE,
  version: row.version,
  createdAt: row.createdAt.toISOString(),
});

export const noSuchRole = () => new AppError("not_found", "There is no such role.");

/** Every permission that this version knows, with what it allows. */
export const listPermissions = (): { name: string; description: string }[] =>
  ALL_PERMISSIONS.map((name) => ({ name, description: PERMISSIONS[name] }));

/** Every role, by name. */
export const listRoles = async (deps: AuthDeps): Promise<RoleResponse[]> =>
  (await deps.roles.list(MAX_ROLES)).map(toRole);

export async function readRole(deps: AuthDeps, id: string): Promise<RoleResponse> {
  const role = await deps.roles.find(id);
  if (!role) throw noSuchRole();
  return toRole(role);
}
