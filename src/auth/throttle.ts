import { createHash } from "node:crypto";
import type { RateLimiterAbstract, RateLimiterRes } from "rate-limiter-flexible";
import type { Limiters } from "../db/limiter";
import { sourceOf } from "../http/address";
import { AppError } from "../lib/errors";
import type { Notice } from "../mail";

/** What is guessed at; each is counted apart. */
const GUESS_KINDS = ["password", "code", "totp", "backup_code"] as const;
export type GuessKind = (typeof GUESS_KINDS)[number];
const isFactor = (kind: GuessKind): boolean => kind === "totp" || kind === "backup_code";
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
/** Requests of one known device that do not count for its address. */
const KNOWN_DEVICE = { points: 20, duration: 15 * MINUTES };
/** How much a place has shown, and how long that counts. */
const PROOFS = { mailbox: 1, whole: 2 };
const PROOF = { points: PROOFS.whole, duration: 60 * MINUTES };
/** Mails for one purpose that one network, or one known device, may have sent to one address in an hour. */
const MAILS_OWN = { points: 20, duration: 60 * MINUTES };
/**
 * The same for all together: for the first two mails of each network, for what networks ask beyond these, and
 * for known devices. Apart, so that nobody uses up what its owner needs by asking again and again; their sum
 * is the most that an address gets, however many networks ask.
 */
const FIRST_MAILS = 2;
const MAILS_FIRST = { points: 40, duration: 60 * MINUTES };
const MAILS_AGAIN = { points: 20, duration: 60 * MINUTES };
const MAILS_KNOWN = { points: 20, duration: 60 * MINUTES };

/** Who guesses, at what. */
export interface Guesser {
  /** The canonical email, whether anyone has it or not. */
  account: string;
  ip: string;
  /** The known device that the guess comes from. */
  deviceId?: string | null;
}

/** What a mail is for; each has a budget of its own at each address. */
export type MailPurpose = "register" | "reset_password" | "email_change" | `notice:${Notice}`;

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
  /**
   * Counts a request of an address, or of a known device for as long as its own allowance lasts: so nobody waits for
   * those who share their address. @throws AppError too_many_requests
   */
  request(kind: RequestKind, ip: string, deviceId?: string | null): Promise<void>;
  /**
   * Sends a mail while the budget of its purpose at its address lasts. One that is not sent costs nothing.
   * @param to the address, and who has it sent
   * @param send gives false when there is nothing to send after all
   * @returns whether it was sent
   */
  mail(purpose: MailPurpose, to: Guesser, send: () => Promise<boolean>): Promise<boolean>;
  /**
   * For someone who has shown that an account is theirs: forgets what was guessed wrong at it from their place
   * and on their devices, and lets that place guess on for an hour whatever strangers bring about. Failures of
   * other places stay counted.
   * @param proof `mailbox` forgives wrong passwords and codes from mails, not wrong second factors: a mailbox
   * must not be enough to go on guessing them; `whole` forgives every kind
   */
  forgive(
    account: string,
    ip: string,
    more?: { deviceIds?: string[]; proof?: "mailbox" | "whole" },
  ): Promise<void>;
}

