import { mutate, newAuditEntry, person } from "../audit";
import { after } from "../lib/clock";
import { AppError } from "../lib/errors";
import { toUserResponse, type UserResponse } from "../users";
import type { AuthDeps } from "./deps";
import { stillKnown } from "./devices/known";
import { newNotice } from "./jobs";
import type { Origin } from "./origin";
import { DEVICE_TTL, sessionLimits } from "./rules";
import type { SignInMethod } from "./sessions.store";
import { ACCESS_TTL, accessTokenId, type ChallengeClaims } from "./tokens";

/** How many earlier sign-ins decide whether one is unusual. */
const RECENT = 50;

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

export const challengeOver = (): AppError =>
  new AppError("unauthenticated", "The challenge is not valid. Sign in again.");

const accountChanged = (): AppError =>
  new AppError("unauthenticated", "The account has changed. Sign in again.");

/**
 * Reads the token of a challenge.
 * @throws AppError unauthenticated when it is not one of ours or no longer good
 */
export function readChallenge(deps: AuthDeps, token: string): ChallengeClaims {
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
  deps: AuthDeps,
  { id: challengeId, userId, epoch, deviceId: claimed }: Proven,
  method: SignInMethod,
  origin: Origin,
): Promise<SignedIn> {
  const now = deps.clock.now();
  const [sessionId, jobId] = [deps.random.id(), deps.random.id()];
  const known = await stillKnown(deps, claimed);
  const deviceId = known ?? deps.random.id();
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
  const unusual = known === null && (await deps.sessions.isUnusual(userId, origin, RECENT));
  const audit = newAuditEntry(deps, "sign_in.succeeded", {
    actor: person(userId),
    origin,
    detail: { method, sessionId, knownDevice: known !== null },
  });
  await mutate(deps, "mysql", { audit }, async (tx) => {
    if (!(await deps.sessions.create(session, tx))) throw accountChanged();
    await deps.devices.use(device, tx);
    if (challengeId !== undefined && !(await deps.codes.use(challengeId, now, tx))) {
      throw challengeOver();
    }
    if (unusual) await deps.jobs.mysql.enqueue(newNotice("new_device", jobId, userId, origin, now), tx);
  });
  return {
    ...(await tokensOf(deps, userId, sessionId, 0, idleExpiresAt)),
    deviceToken: deps.tokens.device(userId, deviceId),
  };
}

/**
 * The tokens of a session, with its person as they are now.
 * @throws AppError unauthenticated when it has ended meanwhile
 */
export async function tokensOf(
  deps: AuthDeps,
  userId: string,
  sessionId: string,
  counter: number,
  refreshExpiresAt: Date,
): Promise<SignedIn> {
  const live = await deps.sessions.findLive(sessionId, userId);
  if (!live) throw accountChanged();
  const { token } = await deps.tokens.access(userId, sessionId, accessTokenId(deps.random.id(), counter));
  return {
    accessToken: token,
    tokenType: "Bearer",
    expiresIn: ACCESS_TTL / 1000,
    refreshToken: deps.tokens.refresh(sessionId, counter),
    refreshExpiresAt: refreshExpiresAt.toISOString(),
    ...(live.lacksFactor ? { secondFactorRequired: true } : {}),
    user: toUserResponse(live.owner, live.owner.roles),
  };
}
