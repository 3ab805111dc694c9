import type { AuthDeps } from "../../auth";
import { invalidInput } from "../../lib/errors";
import { nextPage, type Page, pageEnd } from "../../lib/paging";
import { BASE_ROLE } from "../../lib/permissions";
import { canonicalKey } from "../../lib/text";
import type { Walk } from "../lists.store";
import { termsOf } from "../words";
import { toManagedUser } from "./mapper";
import type { ManagedUserResponse, UserListQuery } from "./schema";

/** What is walked over: for a search first addresses that begin so; `searchOf` finds the others. */
function walksOf(query: UserListQuery, roleId: string | undefined): Omit<Walk, "after" | "limit">[] {
  const filters = {
    ...(query.status === undefined ? {} : { status: query.status }),
    ...(roleId === undefined ? {} : { roleId }),
  };
  if (query.q !== undefined) {
    return [{ ...filters, key: "email", descending: false, prefix: canonicalKey(query.q) }];
  }
  const key = query.sort.name === "createdAt" ? "id" : query.sort.name;
  // Nearly everyone has the base role, so with a status the index of the status is the better one.
  const byRole =
    key === "id" && roleId !== undefined && (query.status === undefined || query.role !== BASE_ROLE);
  return [{ ...filters, key, descending: query.sort.descending, byRole }];
}

/** People who have all the words that a search begins, without those whose address begins so: these came before. */
function searchOf(deps: AuthDeps, q: string, status: string | undefined, roleId: string | undefined) {
  const filters = {
    terms: termsOf(q),
    notEmail: canonicalKey(q),
    ...(status === undefined ? {} : { status }),
    ...(roleId === undefined ? {} : { roleId }),
  };
  const walk = (after: Walk["after"], limit: number) =>
    deps.users.walkWords({ ...filters, limit, ...(after === undefined ? {} : { after }) });
  return filters.terms.length === 0 ? [] : [{ filtered: true, walk }];
}

/**
 * People in the order of an index; see `nextPage` for pages that are short.
 * @throws AppError invalid_cursor, or invalid_input for a role that is not there
 */
export async function listUsers(deps: AuthDeps, query: UserListQuery): Promise<Page<ManagedUserResponse>> {
  const { q = null, status = null, role = null, sort, limit } = query;
  const filter = { list: "users", q, status, role, sort: [sort.name, sort.descending] };
  const from = query.cursor === undefined ? undefined : deps.cursors.decode(query.cursor, filter);
  const roleId = role === null ? undefined : (await deps.roles.byNames([role]))[0]?.id;
  if (role !== null && roleId === undefined) {
    throw invalidInput("filter[role]", "not_found", "is not the name of a role");
  }
  const walks = walksOf(query, roleId).map((walk) => ({
    filtered: walk.byRole ? walk.status !== undefined : walk.roleId !== undefined,
    walk: (after: Walk["after"], most: number) =>
      deps.users.walk({ ...walk, limit: most, ...(after === undefined ? {} : { after }) }),
  }));
  const searches = query.q === undefined ? [] : searchOf(deps, query.q, query.status, roleId);
  const { rows, next } = await nextPage([...walks, ...searches], { limit, from });
  const people = new Map((await deps.users.byIds(rows.map(({ id }) => id))).map((row) => [row.id, row]));
  return {
    // Whoever was removed in between is left out.
    data: rows.flatMap(({ id }) => {
      const row = people.get(id);
      return row ? [toManagedUser(row)] : [];
    }),
    page: pageEnd(deps, next, filter),
  };
}
