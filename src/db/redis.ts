import { Redis } from "ioredis";
import { RateLimiterRedis } from "rate-limiter-flexible";
import type { Logger } from "../telemetry/log";
import type { Limiters } from "./limiter";

/** Longest wait for Redis to connect or to answer, in milliseconds: then the counters of MySQL take over. */
const LIMIT = 1000;

/** Counters in Redis, for whoever configured it. */
export interface RedisLimiters {
  limiters: Limiters;
  close(): void;
}

/**
 * Counters of rate-limiter-flexible in Redis, the same for every process. While Redis does not answer,
 * `insurance` counts: limits stay, though failures of before are not known there.
 * @param url such as redis://localhost:6379, rediss:// for TLS
 */
export function connectRedisLimiters(url: string, insurance: Limiters, log: Logger): RedisLimiters {
  const client = new Redis(url, {
    connectTimeout: LIMIT,
    commandTimeout: LIMIT,
    // One that is connected and silent is given up, and connected to anew in the background. Until the new connection
    // has been answered it is not ready, so that one request waits for a silent Redis and not every one.
    socketTimeout: LIMIT,
    // Nobody's sign-in waits for a server that is away: the insurance is asked at once.
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    retryStrategy: (attempt) => Math.min(attempt * 100, 2000),
  });
  let away = false;
  client.on("error", (error) => {
    // Once for each time it goes, not for each attempt.
    if (!away) log.warn({ err: error }, "Redis does not answer: limits are counted in MySQL meanwhile");
    away = true;
  });
  client.on("ready", () => {
    if (away) log.info("Redis is back: limits are counted there");
    away = false;
  });
  return {
    limiters: (options) => {
      const { name, ...rest } = options;
      return new RateLimiterRedis({
        ...rest,
        keyPrefix: `aizy:${name}`,
        storeClient: client,
        rejectIfRedisNotReady: true,
        insuranceLimiter: insurance(options),
      });
    },
    close: () => client.disconnect(),
  };
}
