import { canonicalKey } from "../canonical";
import { after } from "../clock";
import type { Deps } from "../deps";
import { AppError } from "../errors";
import { toUserResponse, type UserResponse } from "../users/mapper";
import type { Actor } from "./actor";
import {
  ATTEMPT_TTL,
  CODE_TTL,
  MAX_CODE_FAILURES,
  REFRESH_GRACE,
  RESEND_AFTER,
  sessionLimits,
} from "./rules";
import { ACCESS_TTL } from "./tokens";

/** Where a request came from, for the list of sessions. */
export interface Origin {
  ip: string;
  userAgent: string;
}

export interface Registration {
  registrationId: string;
  resendAfter: number;
  expiresIn: number;
}

export interface SignedIn {
  accessToken: string;
  tokenType: "Bearer";
  expiresIn: number;
  refreshToken: string;
  user: UserResponse;
}

const registration = (registrationId: string): Registration => ({
  registrationId,
  resendAfter: RESEND_AFTER / 1000,
  expiresIn: CODE_TTL / 1000,
});

/**
 * Starts a registration and mails a code. The password waits with this attempt: only who enters the code
 * mailed for it makes it the account's. A known address gets the same answer after the same work, and its
 * owner a mail that says so.
 */
export async function register(
  deps: Deps,
  { email, password, name }: { email: string; password: string; name: string },
): Promise<Registration> {
  const now = deps.clock.now();
  const pendingHashedPassword = await deps.passwords.hash(password);
  const [userId, codeId, jobId] = [deps.random.id(), deps.random.id(), deps.random.id()];
  const user = await deps.users.findOrCreate({
    id: userId,
    email,
    emailCanonical: canonicalKey(email),
    name,
    now,
  });
  const known = user.emailVerifiedAt !== null;
  await deps.mysql.transaction(async (tx) => {
    await deps.auth.createCode(
      {
        id: codeId,
        userId: user.id,
        purpose: "register",
        pendingName: name,
        pendingHashedPassword,
        requestedAt: now,
        expiresAt: after(now, CODE_TTL),
      },
      tx,
    );
    await deps.jobs.mysql.enqueue(
      known
        ? { id: jobId, kind: "mail.account_exists", payload: { userId: user.id }, runAt: now }
        : { id: jobId, kind: "mail.verification_code", payload: { codeId }, runAt: now },
      tx,
    );
  });
  deps.jobs.wake();
  return registration(codeId);
}

const wrongCode = () =>
  new AppError(
    "invalid_code",
    "The code is wrong, used or no longer good. Ask for a new one or register again.",
  );

/**
 * Proves an address with the code mailed for a registration; the account then has that attempt's password,
 * and every other attempt for the address dies.
 * @throws AppError invalid_code for every reason alike
 */
export async function verifyRegistration(
  deps: Deps,
  { registrationId, email, otp }: { registrationId: string; email: string; otp: string },
): Promise<UserResponse> {
  const now = deps.clock.now();
  const row = await deps.auth.findCode(registrationId);
  if (
    row?.purpose !== "register" ||
    row.user.emailCanonical !== canonicalKey(email) ||
    row.consumedAt !== null ||
    row.expiresAt <= now ||
    row.user.emailVerifiedAt !== null ||
    row.pendingHashedPassword === null
  ) {
    throw wrongCode();
  }
  if (!(await deps.auth.countTry(row.id, MAX_CODE_FAILURES))) throw wrongCode();
  if (!deps.otp.matches(otp, row.id, row.codeHash)) throw wrongCode();

  const { pendingHashedPassword, pendingName } = row;
  const user = await deps.mysql.transaction(async (tx) => {
    if (!(await deps.auth.consumeCode(row.id, now, tx))) throw wrongCode();
    const change = { name: pendingName ?? row.user.name, email, hashedPassword: pendingHashedPassword, now };
    if (!(await deps.users.verify(row.userId, change, tx))) throw wrongCode();
    await deps.auth.killCodes(row.userId, "register", now, tx);
    await deps.users.grantRole(row.userId, "customer", now, tx);
    return deps.users.findById(row.userId, tx);
  });
  if (!user) throw wrongCode();
  return toUserResponse(user, ["customer"]);
}

