import { DAY, HOUR, MINUTE, SECOND } from "../lib/clock";
import type { Permission } from "../lib/permissions";

/** How long a code is good, in milliseconds. */
export const CODE_TTL = 5 * MINUTE;
/** Wrong codes that one attempt survives; a new code does not reset it. */
export const MAX_CODE_FAILURES = 5;
/** Wait before another code may be asked for, in milliseconds. */
export const RESEND_AFTER = 60 * SECOND;
/** How long a registration attempt stays open for new codes, in milliseconds. */
export const ATTEMPT_TTL = DAY;
/** How long the parent of a refresh token still gives its successor, in milliseconds. */
export const REFRESH_GRACE = 10 * SECOND;
/** A session's last use is written at most this often, in milliseconds. */
export const TOUCH_EVERY = MINUTE;

/** How long the second factor may take after the password, in milliseconds. */
export const CHALLENGE_TTL = 5 * MINUTE;
/** How long the first code of an authenticator app may take after it was enrolled, in milliseconds. */
export const ENROLMENT_TTL = 15 * MINUTE;
/** How long a sign-in with a passkey shows who is asking, in milliseconds. */
export const PROOF_TTL = 10 * MINUTE;
/** How long an authenticator may take to sign, in milliseconds. */
export const PASSKEY_TTL = 5 * MINUTE;
/** How long a link for a new password is good, in milliseconds. */
export const RESET_TTL = 30 * MINUTE;
/** How long a device is known after its last sign-in, in milliseconds. */
export const DEVICE_TTL = 180 * DAY;
/** How long an ended session stays in the list, so that the person can see why, in milliseconds. */
export const KEEP_ENDED = 90 * DAY;

/** How long an account whose address was never proved is kept after its last registration, in milliseconds. */
export const KEEP_UNVERIFIED = 30 * DAY;
/** How long an API key stays in the list after its end, in milliseconds. */
export const KEEP_EXPIRED_KEYS = 30 * DAY;

/** Permissions that make their holder an administrator. */
const ADMINISTERS: readonly Permission[] = ["users:write", "roles:write"];

/** How long a session lives without use and at all, in milliseconds; shorter for administrators. */
export const sessionLimits = (permissions: Iterable<Permission>): { idle: number; absolute: number } => {
  const held = new Set(permissions);
  return ADMINISTERS.some((permission) => held.has(permission))
    ? { idle: HOUR, absolute: DAY }
    : { idle: 7 * DAY, absolute: 30 * DAY };
};

/** When a session ends by itself, with what its owner may do now: a new administrator's ends sooner. */
export const sessionEnd = (
  session: { createdAt: Date; rotatedAt: Date; absoluteExpiresAt: Date; idleExpiresAt: Date },
  permissions: Iterable<Permission>,
): Date => {
  const { idle, absolute } = sessionLimits(permissions);
  return new Date(
    Math.min(
      session.absoluteExpiresAt.getTime(),
      session.idleExpiresAt.getTime(),
      session.createdAt.getTime() + absolute,
      session.rotatedAt.getTime() + idle,
    ),
  );
};
