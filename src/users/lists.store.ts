import type { MySql } from "../db/prisma";
import { Prisma, type User } from "../generated/prisma/client";
import type { Seen } from "../lib/paging";

/** The key that a walk is ordered by; ids are of the time of registration. */
export type WalkKey = "id" | "name" | "email";

export interface Walk {
  key: WalkKey;
  descending: boolean;
  /** Only people whose address begins so; with the key `email`. */
  prefix?: string;
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

/** The texts that begin so, in the order of code points: a `LIKE` ends before signs outside the first 65,536. */
const begins = (column: Prisma.Sql, term: string) =>
  Prisma.sql`${column} >= ${term} AND ${column} < ${`${term}\u{10ffff}`}`;

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
    if (walk.prefix !== undefined)
      conditions.push(Prisma.sql`${column} LIKE ${beginning(walk.prefix)} ESCAPE '!'`);
    if (after && key === "id") conditions.push(Prisma.sql`${column} ${beyond} ${after.id}`);
    if (after && key !== "id") {
      conditions.push(
        Prisma.sql`(${column} ${beyond} ${after.key} OR (${column} = ${after.key} AND ${id} ${beyond} ${after.id}))`,
      );
    }
    const hits = [Prisma.sql`TRUE`];
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

  /**
   * Looks at people who have a word that begins as the first term, in the order of these words. One who has more of
   * them is a hit at the first; what the other terms, the filters and `notEmail` refuse is no hit.
   */
  async walkWords(walk: {
    terms: string[];
    notEmail: string;
    status?: string;
    roleId?: string;
    after?: { key: string; id: string };
    limit: number;
  }): Promise<Seen[]> {
    const { terms, notEmail, status, roleId, after, limit } = walk;
    const [term = "", ...others] = terms;
    const word = Prisma.sql`w.word`;
    const conditions = [begins(word, term)];
    if (after)
      conditions.push(
        Prisma.sql`(w.word, w.user_id) > (${after.key}, ${after.id}) AND w.word >= ${after.key}`,
      );
    const hits = [
      Prisma.sql`NOT EXISTS (SELECT 1 FROM user_words f WHERE f.user_id = w.user_id AND f.word >= ${term} AND f.word < w.word)`,
      Prisma.sql`u.email_canonical NOT LIKE ${beginning(notEmail)} ESCAPE '!'`,
      ...others.map(
        (other) =>
          Prisma.sql`EXISTS (SELECT 1 FROM user_words o WHERE o.user_id = w.user_id AND ${begins(Prisma.sql`o.word`, other)})`,
      ),
    ];
    if (status !== undefined) hits.push(Prisma.sql`u.status = ${status}`);
    if (roleId !== undefined) {
      hits.push(
        Prisma.sql`EXISTS (SELECT 1 FROM user_roles ur WHERE ur.user_id = u.id AND ur.role_id = ${roleId})`,
      );
    }
    const rows = await mysql.on().$queryRaw<{ id: string; sortKey: string; hit: number | bigint }[]>`
      SELECT w.user_id AS id, w.word AS sortKey, (${Prisma.join(hits, " AND ")}) AS hit
      FROM user_words w FORCE INDEX (PRIMARY) STRAIGHT_JOIN users u ON u.id = w.user_id
      WHERE ${Prisma.join(conditions, " AND ")} ORDER BY w.word, w.user_id LIMIT ${limit}`;
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
