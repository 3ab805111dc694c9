import { afterAll, beforeAll, expect, test } from "bun:test";
import { eventually } from "../../test/processes";
import { startProxy } from "../../test/proxy";
import { connectMySql, type MySql, withConnection } from "./prisma";
import { createPulse, type Look } from "./pulse";
import { isUnavailable } from "./unavailable";

let proxy: Awaited<ReturnType<typeof startProxy>>;
let mysql: MySql;
beforeAll(async () => {
  proxy = await startProxy(process.env.DATABASE_URL ?? "");
  mysql = connectMySql(proxy.url(process.env.DATABASE_URL ?? ""), 4);
});
afterAll(async () => {
  await mysql.close();
  await proxy.close();
});

const ask = () => mysql.on().$queryRaw`SELECT 1 AS one`;
/** Whether it was the pulse that refused: the driver's own limits have other texts. */
const isRefusal = (error: unknown): boolean =>
  JSON.stringify([String(error), error]).includes("MySQL does not answer");
const refusalOf = (work: Promise<unknown>) =>
  work.then(
    () => undefined,
    (error: unknown) => error,
  );
/** Asks until it is answered again. */
const recovered = async () => {
  while ((await refusalOf(ask())) !== undefined) await Bun.sleep(50);
};

test("a server that falls silent: who waits is refused, in a transaction too, and who comes then as well", async () => {
  await ask();
  const begun = Promise.withResolvers<void>();
  const go = Promise.withResolvers<void>();
  const transaction = refusalOf(
    mysql.transaction(async (tx) => {
      await mysql.on(tx).$queryRaw`SELECT 1 AS one`;
      begun.resolve();
      await go.promise;
      await mysql.on(tx).$queryRaw`SELECT 2 AS two`;
    }),
  );
  await begun.promise;
  proxy.pause();
  go.resolve();
  const waiting = await refusalOf(ask());
  expect([isUnavailable(waiting), isRefusal(waiting)]).toEqual([true, true]);
  expect(isUnavailable(await transaction)).toBe(true);
  const later = await refusalOf(ask());
  expect(isRefusal(later)).toBe(true);
  proxy.resume();
  await recovered();
});

test("a transaction that was refused leaves nothing behind, and no connection with it open", async () => {
  const id = crypto.randomUUID();
  const begun = Promise.withResolvers<void>();
  const go = Promise.withResolvers<void>();
  const transaction = refusalOf(
    mysql.transaction(async (tx) => {
      await mysql.on(tx).$executeRaw`INSERT INTO roles (id, name, description) VALUES (${id}, ${id}, '')`;
      begun.resolve();
      await go.promise;
      await mysql.on(tx).$queryRaw`SELECT 2 AS two`;
    }),
  );
  await begun.promise;
  await proxy.stop();
  go.resolve();
  expect(await transaction).toBeDefined();
  await proxy.start();
  await recovered();
  // As many as the pool has: each of its connections is asked.
  await Promise.all(
    Array.from({ length: 8 }, () => mysql.transaction((tx) => mysql.on(tx).$queryRaw`SELECT 1 AS one`)),
  );
  expect(await mysql.on().role.count({ where: { id } })).toBe(0);
});

/** A pulse of nothing, whose looks a test makes. */
const pulseOf = (look: Look, write: Look = async () => undefined) =>
  createPulse({ look, write }, () => new Error("down"));

test("nobody is looked after while answers come, and one failed look refuses nobody", async () => {
  let looks = 0;
  const held = Promise.withResolvers<string>();
  const pulse = pulseOf(async () => {
    if (++looks === 1) throw new Error("this process was busy");
    held.resolve("answered");
  });
  for (let n = 0; n < 100; n++) await pulse.guard(async () => n);
  expect(looks).toBe(0);
  expect(await pulse.guard(() => held.promise)).toBe("answered");
  expect(looks).toBe(2);
  pulse.close();
});

test("a database that is slow, and answers somebody, is not down", async () => {
  let looks = 0;
  const slow = Promise.withResolvers<string>();
  const pulse = pulseOf(async () => {
    await pulse.guard(async () => "another's answer");
    if (++looks === 4) slow.resolve("answered");
    throw new Error("too slow");
  });
  expect(await pulse.guard(() => slow.promise)).toBe("answered");
  pulse.close();
});

test("connections that are had without a word of the database are no sign of life", async () => {
  const never = Promise.withResolvers<string>();
  const pulse = pulseOf(async () => {
    await pulse.guard(async () => "a connection of the pool", { shows: "nothing" });
    throw new Error("silent");
  });
  expect(await refusalOf(pulse.guard(() => never.promise))).toEqual(new Error("down"));
  pulse.close();
});

