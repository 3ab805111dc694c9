import { createHash } from "node:crypto";
import { isIPv6 } from "node:net";
import type { RateLimiterAbstract, RateLimiterRes } from "rate-limiter-flexible";
import type { Limiters } from "../db/limiter";
import { AppError } from "../errors";

/** What is guessed at; each is counted apart. */
export type GuessKind = "password" | "code" | "totp" | "backup_code";
/** What costs us work or somebody a mail, and is counted by address. */
export type RequestKind = "register" | "resend" | "forgot" | "reset" | "passkey" | "email_change";

const MINUTES = 60;

/** Failures of one source at one account before it has to wait, and how long that is, in seconds. */
const SOURCE = { points: 10, duration: 15 * MINUTES };
/**
 * Failures at one account from unknown devices, whatever their source. High, because a stranger can bring it
 * about: a known device, a passkey and a reset pass.
 */
const ACCOUNT = { points: 100, duration: 60 * MINUTES };
/**
 * The same for codes of an authenticator app: only who has the password can bring it about, and three of a
 * million codes are right at any time. A known device, a backup code and a passkey pass.
 */
const ACCOUNT_TOTP = { points: 50, duration: 24 * 60 * MINUTES };
/** Failures (or requests) of one address, whatever the account: many people share one. */
const ADDRESS = { points: 500, duration: 15 * MINUTES };
/** Mails that one source, and all together, may have sent to one account in an hour. */
const MAILS_SOURCE = { points: 20, duration: 60 * MINUTES };
const MAILS_ACCOUNT = { points: 60, duration: 60 * MINUTES };

/** Who guesses, at what. */
export interface Guesser {
  /** The canonical email, whether anyone has it or not. */
  account: string;
  ip: string;
  /** The known device that the guess comes from. */
  deviceId?: string | null;
}

/** What of a guess reached its limit: one source at one account, one account from everywhere, one address. */
export type LockScope = "source" | "account" | "address";

/** Limits on guessing and on mail, the same on every process. */
export interface Throttle {
  /**
   * Lets a guess be checked and counts it when it was wrong. A right one counts only while the source may
   * still guess, however many are checked at once.
   * @param check gives null when the guess was wrong
   * @param onLock is told once when this guess was the one that reached a limit
   * @throws AppError too_many_requests
   */
  guess<T>(
    kind: GuessKind,
    guesser: Guesser,
    check: () => Promise<T | null>,
    onLock?: (scopes: LockScope[]) => Promise<void>,
  ): Promise<T | null>;
  /** Counts a request of an address. @throws AppError too_many_requests */
  request(kind: RequestKind, ip: string): Promise<void>;
  /** Counts a mail to an account. False when there were too many. */
  mail(account: string, ip: string): Promise<boolean>;
  /**
   * Forgets wrong passwords and codes from mails at an account, whose owner has read a mail of ours. Wrong
   * second factors stay counted: a mailbox must not be enough to go on guessing them.
   */
  forgive(account: string, ip: string): Promise<void>;
}

/** What an address counts as: an IPv6 network of 64 bits, which one household or machine has to itself. */
export function sourceOf(ip: string): string {
  const [address = ""] = ip.split("%");
  if (!isIPv6(address)) return address;
  const [head = "", tail] = address.split("::");
  const left = head === "" ? [] : head.split(":");
  const groups = tail === undefined ? left : [...left, ...Array(8).fill("0")];
  return `${groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(":")}::/64`;
}

const keyOf = (...parts: string[]) =>
  createHash("sha256").update(JSON.stringify(parts)).digest("base64url").slice(0, 32);

/** True when a counter stands at its limit. `points` of a limiter are what may pass. */
const isFull = (limiter: RateLimiterAbstract, state: RateLimiterRes | null): state is RateLimiterRes =>
  state !== null && state.consumedPoints > limiter.points;

