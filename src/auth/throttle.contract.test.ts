/** The limits hold alike on the counters of MySQL and of Redis, and go on when Redis does not answer. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { Redis } from "ioredis";
import { useTestApp } from "../../test/app";
import { eventually } from "../../test/processes";
import { redisPath, startRedis, startRedisOn } from "../../test/redis";
import { createMySqlLimiters, type Limiters } from "../db/limiter";
import { connectRedisLimiters, type RedisLimiters } from "../db/redis";
import { HOUR, MINUTE, SECOND } from "../lib/clock";
import { AppError } from "../lib/errors";
import { silentLogger } from "../telemetry/log";
import { createThrottle, type GuessKind, type LockScope, type MailPurpose, type Throttle } from "./throttle";

/** A hang guard, far above what any test takes, also where others share the machine. */
setDefaultTimeout(60_000);

const t = useTestApp();

interface Counters {
  limiters: Limiters;
  /** Lets time pass for the counters. */
  pass(milliseconds: number): Promise<void>;
}

/** Redis goes by its own clock: time passes there by taking it off what every key has left. */
async function passInRedis(client: Redis, milliseconds: number): Promise<void> {
  for (const key of await client.keys("*")) {
    const left = await client.pttl(key);
    await (left <= milliseconds ? client.del(key) : client.pexpire(key, left - milliseconds));
  }
}

let accounts = 0;
const newAccount = () => `contract-${++accounts}@example.com`;

