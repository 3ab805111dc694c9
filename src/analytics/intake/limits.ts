import { createHash } from "node:crypto";
import type { RateLimiterAbstract, RateLimiterRes } from "rate-limiter-flexible";
import type { Limiters } from "../../db/limiter";
import { AppError } from "../../lib/errors";

/** Events that one write key may send in so many seconds, from everywhere and from one address. */
const KEY = { name: "events-key", points: 600_000, duration: 60 };
const SOURCE = { name: "events-source", points: 30_000, duration: 60 };

/** Limits on what comes with a write key, which everybody can read in a page: the same on every process. */
export interface IntakeLimits {
  /** Counts events. @throws AppError too_many_requests */
  spend(key: string, address: string, events: number): Promise<void>;
}

const keyOf = (text: string): string => createHash("sha256").update(text).digest("base64url").slice(0, 32);

export function createIntakeLimits(limiters: Limiters): IntakeLimits {
  const [byKey, bySource] = [limiters(KEY), limiters(SOURCE)];
  async function spend(limiter: RateLimiterAbstract, limit: typeof KEY, key: string, events: number) {
    try {
      await limiter.consume(keyOf(key), Math.max(1, events));
    } catch (state) {
      if (state instanceof Error) throw state;
      throw new AppError("too_many_requests", "Too many events with this write key. Send them later.", {
        retryAfter: Math.max(1, Math.ceil((state as RateLimiterRes).msBeforeNext / 1000)),
        rateLimit: { policy: limit.name, quota: limit.points, window: limit.duration },
      });
    }
  }
  return {
    async spend(key, address, events) {
      // The address first: whoever floods uses up their own part, and not what all have.
      await spend(bySource, SOURCE, `${key} ${address}`, events);
      await spend(byKey, KEY, key, events);
    },
  };
}
