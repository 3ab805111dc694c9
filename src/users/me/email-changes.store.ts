import type { MySql, MySqlTx } from "../../db/prisma";
import type { EmailChange } from "../../generated/prisma/client";

export type EmailChangeRow = EmailChange;

/** The two addresses that confirm a change: the present one and the one to come. */
export type Side = "old" | "new";

/** Why a change of address is no longer open. */
export type EmailChangeEnd = "completed" | "cancelled" | "replaced" | "taken";

/** Changes of address that wait for links to be followed, in MySQL. */
export const createEmailChangeStore = (mysql: MySql) => ({
  async create(
    change: Pick<
      EmailChange,
      | "id"
      | "userId"
      | "newEmail"
      | "newEmailCanonical"
      | "authEpoch"
      | "requestedAt"
      | "requestedIp"
      | "effectiveAt"
      | "expiresAt"
    >,
    tx: MySqlTx,
  ): Promise<void> {
    await mysql.on(tx).emailChange.create({ data: change });
  },

  find: (id: string, tx?: MySqlTx) =>
    mysql.on(tx).emailChange.findUnique({ where: { id }, include: { user: true } }),

  /** The change that a person has open: not ended, not too old, and asked for since their sessions were ended. */
  findOpen: (userId: string, authEpoch: number, now: Date): Promise<EmailChangeRow | null> =>
    mysql.on().emailChange.findFirst({
      where: { userId, endedAt: null, expiresAt: { gt: now }, authEpoch },
      orderBy: { requestedAt: "desc" },
    }),

  /** Every change of address that a person asked for, the oldest first. */
  ofUser: (userId: string, limit: number): Promise<EmailChangeRow[]> =>
    mysql.on().emailChange.findMany({ where: { userId }, orderBy: { requestedAt: "asc" }, take: limit }),

  /** Ends whatever change a person has open. @returns how many there were */
  async end(userId: string, reason: EmailChangeEnd, now: Date, tx: MySqlTx): Promise<number> {
    const { count } = await mysql.on(tx).emailChange.updateMany({
      where: { userId, endedAt: null },
      data: { endedAt: now, endReason: reason },
    });
    return count;
  },

  /** Stores the hash of the link that is about to be mailed to one side. @returns false when it is over */
  async setHash(id: string, side: Side, hash: Uint8Array<ArrayBuffer>): Promise<boolean> {
    const { count } = await mysql.on().emailChange.updateMany({
      where: { id, endedAt: null, ...(side === "old" ? { oldConfirmedAt: null } : { newConfirmedAt: null }) },
      data: side === "old" ? { oldHash: hash } : { newHash: hash },
    });
    return count === 1;
  },

  /** Notes that one side confirmed, and makes its link useless. @returns false when someone was faster */
  async confirm(id: string, side: Side, now: Date, tx: MySqlTx): Promise<boolean> {
    const { count } = await mysql.on(tx).emailChange.updateMany({
      where: { id, endedAt: null, ...(side === "old" ? { oldConfirmedAt: null } : { newConfirmedAt: null }) },
      data: side === "old" ? { oldConfirmedAt: now, oldHash: null } : { newConfirmedAt: now, newHash: null },
    });
    return count === 1;
  },
});

export type EmailChangeStore = ReturnType<typeof createEmailChangeStore>;
