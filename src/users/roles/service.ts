import { auditActor, newAuditEntry } from "../../audit/entry";
import type { Origin } from "../../auth/service";
import type { MySqlTx } from "../../db/prisma";
import type { Deps } from "../../deps";
import type { RecordAnswer } from "../../http/idempotency";
import type { Actor } from "../../lib/actor";
import { AppError } from "../../lib/errors";
import { ADMIN_ROLE, ALL_PERMISSIONS, BASE_ROLE, PERMISSIONS } from "../../lib/permissions";
import { type ExpectedVersions, expectVersion } from "../../lib/versions";
import { administer, demandAll } from "../admin/authority";
import type { ChangeRole, CreateRole, RoleResponse } from "./schema";
import type { RoleRow } from "./store";

/** Most roles that there may be: every list of them is whole. */
export const MAX_ROLES = 200;

const toRole = (row: RoleRow): RoleResponse => ({
  id: row.id,
  name: row.name,
  description: row.description,
  permissions: row.permissions,
  requiresSecondFactor: row.requiresSecondFactor,
  builtIn: row.name === ADMIN_ROLE || row.name === BASE_ROLE,
  version: row.version,
  createdAt: row.createdAt.toISOString(),
});

const noSuchRole = () => new AppError("not_found", "There is no such role.");

/** Every permission that this version knows, with what it allows. */
export const listPermissions = (): { name: string; description: string }[] =>
  ALL_PERMISSIONS.map((name) => ({ name, description: PERMISSIONS[name] }));

/** Every role, by name. */
export const listRoles = async (deps: Deps): Promise<RoleResponse[]> =>
  (await deps.roles.list(MAX_ROLES)).map(toRole);

export async function readRole(deps: Deps, id: string): Promise<RoleResponse> {
  const role = await deps.roles.find(id);
  if (!role) throw noSuchRole();
  return toRole(role);
}

/**
 * Makes a role of permissions that the caller holds.
 * @throws AppError forbidden, already_exists, conflict at the most roles
 */
export async function createRole(
  deps: Deps,
  actor: Actor,
  { name, description, permissions, requiresSecondFactor }: CreateRole,
  origin: Origin,
  record: RecordAnswer<MySqlTx>,
): Promise<RoleResponse> {
  const now = deps.clock.now();
  const id = deps.random.id();
  const entry = newAuditEntry(deps, "role.created", {
    actor: auditActor(actor),
    subjectUserId: null,
    origin,
    detail: { roleId: id, name, permissions, ...(requiresSecondFactor ? { requiresSecondFactor } : {}) },
  });
  return administer(deps, actor, ["roles:write"], async (tx, held) => {
    demandAll(held, permissions, "The role");
    if ((await deps.roles.count(tx)) >= MAX_ROLES) {
      throw new AppError("conflict", `There are ${MAX_ROLES} roles. Delete one first.`);
    }
    const role = { id, name, description, permissions, requiresSecondFactor };
    if (!(await deps.roles.create({ ...role, now }, tx))) {
      throw new AppError("already_exists", `There is a role ${name}.`);
    }
    await deps.audit.record(entry, tx);
    const made = toRole({
      ...role,
      permissions: permissions.sort(),
      version: 1,
      createdAt: now,
    });
    await record(tx, made);
    return made;
  });
}

/** A role that the caller may change: of what they hold, and as they read it. */
async function changeable(
  deps: Deps,
  id: string,
  expected: ExpectedVersions,
  held: ReadonlySet<string>,
  tx: MySqlTx,
): Promise<RoleRow> {
  const role = await deps.roles.find(id, tx);
  if (!role) throw noSuchRole();
  expectVersion(expected, role.version);
  demandAll(held, role.permissions, "The role");
  return role;
}

/**
 * Changes a role, for everyone who has it, on their next request.
 * @throws AppError not_found, precondition_failed, forbidden for what the caller does not hold, conflict for
 * the role that administers
 */
export async function changeRole(
  deps: Deps,
  actor: Actor,
  id: string,
  change: ChangeRole,
  expected: ExpectedVersions,
  origin: Origin,
): Promise<RoleResponse> {
  const entry = newAuditEntry(deps, "role.changed", {
    actor: auditActor(actor),
    subjectUserId: null,
    origin,
  });
  return administer(deps, actor, ["roles:write"], async (tx, held) => {
    const role = await changeable(deps, id, expected, held, tx);
    if (role.name === ADMIN_ROLE && (change.description !== undefined || change.permissions !== undefined))
      throw new AppError("conflict", `The role ${ADMIN_ROLE} always holds everything.`);
    const permissions = change.permissions ?? role.permissions;
    demandAll(held, permissions, "The role");
    await deps.roles.change(id, change, tx);
    const added = permissions.filter((name) => !role.permissions.includes(name));
    const removed = role.permissions.filter((name) => !permissions.includes(name));
    const { requiresSecondFactor = role.requiresSecondFactor } = change;
    const demand: Record<string, boolean> =
      requiresSecondFactor === role.requiresSecondFactor ? {} : { requiresSecondFactor };
    const detail = { roleId: id, name: role.name, added, removed, ...demand };
    await deps.audit.record({ ...entry, detail }, tx);
    const changed = await deps.roles.find(id, tx);
    if (!changed) throw noSuchRole();
    return toRole(changed);
  });
}

/**
 * Deletes a role that nobody has.
 * @throws AppError not_found, precondition_failed, forbidden, conflict when someone has it or it is built in
 */
export async function deleteRole(
  deps: Deps,
  actor: Actor,
  id: string,
  expected: ExpectedVersions,
  origin: Origin,
): Promise<void> {
  const entry = newAuditEntry(deps, "role.deleted", {
    actor: auditActor(actor),
    subjectUserId: null,
    origin,
  });
  await administer(deps, actor, ["roles:write"], async (tx, held) => {
    const role = await changeable(deps, id, expected, held, tx);
    if (role.name === ADMIN_ROLE || role.name === BASE_ROLE) {
      throw new AppError("conflict", `The role ${role.name} is built in.`);
    }
    if (await deps.roles.isHeld(id, tx)) {
      throw new AppError("conflict", "Someone has this role. Take it away from everyone first.");
    }
    await deps.roles.remove(id, tx);
    const detail = { roleId: id, name: role.name, permissions: role.permissions };
    await deps.audit.record({ ...entry, detail }, tx);
  });
}
