import { fewLengths } from "../db/few-lengths";
import { dateIn, parsed } from "../db/json-row";
import type { MySql, MySqlTx } from "../db/prisma";
import { Prisma, type Session } from "../generated/prisma/client";
import type { Owner } from "../lib/actor";
import type { Permission } from "../lib/permissions";
import { together } from "../lib/together";
import { OWNER, type OwnerJson, ownerOf } from "../users";

export type SessionRow = Session;

/** Why a session ended; the person sees it. */
export type SessionEndReason =
  | "signed_out"
  | "ended_by_user"
  | "ended_by_administrator"
  | "refresh_reuse"
  | "expired"
  | "password_changed"
  | "password_reset"
  | "banned"
  | "deleted";

/** How a person proved themselves. */
export type SignInMethod = "password" | "totp" | "backup_code" | "passkey";

/** A session that has not ended, with what its owner may do. */
export interface LiveSession {
  userId: string;
  owner: Owner;
  permissions: Permission[];
  createdAt: Date;
  rotatedAt: Date;
  lastUsedAt: Date;
  absoluteExpiresAt: Date;
  idleExpiresAt: Date;
  seenCounter: number;
  /** A role demands a second factor that this sign-in did not show, or that the person no longer has. */
  lacksFactor: boolean;
}

/** A live session as MySQL's JSON has it. */
type LiveJson = Record<
  "id" | "userId" | "createdAt" | "rotatedAt" | "lastUsedAt" | "absoluteExpiresAt" | "idleExpiresAt",
  string
> & { seenCounter: number; lacksFactor: number; owner: unknown };

/** Sessions that are read together. */
const MOST_TOGETHER = 32;

/** A session is looked up with every request of somebody signed in: those of one moment in one query. */
const createLiveSessions = (mysql: MySql) => {
  const findEach = together<string, LiveSession | undefined>(async (ids) => {
    const wanted = [...new Set(ids)];
    const rows = await mysql.on().$queryRaw<{ json: unknown }[]>`
      SELECT JSON_OBJECT(
        'id', s.id, 'userId', s.user_id,
        'createdAt', s.created_at, 'rotatedAt', s.rotated_at, 'lastUsedAt', s.last_used_at,
        'absoluteExpiresAt', s.absolute_expires_at, 'idleExpiresAt', s.idle_expires_at,
        'seenCounter', s.seen_counter, 'owner', ${OWNER},
        'lacksFactor', EXISTS (SELECT 1 FROM user_roles ur JOIN roles r ON r.id = ur.role_id
          WHERE ur.user_id = u.id AND r.requires_second_factor) AND (s.method = 'password' OR NOT (
            EXISTS (SELECT 1 FROM totp_factors WHERE user_id = u.id AND state = 'confirmed')
            OR EXISTS (SELECT 1 FROM passkeys WHERE user_id = u.id)))) AS json
      FROM sessions s JOIN users u ON u.id = s.user_id
      WHERE s.id IN (${Prisma.join(fewLengths(wanted))}) AND s.ended_at IS NULL
        AND u.banned_at IS NULL AND u.deleted_at IS NULL`;
    const byId = new Map(rows.map(({ json }) => liveSession(parsed(json) as LiveJson)));
    return ids.map((id) => byId.get(id));
  }, MOST_TOGETHER);
  return {
    /**
     * A session that has not ended, with its owner and what they may do, in one round trip; null when it ended, is
     * somebody else's, or its owner is banned or deleted.
     */
    async findLive(sessionId: string, userId: string): Promise<LiveSession | null> {
      const session = await findEach(sessionId);
      return session?.userId === userId ? session : null;
    },
  };
};

const liveSession = (row: LiveJson): [id: string, session: LiveSession] => [
  row.id,
  {
    ...ownerOf(parsed(row.owner) as OwnerJson),
    userId: row.userId,
    createdAt: dateIn(row.createdAt),
    rotatedAt: dateIn(row.rotatedAt),
    lastUsedAt: dateIn(row.lastUsedAt),
    absoluteExpiresAt: dateIn(row.absoluteExpiresAt),
    idleExpiresAt: dateIn(row.idleExpiresAt),
    seenCounter: row.seenCounter,
    lacksFactor: Number(row.lacksFactor) === 1,
  },
];

