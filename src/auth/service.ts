import { ANONYMOUS, newAuditEntry, person } from "../audit/entry";
import type { Deps } from "../deps";
import type { Actor } from "../lib/actor";
import { after } from "../lib/clock";
import { AppError } from "../lib/errors";
import { canonicalKey } from "../lib/text";
import { toUserResponse, type UserResponse } from "../users/mapper";
import type { UserRow } from "../users/store";
import { looksLikeKey } from "./api-keys/form";
import { knownDevice, stillKnown } from "./devices/known";
import { newNotice } from "./jobs";
import { recordLock } from "./lockout";
import { CHALLENGE_TTL, DEVICE_TTL, REFRESH_GRACE, sessionEnd, sessionLimits } from "./rules";
import { confirmedFactors, type SecondFactor } from "./second-factor";
import type { SignInMethod } from "./sessions.store";
import { ACCESS_TTL, accessTokenId, type ChallengeClaims } from "./tokens";

/** How many earlier sign-ins decide whether one is unusual. */
const RECENT = 50;

/** Where a request came from, for the list of sessions. */
export interface Origin {
  ip: string;
  userAgent: string;
  /** What earlier sign-ins on this device were given: a browser keeps one for each person. */
  deviceTokens?: string[];
}

export interface SignedIn {
  accessToken: string;
  tokenType: "Bearer";
  expiresIn: number;
  refreshToken: string;
  /** When the refresh token ends unless it is used. */
  refreshExpiresAt: string;
  /** Sent with later sign-ins, it makes this device a known one; only with a new session. */
  deviceToken?: string;
  /** Only where a role demands a second factor that this sign-in did not show: nothing but enrolment is open. */
  secondFactorRequired?: true;
  user: UserResponse;
}

/** The password was right and a second factor is due: POST /auth/mfa/challenge with it. */
export interface Challenge {
  mfaRequired: true;
  challenge: string;
  methods: SecondFactor[];
  /** Seconds. */
  expiresIn: number;
}

export type LoginOutcome =
  | { signedIn: SignedIn; challenge?: undefined }
  | { challenge: Challenge; signedIn?: undefined };

/** The one answer to every wrong sign-in. */
export const invalidCredentials = (): AppError =>
  new AppError("invalid_credentials", "The email or the password is not right.");

/** Why a sign-in by password was refused, for the audit log. */
function refusalOf(user: UserRow | null): string {
  if (user === null || user.deletedAt !== null) return "no_account";
  if (user.bannedAt !== null) return "banned";
  return user.emailVerifiedAt === null ? "not_verified" : "wrong_password";
}

/**
 * Checks a password and signs the person in, or gives a challenge when they have a second factor.
 * @throws AppError invalid_credentials for every reason alike
 */
export async function login(
  deps: Deps,
  { email, password }: { email: string; password: string },
  origin: Origin,
): Promise<LoginOutcome> {
  const account = canonicalKey(email);
  const user = await deps.users.findByEmail(account);
  const usable =
    user !== null && user.emailVerifiedAt !== null && user.bannedAt === null && user.deletedAt === null;
  const deviceId = await knownDevice(deps, user?.id, origin);
  const right = await deps.throttle.guess(
    "password",
    { account, ip: origin.ip, deviceId },
    async () => (await deps.passwords.verify(usable ? user.hashedPassword : null, password)) || null,
    recordLock(deps, "password", account, origin),
  );
  if (!right || !usable || user.hashedPassword === null) {
    // Written for every address alike. Neither what was typed as the password nor as the address is kept:
    // people type the one where the other belongs.
    await deps.audit.record(
      newAuditEntry(deps, "sign_in.failed", {
        actor: ANONYMOUS,
        subjectUserId: user?.id ?? null,
        origin,
        detail: { method: "password", reason: refusalOf(user) },
      }),
    );
    throw invalidCredentials();
  }
  if (deps.passwords.needsRehash(user.hashedPassword)) {
    await deps.users.rehash(user.id, user.hashedPassword, await deps.passwords.hash(password));
  }
  const proven = { userId: user.id, epoch: user.authEpoch, deviceId };
  const now = deps.clock.now();
  const methods = await confirmedFactors(deps, user.id);
  if (methods.length > 0) {
    const id = deps.random.id();
    const expiresAt = after(now, CHALLENGE_TTL);
    await deps.codes.create({ id, userId: user.id, purpose: "sign_in", requestedAt: now, expiresAt });
    return {
      challenge: {
        mfaRequired: true,
        challenge: deps.tokens.challenge({ id, ...proven }),
        methods,
        expiresIn: CHALLENGE_TTL / 1000,
      },
    };
  }
  return { signedIn: await completeSignIn(deps, proven, "password", origin) };
}

