import { fewLengths } from "../db/few-lengths";
import type { MySql, MySqlTx } from "../db/prisma";
import { type AuditEntry as AuditRow, Prisma } from "../generated/prisma/client";
import type { Seen } from "../lib/paging";
import type { AuditEntry } from "./entry";

export type { AuditRow };
/** An entry that a walk came to; its key is the time, in ISO 8601. */
export type SeenEntry = Seen;

/** What of the log is walked over. */
export interface AuditFilter {
  action?: string;
  actorId?: string;
  subjectUserId?: string;
  from?: Date;
  before?: Date;
}

/** Whichever comes first of these in a filter is served by its index; the others are looked at in each entry. */
const INDEXES = [
  ["subjectUserId", "subject_user_id", "audit_entries_subject_user_id_at_id_idx"],
  ["actorId", "actor_id", "audit_entries_actor_id_at_id_idx"],
  ["action", "action", "audit_entries_action_at_id_idx"],
] as const;

/** Rows that one statement of `anonymise` changes at most. */
const BATCH = 1000;

/** Adds entries unless they are there. Written out: Prisma compiles a `createMany` anew each time. */
async function record(mysql: MySql, entries: AuditEntry[], tx?: MySqlTx): Promise<void> {
  const rows = fewLengths(entries).map(
    ({
      actor,
      ...entry
    }) => Prisma.sql`(${entry.id}, ${entry.at}, ${entry.action}, ${actor.kind}, ${actor.id},
      ${entry.subjectUserId}, ${entry.ip}, ${entry.userAgent?.slice(0, 500) ?? null},
      ${JSON.stringify(entry.detail)})`,
  );
  await mysql.on(tx).$executeRaw`
    INSERT INTO audit_entries
      (id, at, action, actor_kind, actor_id, subject_user_id, ip, user_agent, detail)
    VALUES ${Prisma.join(rows)}
    ON DUPLICATE KEY UPDATE id = audit_entries.id`;
}

/** The audit log in MySQL: entries are added and read, never changed or removed, but for `anonymise`. */
export const createAuditStore = (mysql: MySql) => ({
  /** Adds an entry, in the transaction of the change that it tells of; one that is there stays as it is. */
  record: (entry: AuditEntry, tx?: MySqlTx): Promise<void> => record(mysql, [entry], tx),

  /** Adds at least one entry. */
  recordAll: (entries: AuditEntry[]): Promise<void> => record(mysql, entries),

  /** Looks at entries behind one, the newest first, in the order of an index that it is forced to. */
  async walk(
    filter: AuditFilter,
    after: { key: string; id: string } | undefined,
    limit: number,
  ): Promise<SeenEntry[]> {
    const given = INDEXES.filter(([name]) => filter[name] !== undefined);
    const [served, ...others] = given.map(
      ([name, column]) => Prisma.sql`${Prisma.raw(column)} = ${filter[name]}`,
    );
    const index = Prisma.raw(given[0]?.[2] ?? "audit_entries_at_id_idx");
    const conditions = [served ?? Prisma.sql`TRUE`];
    if (filter.from) conditions.push(Prisma.sql`at >= ${filter.from}`);
    if (filter.before) conditions.push(Prisma.sql`at < ${filter.before}`);
    if (after) {
      const at = new Date(after.key);
      conditions.push(Prisma.sql`(at < ${at} OR (at = ${at} AND id < ${after.id}))`);
    }
    const hit = others.length > 0 ? Prisma.join(others, " AND ") : Prisma.sql`TRUE`;
    const rows = await mysql.on().$queryRaw<{ id: string; at: Date; hit: number | bigint }[]>`
      SELECT id, at, (${hit}) AS hit FROM audit_entries FORCE INDEX (${index})
      WHERE ${Prisma.join(conditions, " AND ")} ORDER BY at DESC, id DESC LIMIT ${limit}`;
    return rows.map((row) => ({ id: row.id, key: row.at.toISOString(), hit: Number(row.hit) === 1 }));
  },

  /**
   * Entries of the audit log about a person, or else by them about others, the oldest first.
   * @param behind the last one that was read
   */
  ofPerson: (
    userId: string,
    side: "about" | "by",
    behind: { at: Date; id: string } | null,
    limit: number,
  ): Promise<AuditRow[]> =>
    mysql.on().auditEntry.findMany({
      where: {
        ...(side === "about"
          ? { subjectUserId: userId }
          : { actorId: userId, NOT: { subjectUserId: { equals: userId } } }),
        ...(behind === null
          ? {}
          : {
              at: { gte: behind.at },
              AND: [{ OR: [{ at: { gt: behind.at } }, { at: behind.at, id: { gt: behind.id } }] }],
            }),
      },
      orderBy: [{ at: "asc" }, { id: "asc" }],
      take: limit,
    }),

  /** When a person gave or took back consent to marketing, the oldest first, at most `limit`. */
  async consentOf(userId: string, limit: number): Promise<{ at: Date; email: boolean | null }[]> {
    const rows = await mysql.on().$queryRaw<{ at: Date; email: string }[]>`
      SELECT at, JSON_EXTRACT(detail, '$.marketing') AS email
      FROM audit_entries FORCE INDEX (audit_entries_subject_user_id_at_id_idx)
      WHERE subject_user_id = ${userId} AND action = 'preferences.changed'
        AND JSON_EXTRACT(detail, '$.marketing') IS NOT NULL
      ORDER BY at, id LIMIT ${limit}`;
    return rows.map(({ at, email }) => {
      const value = String(email);
      return { at, email: value === "null" ? null : value === "true" || value === "1" };
    });
  },

  /** These entries, in no order. */
  byIds: (ids: string[]): Promise<AuditRow[]> =>
    ids.length === 0 ? Promise.resolve([]) : mysql.on().auditEntry.findMany({ where: { id: { in: ids } } }),

  /**
   * Takes out of the log what tells of a person who is deleted: where they acted from, and every detail of
   * entries about them. Who did what, when and to whom stays, by ids that name nobody any more. Safe to repeat.
   * @returns how many entries changed; call again until it is 0
   */
  async anonymise(userId: string, tx?: MySqlTx): Promise<number> {
    const own = await mysql.on(tx).$executeRaw`
      UPDATE audit_entries SET ip = NULL, user_agent = NULL, detail = '{}'
      WHERE actor_id = ${userId}
        AND (ip IS NOT NULL OR user_agent IS NOT NULL OR JSON_LENGTH(detail) > 0)
      LIMIT ${BATCH}`;
    // A stranger's try at the account came from the person or from nobody known; an administrator's address
    // is the administrator's.
    const onThem = await mysql.on(tx).$executeRaw`
      UPDATE audit_entries SET
        ip = IF(actor_kind = 'anonymous', NULL, ip),
        user_agent = IF(actor_kind = 'anonymous', NULL, user_agent),
        detail = '{}'
      WHERE subject_user_id = ${userId}
        AND (JSON_LENGTH(detail) > 0
          OR (actor_kind = 'anonymous' AND (ip IS NOT NULL OR user_agent IS NOT NULL)))
      LIMIT ${BATCH}`;
    return own + onThem;
  },
});

export type AuditStore = ReturnType<typeof createAuditStore>;
