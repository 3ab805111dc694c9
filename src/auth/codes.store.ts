import type { MySql, MySqlTx } from "../db/prisma";

/** What a code may be used for. */
export type CodePurpose = "register" | "reset_password" | "change_email" | "sign_in";

/** Codes and links that prove something once, in MySQL. */
export const createCodeStore = (mysql: MySql) => ({
  create: (
    code: {
      id: string;
      userId: string | null;
      purpose: CodePurpose;
      pendingName?: string;
      pendingHashedPassword?: string;
      email?: string;
      requestedIp?: string;
      requestedAt: Date;
      expiresAt: Date;
    },
    tx?: MySqlTx,
  ) => mysql.on(tx).verificationCode.create({ data: { ...code, createdAt: code.requestedAt } }),

  find: (id: string, tx?: MySqlTx) =>
    mysql.on(tx).verificationCode.findUnique({ where: { id }, include: { user: true } }),

  /** Stores the hash of the code that is about to be mailed. @returns false when the row is used or gone */
  async setHash(id: string, codeHash: Uint8Array<ArrayBuffer>, expiresAt: Date): Promise<boolean> {
    const { count } = await mysql.on().verificationCode.updateMany({
      where: { id, consumedAt: null },
      data: { codeHash, expiresAt },
    });
    return count === 1;
  },

  /**
   * Notes that another code was asked for, and from where, if the last time was before `notSince`. The code that was
   * sent before keeps its own end.
   */
  async renew(id: string, asked: { now: Date; ip: string; notSince: Date }, tx?: MySqlTx): Promise<boolean> {
    const { count } = await mysql.on(tx).verificationCode.updateMany({
      where: { id, consumedAt: null, requestedAt: { lte: asked.notSince } },
      data: { requestedAt: asked.now, requestedIp: asked.ip },
    });
    return count === 1;
  },

  /** Counts a try before it is judged, so that parallel tries cannot exceed the limit. */
  async countTry(id: string, maxFailures: number): Promise<boolean> {
    const { count } = await mysql.on().verificationCode.updateMany({
      where: { id, consumedAt: null, failures: { lt: maxFailures } },
      data: { failures: { increment: 1 } },
    });
    return count === 1;
  },

  /** Uses a code up. @returns false when someone was faster */
  async use(id: string, now: Date, tx?: MySqlTx): Promise<boolean> {
    const { count } = await mysql.on(tx).verificationCode.updateMany({
      where: { id, consumedAt: null },
      data: { consumedAt: now, pendingHashedPassword: null },
    });
    return count === 1;
  },

  /** Ends every open attempt of a person for a purpose. */
  async endAll(userId: string, purpose: CodePurpose, now: Date, tx?: MySqlTx): Promise<void> {
    await mysql.on(tx).verificationCode.updateMany({
      where: { userId, purpose, consumedAt: null },
      data: { consumedAt: now, pendingHashedPassword: null },
    });
  },

  /** Removes a person's codes that were made before a time. */
  async deleteOlder(userId: string, before: Date): Promise<void> {
    await mysql.on().verificationCode.deleteMany({ where: { userId, createdAt: { lt: before } } });
  },

  /** Removes at most `limit` codes, used or not, that were good until before a time. @returns how many */
  prune: (before: Date, limit: number): Promise<number> => mysql.on().$executeRaw`
    DELETE FROM verification_codes WHERE expires_at < ${before} ORDER BY expires_at LIMIT ${limit}`,
});

export type CodeStore = ReturnType<typeof createCodeStore>;
