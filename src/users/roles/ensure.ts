import { ADMIN_ROLE, ALL_PERMISSIONS, DEFAULT_ROLES, PERMISSIONS } from "../../lib/permissions";
import type { UserDeps } from "../deps";

/**
 * Makes the rows of permissions and, in a new installation, its roles. A role that is there keeps what
 * administrators gave it, one that they deleted stays deleted; permissions that a newer version adds reach the
 * role `admin`.
 */
export async function ensureRoles(deps: UserDeps): Promise<void> {
  const now = deps.clock.now();
  await deps.roles.savePermissions(ALL_PERMISSIONS.map((name) => ({ name, description: PERMISSIONS[name] })));
  // The role `admin` is never deleted and is made last: where it is, the others were made before.
  if ((await deps.roles.byNames([ADMIN_ROLE])).length === 0) {
    for (const [name, { description, permissions }] of Object.entries(DEFAULT_ROLES)) {
      await deps.roles.ensureRole({ id: deps.random.id(), name, description, permissions, now });
    }
  }
  await deps.roles.addPermissions(ADMIN_ROLE, ALL_PERMISSIONS);
}
