import type { AuditAction } from "../../audit";
import { auditActor, newAuditEntry } from "../../audit";
import type { AuthDeps, Origin } from "../../auth";
import type { MySqlTx } from "../../db/prisma";
import type { Actor } from "../../lib/actor";
import { demand } from "../../lib/actor";
import { AppError, invalidInput } from "../../lib/errors";
import { ADMIN_ROLE, type Permission } from "../../lib/permissions";
import { type ExpectedVersions, expectVersion } from "../../lib/versions";
import type { RoleRow } from "../roles/store";
import type { UserRow } from "../store";
import { administer, demandAll, type Held } from "./authority";
import { noSuchUser, readUser } from "./read";
import type { ChangeUser, ManagedUserResponse } from "./schema";

/** Someone whom the caller may change: not erased, as it was read, and not holding more than the caller. */
export async function changeable(deps: AuthDeps, id: string, held: Held, tx: MySqlTx): Promise<UserRow> {
  const user = await deps.users.lock(id, tx);
  if (!user || user.deletedAt !== null) throw noSuchUser();
  demandAll(held, await deps.roles.permissionNamesOf(id, tx), "This person");
  return user;
}

/** What changes in the roles of a person. @throws AppError invalid_input for a name that is no role */
async function roleChange(deps: AuthDeps, userId: string, names: string[], tx: MySqlTx) {
  const wanted = await deps.roles.byNames(names, tx);
  const unknown = names.find((name) => !wanted.some((role) => role.name === name));
  if (unknown !== undefined) throw invalidInput("roles", "not_found", `there is no role ${unknown}`);
  const present = await deps.roles.ofUser(userId, tx);
  const without = <Role extends { id: string }>(roles: Role[], others: Role[]) =>
    roles.filter(({ id }) => !others.some((other) => other.id === id));
  return { added: without(wanted, present), removed: without(present, wanted) };
}

/**
 * Bans someone or lifts the ban, and sets their roles. A ban ends every session at once, on every process.
 * @param expected from If-Match
 * @throws AppError not_found, precondition_failed, forbidden for someone who holds more than the caller or a
 * role that does, conflict for oneself and for the last administrator
 */
export async function changeUser(
  deps: AuthDeps,
  actor: Actor,
  id: string,
  { ban, roles }: ChangeUser,
  expected: ExpectedVersions,
  origin: Origin,
): Promise<ManagedUserResponse> {
  const needed: Permission[] = [
    ...(ban === undefined ? [] : (["users:write"] as const)),
    ...(roles === undefined ? [] : (["roles:write"] as const)),
  ];
  for (const permission of needed) demand(actor, permission);
  const now = deps.clock.now();
  const jobId = deps.random.id();
  const entryOf = (action: AuditAction) =>
    newAuditEntry(deps, action, { actor: auditActor(actor), subjectUserId: id, origin });
  const entries = {
    ban: entryOf(ban === null ? "user.unbanned" : "user.banned"),
    roles: entryOf("user.roles_changed"),
  };
  await administer(deps, actor, needed, {}, async (tx, held) => {
    const user = await changeable(deps, id, held, tx);
    expectVersion(expected, user.version);
    if (ban && id === actor.userId) throw new AppError("conflict", "You cannot ban yourself.");
    if (ban) {
      await deps.roles.assertOtherAdministrator(tx, id);
      const reason = `banned: ${ban.reason}`;
      await deps.sessions.endAll(id, { reason: "banned", detail: reason, now }, tx);
      const job = { id: jobId, kind: "mail.banned", payload: { userId: id }, runAt: now };
      await deps.jobs.mysql.enqueue(job, tx);
    }
    if (ban !== undefined) await deps.audit.record({ ...entries.ban, detail: { ...ban } }, tx);
    if (roles !== undefined) {
      const { added, removed } = await roleChange(deps, id, roles, tx);
      for (const role of added) demandAll(held, role.permissions, `The role ${role.name}`);
      if (removed.some(({ name }) => name === ADMIN_ROLE)) {
        await deps.roles.assertOtherAdministrator(tx, id);
      }
      const idsOf = (list: RoleRow[]) => list.map((role) => role.id);
      const namesOf = (list: RoleRow[]) => list.map(({ name }) => name).sort();
      await deps.roles.grant(id, idsOf(added), now, tx);
      await deps.roles.revoke(id, idsOf(removed), tx);
      const detail = { added: namesOf(added), removed: namesOf(removed) };
      await deps.audit.record({ ...entries.roles, detail }, tx);
    }
    await deps.users.setBan(id, { now, ...(ban === undefined ? {} : { ban }) }, tx);
  });
  return readUser(deps, id);
}