export const challengeOver = (): AppError =>
  new AppError("unauthenticated", "The challenge is not valid. Sign in again.");

/**
 * Reads the token of a challenge.
 * @throws AppError unauthenticated when it is not one of ours or no longer good
 */
export function readChallenge(deps: Deps, token: string): ChallengeClaims {
  const claims = deps.tokens.readChallenge(token);
  if (!claims) throw challengeOver();
  return claims;
}

/** Who proved themselves: `id` is that of the challenge, when there was one. */
export type Proven = Omit<ChallengeClaims, "id"> & { id?: string };

/**
 * Opens the session of someone who proved who they are: by password, a second factor after `readChallenge`,
 * or a passkey (then `epoch` is `users.authEpoch` as read before the proof was checked).
 * @throws AppError unauthenticated when the account was banned, deleted or had its sessions ended since
 */
export async function completeSignIn(
  deps: Deps,
  { id: challengeId, userId, epoch, deviceId: claimed }: Proven,
  method: SignInMethod,
  origin: Origin,
): Promise<SignedIn> {
  const now = deps.clock.now();
  const [sessionId, jobId] = [deps.random.id(), deps.random.id()];
  const known = await stillKnown(deps, claimed);
  const deviceId = known ?? deps.random.id();
  const user = await deps.users.findById(userId);
  const permissions = await deps.roles.permissionsOf(userId);
  const limits = sessionLimits(permissions);
  const absoluteExpiresAt = after(now, limits.absolute);
  const idleExpiresAt = after(now, limits.idle);
  const session = {
    id: sessionId,
    userId,
    epoch,
    method,
    deviceId,
    ip: origin.ip,
    userAgent: origin.userAgent,
    now,
    idleExpiresAt,
    absoluteExpiresAt,
  };
  const device = {
    id: deviceId,
    userId,
    ip: origin.ip,
    userAgent: origin.userAgent,
    now,
    expiresAt: after(now, DEVICE_TTL),
  };
  const earlier = known === null ? await deps.sessions.recent(userId, RECENT) : [];
  const alike = ({ userAgent, ip }: Origin) => userAgent === origin.userAgent && ip === origin.ip;
  const unusual = earlier.length > 0 && !earlier.some(alike);
  const entry = newAuditEntry(deps, "sign_in.succeeded", {
    actor: person(userId),
    origin,
    detail: { method, sessionId, knownDevice: known !== null },
  });
  const opened = await deps.mysql.transaction(async (tx) => {
    if (!(await deps.sessions.create(session, tx))) return false;
    await deps.devices.use(device, tx);
    if (challengeId !== undefined && !(await deps.codes.use(challengeId, now, tx))) {
      throw challengeOver();
    }
    if (unusual) await deps.jobs.mysql.enqueue(newNotice("new_device", jobId, userId, origin, now), tx);
    await deps.audit.record(entry, tx);
    return true;
  });
  if (!opened || !user) throw new AppError("unauthenticated", "The account has changed. Sign in again.");
  if (unusual) deps.jobs.wake();
  return {
    ...(await tokensOf(deps, user, sessionId, 0, idleExpiresAt)),
    deviceToken: deps.tokens.device(userId, deviceId),
  };
}

async function tokensOf(
  deps: Deps,
  user: Parameters<typeof toUserResponse>[0],
  sessionId: string,
  counter: number,
  refreshExpiresAt: Date,
): Promise<SignedIn> {
  const { token } = await deps.tokens.access(user.id, sessionId, accessTokenId(deps.random.id(), counter));
  const { names, demandsFactor } = await deps.roles.rolesOf(user.id);
  const owing = demandsFactor && (await deps.sessions.findLive(sessionId, user.id))?.owesFactor;
  return {
    accessToken: token,
    tokenType: "Bearer",
    expiresIn: ACCESS_TTL / 1000,
    refreshToken: deps.tokens.refresh(sessionId, counter),
    refreshExpiresAt: refreshExpiresAt.toISOString(),
    ...(owing ? { secondFactorRequired: true } : {}),
    user: toUserResponse(user, names),
  };
}