/** Mails a new code for a registration, at most once a minute. The answer never says whether it did. */
export async function resendRegistrationCode(
  deps: Deps,
  { registrationId, email }: { registrationId: string; email: string },
): Promise<Registration> {
  const now = deps.clock.now();
  const jobId = deps.random.id();
  const row = await deps.auth.findCode(registrationId);
  const open =
    row !== null &&
    row.purpose === "register" &&
    row.consumedAt === null &&
    row.user.emailCanonical === canonicalKey(email) &&
    row.user.emailVerifiedAt === null &&
    row.createdAt > after(now, -ATTEMPT_TTL);
  if (open) {
    await deps.mysql.transaction(async (tx) => {
      const due = await deps.auth.touchCode(row.id, now, after(now, -RESEND_AFTER), after(now, CODE_TTL), tx);
      if (!due) return;
      await deps.jobs.mysql.enqueue(
        { id: jobId, kind: "mail.verification_code", payload: { codeId: row.id }, runAt: now },
        tx,
      );
    });
    deps.jobs.wake();
  }
  return registration(registrationId);
}

async function signedIn(
  deps: Deps,
  user: Parameters<typeof toUserResponse>[0],
  roles: string[],
  sessionId: string,
  counter: number,
): Promise<SignedIn> {
  const { token } = await deps.tokens.access(user.id, sessionId, deps.random.id());
  return {
    accessToken: token,
    tokenType: "Bearer",
    expiresIn: ACCESS_TTL / 1000,
    refreshToken: deps.tokens.refresh(sessionId, counter),
    user: toUserResponse(user, roles),
  };
}

/** Signs a person in: a new session and its tokens. @throws AppError invalid_credentials for every reason alike */
export async function login(
  deps: Deps,
  { email, password }: { email: string; password: string },
  origin: Origin,
): Promise<SignedIn> {
  const user = await deps.users.findByEmail(canonicalKey(email));
  const usable =
    user !== null && user.emailVerifiedAt !== null && user.bannedAt === null && user.deletedAt === null;
  const right = await deps.passwords.verify(usable ? user.hashedPassword : null, password);
  if (!right || !usable || user.hashedPassword === null) {
    throw new AppError("invalid_credentials", "The email or the password is not right.");
  }
  if (deps.passwords.needsRehash(user.hashedPassword)) {
    await deps.users.rehash(user.id, user.hashedPassword, await deps.passwords.hash(password));
  }
  const now = deps.clock.now();
  const roles = await deps.users.roleNames(user.id);
  const limits = sessionLimits(roles);
  const session = await deps.auth.createSession({
    id: deps.random.id(),
    userId: user.id,
    ...origin,
    now,
    idleExpiresAt: after(now, Math.min(limits.idle, limits.absolute)),
    absoluteExpiresAt: after(now, limits.absolute),
  });
  return signedIn(deps, user, roles, session.id, session.refreshCounter);
}

/**
 * Exchanges a refresh token for its successor. The immediate parent gives the same successor for ten seconds,
 * so a lost answer or twenty tabs neither sign anyone out nor fork the family; any older one ends the session.
 * @throws AppError unauthenticated for every reason alike
 */
export async function refresh(deps: Deps, refreshToken: string, origin: Origin): Promise<SignedIn> {
  const refuse = () => new AppError("unauthenticated", "The refresh token is not valid. Sign in again.");
  const token = deps.tokens.readRefresh(refreshToken);
  if (!token) throw refuse();
  for (;;) {
    const now = deps.clock.now();
    const session = await deps.auth.findSession(token.sessionId);
    if (
      !session ||
      session.endedAt !== null ||
      session.user.bannedAt !== null ||
      session.user.deletedAt !== null
    ) {
      throw refuse();
    }
    if (session.idleExpiresAt <= now || session.absoluteExpiresAt <= now) {
      await deps.auth.endSession(session.id, { reason: "expired", now });
      throw refuse();
    }
    const roles = await deps.users.roleNames(session.userId);
    if (token.counter === session.refreshCounter) {
      const idle = after(now, sessionLimits(roles).idle).getTime();
      const idleExpiresAt = new Date(Math.min(idle, session.absoluteExpiresAt.getTime()));
      // When another request was faster, the next round finds this token to be the parent.
      if (!(await deps.auth.rotate(session.id, token.counter, now, idleExpiresAt))) continue;
      return signedIn(deps, session.user, roles, session.id, token.counter + 1);
    }
    const inGrace = now.getTime() - session.rotatedAt.getTime() <= REFRESH_GRACE;
    if (token.counter === session.refreshCounter - 1 && inGrace) {
      return signedIn(deps, session.user, roles, session.id, session.refreshCounter);
    }
    await deps.auth.endSession(session.id, {
      reason: "refresh_reuse",
      detail: `its refresh token was used twice, from ${origin.ip}`,
      now,
    });
    throw refuse();
  }
}

/** Ends the caller's session; its tokens are refused from then on, on every process. */
export async function logout(deps: Deps, actor: Actor): Promise<void> {
  if (actor.sessionId === null) throw new AppError("forbidden", "An API key has no session to sign out of.");
  await deps.auth.endSession(actor.sessionId, { reason: "signed_out", now: deps.clock.now() });
}
