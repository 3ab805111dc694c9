import { DAY, HOUR, MINUTE, SECOND } from "../clock";

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

/** How long a session lives without use and at all, in milliseconds; shorter for administrators. */
export const sessionLimits = (roles: string[]): { idle: number; absolute: number } =>
  roles.includes("admin") ? { idle: HOUR, absolute: 24 * HOUR } : { idle: 7 * DAY, absolute: 30 * DAY };
