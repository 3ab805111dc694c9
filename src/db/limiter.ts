import type { RateLimiterAbstract } from "rate-limiter-flexible";
import { RateLimiterRes } from "rate-limiter-flexible";
import RateLimiterStore from "rate-limiter-flexible/lib/RateLimiterStoreAbstract.js";
import { Prisma } from "../generated/prisma/client";
import { after, type Clock } from "../lib/clock";
import type { MySql } from "./prisma";

/** One counter: so many points within so many seconds, then blocked for so many. */
export interface LimiterOptions {
  /** Part of each key; at most 20 characters. */
  name: string;
  points: number;
  /** Seconds. */
  duration: number;
  /** Seconds that a key stays blocked from the point over the limit; until the window ends when left out. */
  blockDuration?: number;
}

/** Makes counters that every process shares. */
export type Limiters = (options: LimiterOptions) => RateLimiterAbstract;

interface Counter {
  points: number;
  expiresAt: Date;
}

/** After so many writes, up to `SWEEP` expired rows are removed. */
const SWEEP_EVERY = 200;
const SWEEP = 1000;

/**
 * Counters of rate-limiter-flexible in MySQL's `rate_limits`. The library's own MySQL store wants a driver of
 * its own and reads the system clock; this one uses our pool, asks for several counters in one statement, and
 * `clock` decides.
 */
export function createMySqlLimiters(mysql: MySql, clock: Clock): Limiters {
  let batch: { keys: Set<string>; rows: Promise<Map<string, Counter>> } | undefined;
  let adding:
    | { added: Map<string, { points: number; duration: number }>; counters: Promise<Map<string, Counter>> }
    | undefined;
  let writes = 0;

  const readAll = async (keys: string[], now: Date): Promise<Map<string, Counter>> => {
    const rows = await mysql
      .on()
      .rateLimit.findMany({ where: { key: { in: keys }, expiresAt: { gt: now } } });
    return new Map(rows.map((row) => [row.key, row]));
  };

  /** Reads of one turn of the event loop go out together. */
  async function read(key: string): Promise<Counter | null> {
    if (batch === undefined) {
      const keys = new Set<string>();
      const rows = Promise.resolve().then(() => {
        batch = undefined;
        return readAll([...keys], clock.now());
      });
      batch = { keys, rows };
    }
    batch.keys.add(key);
    return (await batch.rows).get(key) ?? null;
  }

  /** Sets a counter, whatever it stands at. */
  async function set(key: string, points: number, duration: number): Promise<Counter> {
    const expiresAt = after(clock.now(), duration);
    await mysql.on().$executeRaw`
      INSERT INTO rate_limits (\`key\`, points, expires_at) VALUES (${key}, ${points}, ${expiresAt})
      ON DUPLICATE KEY UPDATE points = ${points}, expires_at = ${expiresAt}`;
    return { points, expiresAt };
  }

  /** Adds points and reads what there are then, in one transaction: each caller sees a number of its own. */
  async function addAll(
    added: Map<string, { points: number; duration: number }>,
  ): Promise<Map<string, Counter>> {
    const now = clock.now();
    // In one order, so that two transactions never wait for each other.
    const rows = [...added].sort(([a], [b]) => (a < b ? -1 : 1));
    const values = rows.map(
      ([key, { points, duration }]) => Prisma.sql`(${key}, ${points}, ${after(now, duration)})`,
    );
    const counters = await mysql.transaction(async (tx) => {
      await mysql.on(tx).$executeRaw`
        INSERT INTO rate_limits (\`key\`, points, expires_at) VALUES ${Prisma.join(values)}
        ON DUPLICATE KEY UPDATE
          points = IF(rate_limits.expires_at <= ${now}, VALUES(points), rate_limits.points + VALUES(points)),
          expires_at = IF(rate_limits.expires_at <= ${now}, VALUES(expires_at), rate_limits.expires_at)`;
      return mysql.on(tx).rateLimit.findMany({ where: { key: { in: rows.map(([key]) => key) } } });
    });
    if (++writes % SWEEP_EVERY === 0) {
      await mysql.on().$executeRaw`DELETE FROM rate_limits WHERE expires_at <= ${now} LIMIT ${SWEEP}`;
    }
    return new Map(counters.map((counter) => [counter.key, counter]));
  }

  /** Points of one turn of the event loop go out together; a key that is there already begins another turn. */
  async function add(key: string, points: number, duration: number): Promise<Counter> {
    if (adding === undefined || adding.added.has(key)) {
      const added = new Map<string, { points: number; duration: number }>();
      const own = {
        added,
        counters: Promise.resolve().then(() => {
          if (adding === own) adding = undefined;
          return addAll(added);
        }),
      };
      adding = own;
    }
    adding.added.set(key, { points, duration });
    const counter = (await adding.counters).get(key);
    if (!counter) throw new Error("a counter was not written");
    return counter;
  }

  class MySqlLimiter extends RateLimiterStore {
    _get = read;
    _upsert = (key: string, points: number, duration: number, force = false) =>
      (force ? set : add)(key, points, duration);
    _delete = async (key: string) => (await mysql.on().rateLimit.deleteMany({ where: { key } })).count > 0;
    _getRateLimiterRes = (_key: string, changed: number, { points, expiresAt }: Counter) =>
      new RateLimiterRes(
        Math.max(this.points - points, 0),
        Math.max(expiresAt.getTime() - clock.now().getTime(), 0),
        points,
        changed === points,
      );
  }

  return ({ name, ...options }) => new MySqlLimiter({ keyPrefix: name, ...options });
}
