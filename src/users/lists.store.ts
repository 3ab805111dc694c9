import type { MySql } from "../db/prisma";
import { Prisma, type User } from "../generated/prisma/client";
import type { Seen } from "../lib/paging";

/** The key that a walk is ordered by; ids are of the time of registration. */
export type WalkKey = "id" | "name" | "email";

export interface Walk {
  key: WalkKey;
  descending: boolean;
  /** Only people whose key begins so. */
  prefix?: string;
  /** Only names whose address does not begin so: those came before. */
  notEmail?: string;
  status?: string;
  roleId?: string;
  /** True to walk over the holders of the role, which is best when they are few. */
  byRole?: boolean;
  /** Continue behind this one. */
  after?: { key: string; id: string };
  /** How many the walk looks at. */
  limit: number;
}

/** Indexes by key, without and with a status before it. */
const INDEXES: Record<WalkKey, [string, string]> = {
  id: ["PRIMARY", "users_status_id_idx"],
  name: ["users_name_key_id_idx", "users_status_name_key_id_idx"],
  email: ["users_email_canonical_key", "users_status_email_canonical_idx"],
};
const COLUMNS: Record<WalkKey, string> = { id: "u.id", name: "u.name_key", email: "u.email_canonical" };

/** A pattern of LIKE for texts that begin so; `!` takes the meaning from its own signs. */
const beginning = (prefix: string) => `${prefix.replace(/[!%_]/g, "!$&")}%`;

/** Lists of people. Every one is read in the order of one index, which the statement names. */
export const createUserLists = (mysql: MySql) => ({
  /** Looks at people in the order of a key, `limit` of them at most. */
  async walk(walk: Walk): Promise<Seen[]> {
    const { key, descending, status, roleId, after, limit } = walk;
    const column = Prisma.raw(walk.byRole ? "ur.user_id" : COLUMNS[key]);
    const id = Prisma.raw(walk.byRole ? "ur.user_id" : "u.id");
    const beyond = Prisma.raw(descending ? "<" : ">");
    const order = Prisma.raw(descending ? "DESC" : "ASC");
    const conditions = [Prisma.sql`TRUE`];
    // In lower case as the generated column is; compared in the column's own collation, or no index serves it.
    const pattern =
      walk.prefix !== undefined && key === "name"
        ? Prisma.sql`LOWER(CONVERT(${beginning(walk.prefix)} USING utf8mb4) COLLATE utf8mb4_unicode_ci) COLLATE utf8mb4_bin`
        : Prisma.sql`${beginning(walk.prefix ?? "")}`;
    if (walk.prefix !== undefined) conditions.push(Prisma.sql`${column} LIKE ${pattern} ESCAPE '!'`);
    if (after && key === "id") conditions.push(Prisma.sql`${column} ${beyond} ${after.id}`);
    if (after && key !== "id") {
      conditions.push(
        Prisma.sql`(${column} ${beyond} ${after.key} OR (${column} = ${after.key} AND ${id} ${beyond} ${after.id}))`,
      );
    }
    const hits = [Prisma.sql`TRUE`];
    if (walk.notEmail !== undefined) {
      hits.push(Prisma.sql`u.email_canonical NOT LIKE ${beginning(walk.notEmail)} ESCAPE '!'`);
    }
    if (walk.byRole) {
      conditions.push(Prisma.sql`ur.role_id = ${roleId}`);
      if (status !== undefined) hits.push(Prisma.sql`u.status = ${status}`);
    } else {
      if (status !== undefined) conditions.push(Prisma.sql`u.status = ${status}`);
      if (roleId !== undefined) {
        hits.push(
          Prisma.sql`EXISTS (SELECT 1 FROM user_roles ur WHERE ur.user_id = u.id AND ur.role_id = ${roleId})`,
        );
      }
    }
    const from = walk.byRole
      ? Prisma.sql`user_roles ur FORCE INDEX (user_roles_role_id_idx) STRAIGHT_JOIN users u ON u.id = ur.user_id`
      : Prisma.sql`users u FORCE INDEX (${Prisma.raw(INDEXES[key][status === undefined ? 0 : 1])})`;
    const rows = await mysql.on().$queryRaw<{ id: string; sortKey: string; hit: number | bigint }[]>`
      SELECT ${id} AS id, ${column} AS sortKey, (${Prisma.join(hits, " AND ")}) AS hit
      FROM ${from} WHERE ${Prisma.join(conditions, " AND ")}
      ORDER BY ${column} ${order}, ${id} ${order} LIMIT ${limit}`;
    return rows.map(({ sortKey, hit, ...row }) => ({ ...row, key: sortKey, hit: Number(hit) === 1 }));
  },

  /** These people with the names of their roles, in no order. */
  async byIds(ids: string[]): Promise<(User & { roleNames: string[] })[]> {
    if (ids.length === 0) return [];
    const [users, roles] = await Promise.all([
      mysql.on().user.findMany({ where: { id: { in: ids } } }),
      mysql.on().$queryRaw<{ userId: string; name: string }[]>`
        SELECT ur.user_id AS userId, r.name AS name
        FROM user_roles ur JOIN roles r ON r.id = ur.role_id
        WHERE ur.user_id IN (${Prisma.join(ids)})`,
    ]);
    return users.map((user) => ({
      ...user,
      roleNames: roles.flatMap(({ userId, name }) => (userId === user.id ? [name] : [])).sort(),
    }));
  },
});