function contract(counters: () => Counters) {
  const throttle = (): Throttle => createThrottle(counters().limiters);
  const guesser = (account: string, ip = "192.0.2.1", deviceId: string | null = null) => ({
    account,
    ip,
    deviceId,
  });
  /** What a guess is answered: right, wrong, or the error. */
  const guess = async (
    right: boolean,
    account: string,
    {
      ip,
      deviceId,
      kind = "password" as GuessKind,
      by = throttle(),
      onLock = async (_: LockScope[]) => {},
    } = {} as {
      ip?: string;
      deviceId?: string;
      kind?: GuessKind;
      by?: Throttle;
      onLock?: (scopes: LockScope[]) => Promise<void>;
    },
  ) => {
    try {
      const check = async () => (right ? "in" : null);
      return (await by.guess(kind, guesser(account, ip, deviceId ?? null), check, onLock)) ?? "wrong";
    } catch (error) {
      if (error instanceof AppError) return error;
      throw error;
    }
  };
  const fail = async (times: number, account: string, more: Parameters<typeof guess>[2] = {}) => {
    for (let i = 0; i < times; i++) expect(await guess(false, account, more)).toBe("wrong");
  };
  const code = (answer: string | AppError) => (answer instanceof AppError ? answer.code : answer);

  test("ten failures of one source lock it for 15 minutes; others, other kinds and other accounts go on", async () => {
    const [account, other] = [newAccount(), newAccount()];
    await fail(10, account);
    const locked = await guess(true, account);
    expect(locked).toBeInstanceOf(AppError);
    expect(code(locked)).toBe("too_many_requests");
    expect((locked as AppError).retryAfter).toBeGreaterThan(14 * 60);
    expect((locked as AppError).retryAfter).toBeLessThanOrEqual(15 * 60);
    expect((locked as AppError).rateLimit).toEqual({ policy: "password", quota: 10, window: 900 });
    expect(await guess(true, account, { ip: "192.0.2.2" })).toBe("in");
    expect(await guess(true, account, { kind: "code" })).toBe("in");
    expect(await guess(true, other)).toBe("in");
    await counters().pass(14 * MINUTE);
    expect(code(await guess(true, account))).toBe("too_many_requests");
    await counters().pass(MINUTE);
    expect(await guess(true, account)).toBe("in");
  });

  test("failures older than 15 minutes count no more, and a success forgets the source's", async () => {
    const account = newAccount();
    await fail(9, account);
    await counters().pass(15 * MINUTE);
    await fail(9, account);
    expect(await guess(true, account)).toBe("in");
    await fail(9, account);
    expect(await guess(true, account)).toBe("in");
  });

  test("thirty at once: ten are answered at most, the lock is told of once, on every process", async () => {
    const account = newAccount();
    const [one, two] = [throttle(), throttle()];
    const locks: LockScope[][] = [];
    const onLock = async (scopes: LockScope[]) => void locks.push(scopes);
    const answers = await Promise.all(
      Array.from({ length: 30 }, (_, i) => guess(false, account, { by: i % 2 === 0 ? one : two, onLock })),
    );
    expect(answers.filter((answer) => answer === "wrong").length).toBe(10);
    expect(locks).toEqual([["source"]]);
    expect(code(await guess(true, account, { by: one }))).toBe("too_many_requests");
    expect(code(await guess(true, account, { by: two }))).toBe("too_many_requests");
  });

  test("a hundred from everywhere reach a ceiling that a known device passes and a proof of ownership lifts", async () => {
    const account = newAccount();
    for (let i = 0; i < 100; i++) await fail(1, account, { ip: `198.51.${Math.floor(i / 10)}.${i}` });
    expect(code(await guess(true, account, { ip: "203.0.113.1" }))).toBe("too_many_requests");
    expect(await guess(true, account, { ip: "203.0.113.1", deviceId: "known" })).toBe("in");
    expect(await guess(true, newAccount(), { ip: "203.0.113.1" })).toBe("in");
    await throttle().forgive(account, "203.0.113.1");
    expect(await guess(true, account, { ip: "203.0.113.1" })).toBe("in");
  });

  test("the ceiling ends after an hour", async () => {
    const account = newAccount();
    for (let i = 0; i < 100; i++) await fail(1, account, { ip: `198.51.${Math.floor(i / 10) + 100}.${i}` });
    await counters().pass(HOUR - 60 * SECOND);
    expect(code(await guess(true, account, { ip: "203.0.113.2" }))).toBe("too_many_requests");
    await counters().pass(60 * SECOND);
    expect(await guess(true, account, { ip: "203.0.113.2" })).toBe("in");
  });

  test("an IPv6 network of 64 bits is one source", async () => {
    const account = newAccount();
    for (let i = 0; i < 10; i++) await fail(1, account, { ip: `2001:db8:1:1::${i + 1}` });
    expect(code(await guess(true, account, { ip: "2001:db8:1:1:ffff::1" }))).toBe("too_many_requests");
    expect(await guess(true, account, { ip: "2001:db8:1:2::1" })).toBe("in");
  });

  describe("mails", () => {
    const mails = async (
      times: number,
      account: string,
      { ip = "192.0.2.1", deviceId = null as string | null, purpose = "reset_password" as MailPurpose } = {},
    ) => {
      let sent = 0;
      for (let i = 0; i < times; i++) {
        if (await throttle().mail(purpose, guesser(account, ip, deviceId), async () => true)) sent++;
      }
      return sent;
    };

    test("of three who ask again and again leave enough for a new network, a known device and other purposes", async () => {
      const account = newAccount();
      const attack: number[] = [];
      for (const n of [1, 2, 3]) attack.push(await mails(25, account, { ip: `192.0.2.${n}` }));
      expect(attack).toEqual([20, 4, 2]);
      expect(await mails(3, account, { ip: "198.51.100.1" })).toBe(2);
      expect(await mails(3, account, { ip: "192.0.2.1", deviceId: "phone" })).toBe(3);
      expect(await mails(1, account, { purpose: "register" })).toBe(1);
      expect(await mails(1, account, { purpose: "notice:password_changed" })).toBe(1);
      expect(await mails(1, newAccount())).toBe(1);
      await counters().pass(HOUR);
      expect(await mails(1, account, { ip: "192.0.2.1" })).toBe(1);
    });

    test("of ever so many networks are bounded, and the known devices' share is still there", async () => {
      const account = newAccount();
      let sent = 0;
      for (let n = 0; n < 60; n++) sent += await mails(3, account, { ip: `198.51.100.${n}` });
      expect(sent).toBe(60);
      expect(await mails(30, account, { ip: "198.51.100.1", deviceId: "phone" })).toBe(20);
      expect(await mails(1, account, { ip: "198.51.100.1", deviceId: "another" })).toBe(0);
    });

    test("of one IPv6 network of 48 bits count as one network's", async () => {
      const account = newAccount();
      let sent = 0;
      for (let n = 0; n < 60; n++) sent += await mails(1, account, { ip: `2001:db8:7:${n}::1` });
      expect(sent).toBe(20);
      expect(await mails(1, account, { ip: "2001:db8:8::1" })).toBe(1);
    });

    test("cost nothing when they were not sent", async () => {
      const account = newAccount();
      for (let n = 0; n < 100; n++) {
        const ip = `192.0.2.${n % 3}`;
        const broken = throttle().mail("reset_password", guesser(account, ip), async () => {
          if (n % 2 === 0) return false;
          throw new Error("the mail server is away");
        });
        if (n % 2 === 0) expect(await broken).toBe(false);
        else expect(await broken.catch((error) => error.message)).toBe("the mail server is away");
      }
      expect(await mails(25, account, { ip: "192.0.2.1" })).toBe(20);
    });

    test("asked for at once are no more than one after the other", async () => {
      const account = newAccount();
      const answers = await Promise.all(Array.from({ length: 30 }, () => mails(1, account)));
      expect(answers.reduce((sum, sent) => sum + sent)).toBe(20);
    });
  });
}

