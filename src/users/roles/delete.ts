import { auditActor, newAuditEntry } from "../../audit";
import type { AuthDeps, Origin } from "../../auth";
import type { Actor } from "../../lib/actor";
import { AppError } from "../../lib/errors";
import { ADMIN_ROLE, BASE_ROLE } from "../../lib/permissions";
import type { ExpectedVersions } from "../../lib/versions";
import { administer } from "../admin/authority";
import { changeable } from "./change";

/**
 * Deletes a role that nobody has.
 * @throws AppError not_found, precondition_failed, forbidden, conflict when someone has it or it is built in
 */
export async function deleteRole(
  deps: AuthDeps,
  actor: Actor,
  id: string,
  expected: ExpectedVersions,
  origin: Origin,
): Promise<void> {
  const audit = newAuditEntry(deps, "role.deleted", {
    actor: auditActor(actor),
    subjectUserId: null,
    origin,
  });
  await administer(deps, actor, ["roles:write"], { audit }, async (tx, held, { tell }) => {
    const role = await changeable(deps, id, expected, held, tx);
    if (role.name === ADMIN_ROLE || role.name === BASE_ROLE) {
      throw new AppError("conflict", `The role ${role.name} is built in.`);
    }
    if (await deps.roles.isHeld(id, tx)) {
      throw new AppError("conflict", "Someone has this role. Take it away from everyone first.");
    }
    await deps.roles.remove(id, tx);
    tell({ roleId: id, name: role.name, permissions: role.permissions });
  });
}
