import { ADMIN_ROLE, ALL_PERMISSIONS, DEFAULT_ROLES, PERMISSIONS } from "../../auth/permissions";
import type { Deps } from "../../deps";

/**
 * Makes the rows of permissions and of the roles that a new installation has. A role that is there keeps what
 * administrators gave it; permissions that a newer version adds reach the role `admin`.
 */
export async function ensureRoles(deps: Deps): Promise<void> {
  const now = deps.clock.now();
  await deps.users.savePermissions(ALL_PERMISSIONS.map((name) => ({ name, description: PERMISSIONS[name] })));
  for (const [name, { description, permissions }] of Object.entries(DEFAULT_ROLES)) {
    await deps.users.ensureRole({ id: deps.random.id(), name, description, permissions, now });
  }
  await deps.users.addPermissions(ADMIN_ROLE, ALL_PERMISSIONS);
}