describe("MySQL", () => {
  contract(() => ({
    limiters: createMySqlLimiters(t.deps.mysql, t.clock),
    pass: async (milliseconds) => t.clock.advance(milliseconds),
  }));
});

const present = redisPath() !== undefined;
if (!present) console.log("redis-server is not installed: the limits are not tested on Redis");

describe.skipIf(!present)("Redis", () => {
  let server: Awaited<ReturnType<typeof startRedis>>;
  let redis: RedisLimiters;
  let client: Redis;
  beforeAll(async () => {
    server = await startRedis();
    client = new Redis(server.url).on("error", () => {
      // It goes away in the last test.
    });
    redis = connectRedisLimiters(server.url, createMySqlLimiters(t.deps.mysql, t.clock), silentLogger());
    const probe = redis.limiters({ name: "probe", points: 1, duration: 1 });
    await eventually(async () => {
      await probe.get("x");
      await probe.set("x", 1, 10);
      return (await client.exists("aizy:probe:x")) === 1;
    }, "the connection to Redis");
  });
  afterAll(async () => {
    redis.close();
    client.disconnect();
    await server.stop();
  });

  contract(() => ({
    limiters: redis.limiters,
    pass: (milliseconds) => passInRedis(client, milliseconds),
  }));

  test("nothing is counted in MySQL while it answers, and no address stands readable in it", async () => {
    await t.deps.mysql.on().rateLimit.deleteMany();
    const throttle = createThrottle(redis.limiters);
    await throttle.guess("password", { account: "secret@example.com", ip: "192.0.2.9" }, async () => null);
    expect(await t.deps.mysql.on().rateLimit.count()).toBe(0);
    const keys = await client.keys("*");
    expect(keys.filter((key) => key.startsWith("aizy:password-")).length).toBeGreaterThanOrEqual(3);
    expect(keys.join()).not.toContain("secret");
    for (const key of keys) expect(await client.pttl(key)).toBeGreaterThan(0);
  });

  test("while it is paused one guess waits for it, and limits are counted in MySQL", async () => {
    const throttle = createThrottle(redis.limiters);
    const account = newAccount();
    const guess = () =>
      throttle
        .guess("password", { account, ip: "192.0.2.78" }, async () => null)
        .catch((error) => error.code);
    expect(await guess()).toBeNull();
    server.signal("SIGSTOP");
    try {
      const began = performance.now();
      for (let i = 0; i < 10; i++) expect(await guess()).toBeNull();
      expect(await guess()).toBe("too_many_requests");
      // Each would ask Redis twice and wait a second for either answer: 20 s.
      expect(performance.now() - began).toBeLessThan(10_000);
    } finally {
      server.signal("SIGCONT");
    }
    // In Redis there is but the first failure, and those that it still read when it went on.
    await eventually(async () => (await guess()) === null, "the return to Redis");
  });

  test("while it is away limits are counted in MySQL, and it is used again when it is back", async () => {
    const throttle = createThrottle(redis.limiters);
    const account = newAccount();
    const guess = () =>
      throttle
        .guess("password", { account, ip: "192.0.2.77" }, async () => null)
        .catch((error) => error.code);
    await server.stop();
    for (let i = 0; i < 10; i++) expect(await guess()).toBeNull();
    expect(await guess()).toBe("too_many_requests");
    const again = await startRedisOn(server.port);
    server = { ...server, ...again };
    await client.ping();
    // In Redis nobody has failed yet.
    await eventually(async () => (await guess()) === null, "the return to Redis");
  });
});
