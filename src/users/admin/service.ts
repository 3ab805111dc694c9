import type { AuditAction } from "../../audit/actions";
import { auditActor, newAuditEntry } from "../../audit/entry";
import { endKeysAndTell, newKeysEnd } from "../../auth/api-keys/end";
import { ADMINISTRATOR } from "../../auth/jobs";
import { removeLostFactor } from "../../auth/mfa/service";
import type { AlsoEnd, SessionsEnded } from "../../auth/schema";
import type { Origin } from "../../auth/service";
import type { MySqlTx } from "../../db/prisma";
import type { Deps } from "../../deps";
import type { Actor } from "../../lib/actor";
import { demand } from "../../lib/actor";
import { AppError, invalidInput } from "../../lib/errors";
import { nextPage } from "../../lib/paging";
import { ADMIN_ROLE, BASE_ROLE, type Permission } from "../../lib/permissions";
import { canonicalKey } from "../../lib/text";
import { type ExpectedVersions, expectVersion } from "../../lib/versions";
import type { RoleRow } from "../roles/store";
import type { UserRow } from "../store";
import { administer, demandAll, type Held } from "./authority";
import { toManagedUser } from "./mapper";
import type { ChangeUser, ManagedUserResponse, UserListQuery } from "./schema";
import type { Walk } from "../lists.store";

export interface UserPage {
  data: ManagedUserResponse[];
  page: { nextCursor: string | null; hasMore: boolean };
}

const noSuchUser = () => new AppError("not_found", "There is no such person.");

/** What is walked over, one after the other: for a search first addresses, then names. */
function walksOf(query: UserListQuery, roleId: string | undefined): Omit<Walk, "after" | "limit">[] {
  const filters = {
    ...(query.status === undefined ? {} : { status: query.status }),
    ...(roleId === undefined ? {} : { roleId }),
  };
  if (query.q !== undefined) {
    const email = canonicalKey(query.q);
    return [
      { ...filters, key: "email", descending: false, prefix: email },
      { ...filters, key: "name", descending: false, prefix: query.q, notEmail: email },
    ];
  }
  const key = query.sort.name === "createdAt" ? "id" : query.sort.name;
  // Nearly everyone has the base role, so with a status the index of the status is the better one.
  const byRole =
    key === "id" && roleId !== undefined && (query.status === undefined || query.role !== BASE_ROLE);
  return [{ ...filters, key, descending: query.sort.descending, byRole }];
}

/**
 * People in the order of an index; see `nextPage` for pages that are short.
 * @throws AppError invalid_cursor, or invalid_input for a role that is not there
 */
export async function listUsers(deps: Deps, query: UserListQuery): Promise<UserPage> {
  const { q = null, status = null, role = null, sort, limit } = query;
  const filter = { list: "users", q, status, role, sort: [sort.name, sort.descending] };
  const from = query.cursor === undefined ? undefined : deps.cursors.decode(query.cursor, filter);
  const roleId = role === null ? undefined : (await deps.roles.byNames([role]))[0]?.id;
  if (role !== null && roleId === undefined) {
    throw invalidInput("filter[role]", "not_found", "is not the name of a role");
  }
  const stretches = walksOf(query, roleId).map((walk) => ({
    filtered:
      walk.notEmail !== undefined || (walk.byRole ? walk.status !== undefined : walk.roleId !== undefined),
    walk: (after: Walk["after"], most: number) =>
      deps.users.walk({ ...walk, limit: most, ...(after === undefined ? {} : { after }) }),
  }));
  const { rows, next } = await nextPage(stretches, { limit, from });
  const people = new Map((await deps.users.byIds(rows.map(({ id }) => id))).map((row) => [row.id, row]));
  return {
    // Whoever was removed in between is left out.
    data: rows.flatMap(({ id }) => {
      const row = people.get(id);
      return row ? [toManagedUser(row)] : [];
    }),
    page: { nextCursor: next && deps.cursors.encode(next, filter), hasMore: next !== null },
  };
}

/** One person. @throws AppError not_found */
export async function readUser(deps: Deps, id: string): Promise<ManagedUserResponse> {
  const [user] = await deps.users.byIds([id]);
  if (!user) throw noSuchUser();
  return toManagedUser(user);
}

/** Someone whom the caller may change: not erased, as it was read, and not holding more than the caller. */
async function changeable(deps: Deps, id: string, held: Held, tx: MySqlTx): Promise<UserRow> {
  const user = await deps.users.lock(id, tx);
  if (!user || user.deletedAt !== null) throw noSuchUser();
  demandAll(held, await deps.roles.permissionNamesOf(id, tx), "This person");
  return user;
}

/** What changes in the roles of a person. @throws AppError invalid_input for a name that is no role */
async function roleChange(deps: Deps, userId: string, names: string[], tx: MySqlTx) {
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
  deps: Deps,
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
  await administer(deps, actor, needed, async (tx, held) => {
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
  if (ban) deps.jobs.wake();
  return readUser(deps, id);
}

/**
 * Ends every session of someone, who then has to sign in again. When the caller wants that, also revokes their API
 * keys, of which they are then told by mail, and forgets every known device of theirs.
 * @throws AppError not_found, forbidden for someone who holds more than the caller
 */
export async function endSessionsOf(
  deps: Deps,
  actor: Actor,
  id: string,
  { revokeApiKeys, forgetDevices }: AlsoEnd,
  origin: Origin,
): Promise<SessionsEnded> {
  const now = deps.clock.now();
  const entry = newAuditEntry(deps, "user.sessions_ended", {
    actor: auditActor(actor),
    subjectUserId: id,
    origin,
  });
  const keysEnd = newKeysEnd(deps, id, {
    revoke: revokeApiKeys,
    actor: auditActor(actor),
    reason: "ended_by_administrator",
    origin,
    told: ADMINISTRATOR,
  });
  const result = await administer(deps, actor, ["users:write"], async (tx, held) => {
    await changeable(deps, id, held, tx);
    const ended = await deps.sessions.endAll(id, { reason: "ended_by_administrator", now }, tx);
    const forgotten: Record<string, number> = forgetDevices
      ? { forgotten: await deps.devices.forget(id, { now }, tx) }
      : {};
    await deps.audit.record({ ...entry, detail: { ended, ...forgotten } }, tx);
    return { ended, ...forgotten, ...(await endKeysAndTell(deps, keysEnd, tx)) };
  });
  deps.jobs.wake();
  return result;
}

/**
 * Takes the second factor of someone away who lost it and their backup codes, and ends their sessions.
 * @throws AppError not_found, forbidden for someone who holds more than the caller, conflict for oneself and
 * when there is none
 */
export async function removeSecondFactorOf(
  deps: Deps,
  actor: Actor,
  id: string,
  origin: Origin,
): Promise<void> {
  // Their own goes only with a proof of who they are.
  if (id === actor.userId) {
    throw new AppError("conflict", "Take your own second factor away at /auth/mfa/disable.");
  }
  const now = deps.clock.now();
  const jobId = deps.random.id();
  const entry = newAuditEntry(deps, "user.second_factor_removed", {
    actor: auditActor(actor),
    subjectUserId: id,
    origin,
  });
  await administer(deps, actor, ["users:write"], async (tx, held) => {
    await changeable(deps, id, held, tx);
    await removeLostFactor(deps, id, { entry, jobId, now }, tx);
  });
  deps.jobs.wake();
}
