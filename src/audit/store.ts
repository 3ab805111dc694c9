import type { MySql, MySqlTx } from "../db/prisma";
import type { AuditEntry } from "./entry";

/** Rows that one statement of `anonymise` changes at most. */
const BATCH = 1000;

/** The audit log in MySQL: entries are added and read, never changed or removed, but for `anonymise`. */
export const createAuditStore = (mysql: MySql) => ({
  /** Adds an entry, in the transaction of the change that it tells of. One statement. */
  async record({ actor, ...entry }: AuditEntry, tx?: MySqlTx): Promise<void> {
    await mysql.on(tx).auditEntry.createMany({
      data: [
        {
          ...entry,
          userAgent: entry.userAgent?.slice(0, 500) ?? null,
          actorKind: actor.kind,
          actorId: actor.id,
        },
      ],
    });
  },

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
