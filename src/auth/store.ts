import type { MySql, MySqlTx } from "../db/prisma";
import type { Session, VerificationCode } from "../generated/prisma/client";
import { isPermission, type Permission } from "./permissions";

export type SessionRow = Session;
export type CodeRow = VerificationCode;

/** What a code may be used for. */
export type CodePurpose = "register" | "reset_password" | "change_email";

/** Why a session ended; the person sees it. */
export type SessionEndReason =
  | "signed_out"
  | "ended_by_user"
  | "refresh_reuse"
  | "expired"
  | "password_changed"
  | "banned"
  | "deleted";

/** A live session with what its owner may do. */
export interface LiveSession {
  userId: string;
  permissions: Permission[];
  lastUsedAt: Date;
}

/** Codes and sessions in MySQL. */
export const createAuthStore = (mysql: MySql) => ({
  createCode: (
    code: {
      id: string;
      userId: string;
      purpose: CodePurpose;
      pendingName?: string;
      pendingHashedPassword?: string;
      requestedAt: Date;
      expiresAt: Date;
    },
    tx?: MySqlTx,
  ) => mysql.on(tx).verificationCode.create({ data: { ...code, createdAt: code.requestedAt } }),

  findCode: (id: string, tx?: MySqlTx) =>
    mysql.on(tx).verificationCode.findUnique({ where: { id }, include: { user: true } }),

  /** Stores the hash of the code that is about to be mailed. @returns false when the row is used or gone */
  async setCodeHash(id: string, codeHash: Uint8Array<ArrayBuffer>, expiresAt: Date): Promise<boolean> {
    const { count } = await mysql.on().verificationCode.updateMany({
      where: { id, consumedAt: null },
      data: { codeHash, expiresAt },
    });
    return count === 1;
  },

  /** Notes that another code was asked for, if the last time was before `notSince`. */
  async touchCode(id: string, now: Date, notSince: Date, expiresAt: Date, tx?: MySqlTx): Promise<boolean> {
    const { count } = await mysql.on(tx).verificationCode.updateMany({
      where: { id, consumedAt: null, requestedAt: { lte: notSince } },
      data: { requestedAt: now, expiresAt },
    });
    return count === 1;
  },

  /** Counts a try before it is judged, so that parallel tries cannot exceed the limit. */
  async countTry(id: string, maxFailures: number): Promise<boolean> {
    const { count } = await mysql.on().verificationCode.updateMany({
      where: { id, failures: { lt: maxFailures } },
      data: { failures: { increment: 1 } },
    });
    return count === 1;
  },

  /** Uses a code up. @returns false when someone was faster */
  async consumeCode(id: string, now: Date, tx?: MySqlTx): Promise<boolean> {
    const { count } = await mysql.on(tx).verificationCode.updateMany({
      where: { id, consumedAt: null },
      data: { consumedAt: now, pendingHashedPassword: null },
    });
    return count === 1;
  },

  /** Ends every open attempt of a person for a purpose. */
  async killCodes(userId: string, purpose: CodePurpose, now: Date, tx?: MySqlTx): Promise<void> {
    await mysql.on(tx).verificationCode.updateMany({
      where: { userId, purpose, consumedAt: null },
      data: { consumedAt: now, pendingHashedPassword: null },
    });
  },

  createSession: (
    session: {
      id: string;
      userId: string;
      userAgent: string;
      ip: string;
      now: Date;
      idleExpiresAt: Date;
      absoluteExpiresAt: Date;
    },
    tx?: MySqlTx,
  ) => {
    const { now, ...columns } = session;
    return mysql
      .on(tx)
      .session.create({ data: { ...columns, createdAt: now, rotatedAt: now, lastUsedAt: now } });
  },

  findSession: (id: string, tx?: MySqlTx) =>
    mysql.on(tx).session.findUnique({ where: { id }, include: { user: true } }),

  /** Moves the refresh counter on. @returns false when another request was faster */
  async rotate(id: string, from: number, now: Date, idleExpiresAt: Date): Promise<boolean> {
    const { count } = await mysql.on().session.updateMany({
      where: { id, refreshCounter: from, endedAt: null },
      data: { refreshCounter: from + 1, rotatedAt: now, lastUsedAt: now, idleExpiresAt },
    });
    return count === 1;
  },

  /** Ends a session if it has not ended. @returns whether it was open */
  async endSession(
    id: string,
    end: { reason: SessionEndReason; detail?: string; now: Date },
    tx?: MySqlTx,
  ): Promise<boolean> {
    const { count } = await mysql.on(tx).session.updateMany({
      where: { id, endedAt: null },
      data: { endedAt: end.now, endReason: end.reason, endDetail: end.detail ?? null },
    });
    return count === 1;
  },

  /**
   * A session that is still good, with its owner's permissions, in one round trip; null when it ended, ran
   * out, or its owner is banned or deleted.
   */
  async findLiveSession(sessionId: string, userId: string, now: Date): Promise<LiveSession | null> {
    const rows = await mysql.on().$queryRaw<{ lastUsedAt: Date; permission: string | null }[]>`
      SELECT s.last_used_at AS lastUsedAt, rp.permission_name AS permission
      FROM sessions s
      JOIN users u ON u.id = s.user_id
      LEFT JOIN user_roles ur ON ur.user_id = u.id
      LEFT JOIN role_permissions rp ON rp.role_id = ur.role_id
      WHERE s.id = ${sessionId} AND s.user_id = ${userId} AND s.ended_at IS NULL
        AND s.absolute_expires_at > ${now} AND u.banned_at IS NULL AND u.deleted_at IS NULL`;
    const [first] = rows;
    if (!first) return null;
    const names = new Set(rows.flatMap(({ permission }) => (permission === null ? [] : [permission])));
    return { userId, lastUsedAt: first.lastUsedAt, permissions: [...names].filter(isPermission) };
  },

  /** Notes that a session is used, at most once a minute. */
  async touchSession(id: string, now: Date, notSince: Date): Promise<void> {
    await mysql.on().session.updateMany({
      where: { id, lastUsedAt: { lt: notSince } },
      data: { lastUsedAt: now },
    });
  },
});

export type AuthStore = ReturnType<typeof createAuthStore>;