/** Somebody locks tables, of this worker's database alone, as a backup or a change of the schema does. */
async function lockedBy(statement: string, work: () => Promise<void>): Promise<void> {
  await withConnection(process.env.DATABASE_URL ?? "", async (connection) => {
    await connection.query(statement);
    try {
      await work();
    } finally {
      await connection.query("UNLOCK TABLES");
    }
  });
}
const insert = (id = crypto.randomUUID()) =>
  mysql.on().$executeRaw`INSERT INTO roles (id, name, description) VALUES (${id}, ${id}, '')`;
/** How many statements of the pool's user wait for a lock. */
const waitingInServer = async (): Promise<number> => {
  const rows = await mysql.on().$queryRaw<{ state: string }[]>`
    SELECT state FROM performance_schema.processlist WHERE state LIKE 'Waiting for%lock%'`;
  return rows.length;
};

test("a MySQL that takes no writes: who writes is refused, and later at once; reads go on", async () => {
  await ask();
  await lockedBy("LOCK TABLES roles READ, rate_limits READ", async () => {
    const began = performance.now();
    // More than the pool has connections.
    const refused = await Promise.all(Array.from({ length: 10 }, () => refusalOf(insert())));
    expect(refused.map((error) => isUnavailable(error))).toEqual(refused.map(() => true));
    while (!isRefusal(await refusalOf(insert()))) await Bun.sleep(50);
    const known = performance.now();
    for (let n = 0; n < 20; n++) expect(isRefusal(await refusalOf(insert()))).toBe(true);
    expect(
      isRefusal(await refusalOf(mysql.transaction((tx) => mysql.on(tx).$queryRaw`SELECT 1 AS one`))),
    ).toBe(true);
    // Each would wait for two seconds.
    expect(performance.now() - known).toBeLessThan(5000);
    expect(known - began).toBeLessThan(30_000);
    expect(await mysql.on().role.count()).toBeGreaterThanOrEqual(0);
    expect(await mysql.ping()).toBe("read_only");
    expect(() => mysql.expectWrites()).toThrow("MySQL does not answer");
    await eventually(async () => (await waitingInServer()) === 0, "the end of what was given up");
  });
  await eventually(async () => (await refusalOf(insert())) === undefined, "the return of writes");
  expect(await mysql.ping()).toBe("up");
  mysql.expectWrites();
}, 120_000);

test("a table that somebody has for themselves: an answer after the wait for locks, and the rest goes on", async () => {
  await lockedBy("LOCK TABLES roles WRITE", async () => {
    const outcomes = await Promise.all([
      refusalOf(insert()),
      refusalOf(mysql.on().role.count()),
      refusalOf(mysql.transaction((tx) => mysql.on(tx).role.count())),
    ]);
    for (const error of outcomes) expect(error).toBeDefined();
    expect(await refusalOf(ask())).toBeUndefined();
    expect(await mysql.ping()).toBe("up");
  });
  expect(await refusalOf(insert())).toBeUndefined();
}, 120_000);

test("who writes is refused where writes are not answered, and who reads is not", async () => {
  const held = Promise.withResolvers<string>();
  const isStuck = { now: true };
  const pulse = pulseOf(
    async () => undefined,
    async () => {
      if (isStuck.now) throw new Error("no writes");
    },
  );
  const reading = pulse.guard(() => held.promise);
  const writing = () => pulse.guard(() => new Promise<string>(() => {}), { writes: true, shows: "writes" });
  expect(await refusalOf(writing())).toEqual(new Error("down"));
  let begun = false;
  const later = pulse.guard(
    async () => {
      begun = true;
    },
    { writes: true },
  );
  expect(await refusalOf(later)).toEqual(new Error("down"));
  expect([begun, pulse.isReadOnly()]).toEqual([false, true]);
  held.resolve("answered");
  expect(await reading).toBe("answered");
  isStuck.now = false;
  await eventually(async () => !pulse.isReadOnly(), "the return of writes");
  pulse.close();
});

test("who waits beyond a limit of their own is refused though the database answers others", async () => {
  const pulse = pulseOf(async () => undefined);
  const patient = pulse.guard(() => Bun.sleep(2000).then(() => "answered"));
  let told = 0;
  const refused = () => {
    told++;
  };
  expect(await refusalOf(pulse.guard(() => new Promise(() => {}), { limit: 600, refused }))).toEqual(
    new Error("down"),
  );
  expect(told).toBe(1);
  expect(await patient).toBe("answered");
  pulse.close();
});