export function createThrottle(limiters: Limiters): Throttle {
  // The library blocks at the point after the last that passes: ten failures are nine that pass and one that blocks.
  const failures = (name: string, { points, duration }: typeof SOURCE) =>
    limiters({ name, points: points - 1, duration, blockDuration: duration });
  const perKind = (kind: GuessKind, ceiling = ACCOUNT) => ({
    source: failures(`${kind}-source`, SOURCE),
    account: failures(`${kind}-account`, ceiling),
    address: failures(`${kind}-address`, ADDRESS),
    ceiling,
  });
  const guesses = {
    password: perKind("password"),
    code: perKind("code"),
    totp: perKind("totp", ACCOUNT_TOTP),
    backup_code: perKind("backup_code"),
  };
  const requests = limiters({ name: "requests", ...ADDRESS });
  const mails = {
    source: limiters({ name: "mails-source", ...MAILS_SOURCE }),
    account: limiters({ name: "mails-account", ...MAILS_ACCOUNT }),
  };

  const refuse = (policy: string, limit: typeof SOURCE, state: RateLimiterRes) =>
    new AppError("too_many_requests", "Too many tries. Wait, then try again.", {
      retryAfter: Math.max(1, Math.ceil(state.msBeforeNext / 1000)),
      rateLimit: { policy, quota: limit.points, window: limit.duration },
    });

  /** Counts a point. @returns the state when it was one too many */
  async function count(limiter: RateLimiterAbstract, key: string): Promise<RateLimiterRes | null> {
    try {
      await limiter.consume(key);
      return null;
    } catch (state) {
      if (state instanceof Error) throw state;
      return state as RateLimiterRes;
    }
  }

  return {
    async guess(kind, { account, ip, deviceId }, check, onLock) {
      const { source, account: all, address, ceiling } = guesses[kind];
      const sourceKey = keyOf(account, deviceId ?? sourceOf(ip));
      const [accountKey, addressKey] = [keyOf(account), keyOf(sourceOf(ip))];
      const counters: {
        scope: LockScope;
        limiter: RateLimiterAbstract;
        key: string;
        limit: typeof SOURCE;
      }[] = [
        { scope: "source", limiter: source, key: sourceKey, limit: SOURCE },
        ...(deviceId ? [] : [{ scope: "account" as const, limiter: all, key: accountKey, limit: ceiling }]),
        { scope: "address", limiter: address, key: addressKey, limit: ADDRESS },
      ];
      const check429 = async () => {
        const states = await Promise.all(counters.map(({ limiter, key }) => limiter.get(key)));
        for (const [index, { limiter, limit }] of counters.entries()) {
          const state = states[index] ?? null;
          if (isFull(limiter, state)) throw refuse(kind, limit, state);
        }
        return states;
      };

      await check429();
      const result = await check();
      if (result === null) {
        const before = await Promise.all(counters.map(({ limiter, key }) => count(limiter, key)));
        for (const [index, { limiter, limit }] of counters.entries()) {
          const state = before[index];
          // The tenth failure is still answered as one; what others brought beyond it is not.
          if (state && state.consumedPoints > limiter.points + 1) throw refuse(kind, limit, state);
        }
        const reached = counters.flatMap(({ scope }, index) => (before[index] ? [scope] : []));
        if (reached.length > 0) await onLock?.(reached);
        return null;
      }
      const [own] = await check429();
      if (own) await source.delete(sourceKey);
      return result;
    },

    async request(kind, ip) {
      const state = await count(requests, keyOf(kind, sourceOf(ip)));
      if (state) throw refuse(kind, ADDRESS, state);
    },

    async mail(account, ip) {
      const states = await Promise.all([
        count(mails.source, keyOf(account, sourceOf(ip))),
        count(mails.account, keyOf(account)),
      ]);
      return states.every((state) => state === null);
    },

    async forgive(account, ip) {
      for (const { source, account: all } of [guesses.password, guesses.code]) {
        await Promise.all([source.delete(keyOf(account, sourceOf(ip))), all.delete(keyOf(account))]);
      }
    },
  };
}
