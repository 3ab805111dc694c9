import type { AuthDeps } from "../../auth/deps";
import { invalidInput } from "../../lib/errors";
import { nextPage } from "../../lib/paging";
import { BASE_ROLE } from "../../lib/permissions";
import { canonicalKey } from "../../lib/text";
import type { Walk } from "../lists.store";
import { toManagedUser } from "./mapper";
import type { ManagedUserResponse, UserListQuery } from "./schema";

export interface UserPage {
  data: ManagedUserResponse[];
  page: { nextCursor: string | null; hasMore: boolean };
}

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
export async function listUsers(deps: AuthDeps, query: UserListQuery): Promise<UserPage> {
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