/** Sessions in MySQL. */
export const createSessionStore = (mysql: MySql) => ({
  ...createLiveSessions(mysql),

  /**
   * Opens a session, unless the account was banned, deleted, or had every session ended since its `epoch` was
   * read. The person's row is locked for it, so a ban or a reset either sees the session or prevents it.
   */
  async create(
    session: {
      id: string;
      userId: string;
      epoch: number;
      method: SignInMethod;
      deviceId: string;
      userAgent: string;
      ip: string;
      now: Date;
      idleExpiresAt: Date;
      absoluteExpiresAt: Date;
    },
    tx?: MySqlTx,
  ): Promise<boolean> {
    const { id, userId, epoch, method, deviceId, userAgent, ip, now } = session;
    const count = await mysql.on(tx).$executeRaw`
      INSERT INTO sessions (id, user_id, method, device_id, user_agent, ip, created_at, rotated_at,
        last_used_at, idle_expires_at, absolute_expires_at)
      SELECT ${id}, id, ${method}, ${deviceId}, ${userAgent}, ${ip}, ${now}, ${now}, ${now},
        ${session.idleExpiresAt}, ${session.absoluteExpiresAt}
      FROM users
      WHERE id = ${userId} AND auth_epoch = ${epoch} AND email_verified_at IS NOT NULL
        AND banned_at IS NULL AND deleted_at IS NULL
      LOCK IN SHARE MODE`;
    return count === 1;
  },

  find: (id: string, tx?: MySqlTx) =>
    mysql.on(tx).session.findUnique({ where: { id }, include: { user: true } }),

  /**
   * Whether a person has signed in before, and none of their newest sessions came from this place.
   * @param newest how many of them count
   */
  async isUnusual(
    userId: string,
    { userAgent, ip }: { userAgent: string; ip: string },
    newest: number,
  ): Promise<boolean> {
    const [row] = await mysql.on().$queryRaw<{ unusual: unknown }[]>`
      SELECT COUNT(*) > 0 AND COALESCE(SUM(user_agent = ${userAgent} AND ip = ${ip}), 0) = 0 AS unusual
      FROM (SELECT user_agent, ip FROM sessions WHERE user_id = ${userId}
        ORDER BY created_at DESC LIMIT ${newest}) newest`;
    return Number(row?.unusual) === 1;
  },

  /** A person's sessions, the newest first; ended ones only when they ended after `since`. */
  list: (
    userId: string,
    list: {
      state: "active" | "ended" | "all";
      now: Date;
      since: Date;
      limit: number;
      before?: { createdAt: Date; id: string };
    },
  ): Promise<SessionRow[]> => {
    const active = { endedAt: null, idleExpiresAt: { gt: list.now }, absoluteExpiresAt: { gt: list.now } };
    const ended = [
      { endedAt: { gt: list.since } },
      { endedAt: null, idleExpiresAt: { lte: list.now, gt: list.since } },
    ];
    const wanted = { active: [active], ended, all: [active, ...ended] }[list.state];
    const { before } = list;
    return mysql.on().session.findMany({
      where: {
        userId,
        AND: [
          { OR: wanted },
          before === undefined
            ? {}
            : {
                OR: [
                  { createdAt: { lt: before.createdAt } },
                  { createdAt: before.createdAt, id: { lt: before.id } },
                ],
              },
        ],
      },
      orderBy: [{ createdAt: "desc" }, { id: "desc" }],
      take: list.limit,
    });
  },

  /** Moves the refresh counter on. @returns false when another request was faster */
  async rotate(id: string, from: number, now: Date, idleExpiresAt: Date): Promise<boolean> {
    const { count } = await mysql.on().session.updateMany({
      where: { id, refreshCounter: from, endedAt: null },
      data: { refreshCounter: from + 1, rotatedAt: now, lastUsedAt: now, idleExpiresAt },
    });
    return count === 1;
  },

  /** Notes that a session's owner has shown more in it than at its beginning. */
  async setMethod(id: string, method: SignInMethod, tx: MySqlTx): Promise<void> {
    await mysql.on(tx).session.updateMany({ where: { id }, data: { method } });
  },

  /** Notes that an access token was used that was given out with this rotation. */
  async markRotationUsed(id: string, counter: number): Promise<void> {
    await mysql.on().session.updateMany({
      where: { id, seenCounter: { lt: counter } },
      data: { seenCounter: counter },
    });
  },

  /** Notes that a session is used, at most once a minute. */
  async touch(id: string, now: Date, notSince: Date): Promise<void> {
    await mysql.on().session.updateMany({
      where: { id, lastUsedAt: { lt: notSince } },
      data: { lastUsedAt: now },
    });
  },

  /** Ends a session if it has not ended. @returns whether it was open */
  async end(
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
   * Ends every open session of a person but one, and every sign-in that is half done.
   * @returns how many sessions were open
   */
  async endAll(
    userId: string,
    end: { reason: SessionEndReason; detail?: string; now: Date; except?: string },
    tx: MySqlTx,
  ): Promise<number> {
    await mysql.on(tx).$executeRaw`UPDATE users SET auth_epoch = auth_epoch + 1 WHERE id = ${userId}`;
    const { count } = await mysql.on(tx).session.updateMany({
      where: { userId, endedAt: null, ...(end.except === undefined ? {} : { id: { not: end.except } }) },
      data: { endedAt: end.now, endReason: end.reason, endDetail: end.detail ?? null },
    });
    return count;
  },

  /** Removes at most `limit` sessions that could not go on after a time. @returns how many */
  prune: (before: Date, limit: number): Promise<number> => mysql.on().$executeRaw`
    DELETE FROM sessions WHERE absolute_expires_at < ${before} ORDER BY absolute_expires_at LIMIT ${limit}`,
});

export type SessionStore = ReturnType<typeof createSessionStore>;