/** What sends a mail for the first time: in IPv6 48 bits, since many are given networks of 64 by the thousand. */
const networkOf = (ip: string): string => sourceOf(ip, 3);

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
  const proofs = limiters({ name: "proofs", ...PROOF });
  const requests = limiters({ name: "requests", ...ADDRESS });
  const requestsKnown = limiters({ name: "requests-known", ...KNOWN_DEVICE });
  const mails = {
    own: limiters({ name: "mails-own", ...MAILS_OWN }),
    first: limiters({ name: "mails-first", ...MAILS_FIRST }),
    again: limiters({ name: "mails-again", ...MAILS_AGAIN }),
    known: limiters({ name: "mails-known", ...MAILS_KNOWN }),
  };

  const refuse = (policy: string, limit: typeof SOURCE, state: RateLimiterRes) =>
    new AppError("too_many_requests", "Too many tries. Wait, then try again.", {
      retryAfter: Math.max(1, Math.ceil(state.msBeforeNext / 1000)),
      rateLimit: { policy, quota: limit.points, window: limit.duration },
    });

  /** Counts a point. @returns the state after it, also when it was one too many */
  async function spend(limiter: RateLimiterAbstract, key: string): Promise<RateLimiterRes> {
    try {
      return await limiter.consume(key);
    } catch (state) {
      if (state instanceof Error) throw state;
      return state as RateLimiterRes;
    }
  }

  /** Counts a point. @returns the state when it was one too many */
  async function count(limiter: RateLimiterAbstract, key: string): Promise<RateLimiterRes | null> {
    const state = await spend(limiter, key);
    return state.consumedPoints > limiter.points ? state : null;
  }

  return {
    async guess(kind, { account, ip, deviceId }, check, onLock) {
      const { source, account: all, address, ceiling } = guesses[kind];
      const sourceKey = keyOf(account, deviceId ?? sourceOf(ip));
      const counters: {
        scope: LockScope;
        limiter: RateLimiterAbstract;
        key: string;
        limit: typeof SOURCE;
      }[] = [
        { scope: "source", limiter: source, key: sourceKey, limit: SOURCE },
        { scope: "account", limiter: all, key: keyOf(account), limit: ceiling },
        { scope: "address", limiter: address, key: keyOf(sourceOf(ip)), limit: ADDRESS },
      ];
      /** What counts now: strangers' failures do not stop a known device, nor a place that has shown a proof. */
      const check429 = async () => {
        const [own, ...strangers] = deviceId ? counters.slice(0, 1) : counters;
        const [proof, ...states] = await Promise.all([
          deviceId ? null : proofs.get(keyOf(account, sourceOf(ip))),
          ...[own, ...strangers].map((one) => one?.limiter.get(one.key) ?? null),
        ]);
        const proved = (proof?.consumedPoints ?? 0) >= (isFactor(kind) ? PROOFS.whole : PROOFS.mailbox);
        const active = counters.slice(0, deviceId || proved ? 1 : counters.length);
        for (const [index, { limiter, limit }] of active.entries()) {
          const state = states[index] ?? null;
          if (isFull(limiter, state)) throw refuse(kind, limit, state);
        }
        return { active, own: states[0] ?? null };
      };

      const { active } = await check429();
      const result = await check();
      if (result === null) {
        const before = await Promise.all(active.map(({ limiter, key }) => count(limiter, key)));
        for (const [index, { limiter, limit }] of active.entries()) {
          const state = before[index];
          // The tenth failure is still answered as one; what others brought beyond it is not.
          if (state && state.consumedPoints > limiter.points + 1) throw refuse(kind, limit, state);
        }
        const reached = active.flatMap(({ scope }, index) => (before[index] ? [scope] : []));
        if (reached.length > 0) await onLock?.(reached);
        return null;
      }
      const { own } = await check429();
      if (own) await source.delete(sourceKey);
      return result;
    },

    async request(kind, ip, deviceId = null) {
      if (deviceId !== null && (await count(requestsKnown, keyOf(kind, deviceId))) === null) return;
      const state = await count(requests, keyOf(kind, sourceOf(ip)));
      if (state) throw refuse(kind, ADDRESS, state);
    },

    async mail(purpose, { account, ip, deviceId }, send) {
      const taken: [RateLimiterAbstract, string][] = [];
      /** @returns how many were taken by then, this one included; null when there is none left */
      const take = async (limiter: RateLimiterAbstract, ...parts: string[]): Promise<number | null> => {
        const key = keyOf(purpose, account, ...parts);
        const state = await spend(limiter, key);
        if (state.consumedPoints <= limiter.points) {
          taken.push([limiter, key]);
          return state.consumedPoints;
        }
        await limiter.reward(key);
        return null;
      };
      const takeAll = async (): Promise<boolean> => {
        const own = await take(mails.own, deviceId ?? networkOf(ip));
        if (own === null) return false;
        if (deviceId) return (await take(mails.known)) !== null;
        const first = own <= FIRST_MAILS && (await take(mails.first)) !== null;
        return first || (await take(mails.again)) !== null;
      };
      let sent = false;
      try {
        sent = (await takeAll()) && (await send());
      } finally {
        if (!sent) await Promise.all(taken.map(([limiter, key]) => limiter.reward(key)));
      }
      return sent;
    },

    async forgive(account, ip, { deviceIds = [], proof = "mailbox" } = {}) {
      const place = keyOf(account, sourceOf(ip));
      const keys = [place, ...deviceIds.map((deviceId) => keyOf(account, deviceId))];
      const kinds = GUESS_KINDS.filter((kind) => proof === "whole" || !isFactor(kind));
      const sources = kinds.flatMap((kind) => keys.map((key) => ({ limiter: guesses[kind].source, key })));
      const states = await Promise.all(sources.map(({ limiter, key }) => limiter.get(key)));
      const counted = sources.filter((_, index) => states[index] !== null);
      await Promise.all(counted.map(({ limiter, key }) => limiter.delete(key)));
      await proofs.set(place, PROOFS[proof], PROOF.duration);
    },
  };
}