/**
 * Exchanges a refresh token for its successor. The immediate parent gives the same successor for ten seconds,
 * and after that for as long as nothing shows that the successor arrived: neither it nor an access token that
 * came with it was used. So a lost answer or twenty tabs neither sign anyone out nor fork the family. Any other
 * ends the session, and its owner is told by mail.
 * @throws AppError unauthenticated for every reason alike
 */
export async function refresh(deps: Deps, refreshToken: string, origin: Origin): Promise<SignedIn> {
  const refuse = () => new AppError("unauthenticated", "The refresh token is not valid. Sign in again.");
  const token = deps.tokens.readRefresh(refreshToken);
  if (!token) throw refuse();
  for (;;) {
    const now = deps.clock.now();
    const session = await deps.sessions.find(token.sessionId);
    if (
      !session ||
      session.endedAt !== null ||
      session.user.bannedAt !== null ||
      session.user.deletedAt !== null
    ) {
      throw refuse();
    }
    const permissions = await deps.roles.permissionsOf(session.userId);
    if (sessionEnd(session, permissions) <= now) {
      await deps.sessions.end(session.id, { reason: "expired", now });
      throw refuse();
    }
    if (token.counter === session.refreshCounter) {
      const idle = after(now, sessionLimits(permissions).idle).getTime();
      const idleExpiresAt = new Date(Math.min(idle, session.absoluteExpiresAt.getTime()));
      // When another request was faster, the next round finds this token to be the parent.
      if (!(await deps.sessions.rotate(session.id, token.counter, now, idleExpiresAt))) continue;
      return tokensOf(deps, session.user, session.id, token.counter + 1, idleExpiresAt);
    }
    const inGrace = now.getTime() - session.rotatedAt.getTime() <= REFRESH_GRACE;
    const lost = session.seenCounter < session.refreshCounter;
    if (token.counter === session.refreshCounter - 1 && (inGrace || lost)) {
      return tokensOf(deps, session.user, session.id, session.refreshCounter, session.idleExpiresAt);
    }
    const detail = `its refresh token was used twice, from ${origin.ip}`;
    const entry = newAuditEntry(deps, "session.token_reused", {
      actor: ANONYMOUS,
      subjectUserId: session.userId,
      origin,
      detail: { sessionId: session.id },
    });
    const notice = newNotice("token_reused", deps.random.id(), session.userId, origin, now);
    await deps.mysql.transaction(async (tx) => {
      const ended = await deps.sessions.end(session.id, { reason: "refresh_reuse", detail, now }, tx);
      if (!ended) return;
      await deps.audit.record(entry, tx);
      await deps.jobs.mysql.enqueue(notice, tx);
    });
    deps.jobs.wake();
    throw refuse();
  }
}

/** What a caller sends to sign out. Each may be missing, dead or no token at all. */
export interface SignOutTokens {
  accessToken: string | undefined;
  refreshTokens: (string | null | undefined)[];
}

/**
 * Ends every session that a token of ours names, be the token still good or not: a rotated-away refresh token
 * and an access token whose time is over name theirs too. What names none is no error, so that signing out
 * always succeeds.
 * @throws AppError forbidden for an API key
 */
export async function logout(
  deps: Deps,
  { accessToken, refreshTokens }: SignOutTokens,
  origin: Origin,
): Promise<void> {
  if (accessToken !== undefined && looksLikeKey(accessToken)) {
    throw new AppError("forbidden", "An API key has no session to sign out of.");
  }
  const access = accessToken === undefined ? null : await deps.tokens.readAccess(accessToken);
  const named = new Set(
    refreshTokens.flatMap((token) => deps.tokens.readRefresh(token ?? "")?.sessionId ?? []),
  );
  if (access) named.add(access.sid);
  for (const sessionId of named) {
    const session = await deps.sessions.find(sessionId);
    if (session?.endedAt !== null) continue;
    await endOwnSession(deps, { userId: session.userId, sessionId }, sessionId, origin);
  }
}

/** Ends one of the caller's sessions, this one or another. */
export async function endOwnSession(
  deps: Deps,
  actor: Pick<Actor, "userId" | "sessionId">,
  sessionId: string,
  origin: Origin,
): Promise<void> {
  const now = deps.clock.now();
  const current = sessionId === actor.sessionId;
  const entry = newAuditEntry(deps, current ? "session.signed_out" : "session.ended", {
    actor: person(actor.userId),
    origin,
    detail: { sessionId },
  });
  await deps.mysql.transaction(async (tx) => {
    const reason = current ? "signed_out" : "ended_by_user";
    if (await deps.sessions.end(sessionId, { reason, now }, tx)) await deps.audit.record(entry, tx);
  });
}
