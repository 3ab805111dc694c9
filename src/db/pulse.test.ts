import { afterAll, beforeAll, expect, test } from "bun:test";
import { startProxy } from "../../test/proxy";
import { connectMySql, type MySql } from "./prisma";
import { createPulse } from "./pulse";
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

test("nobody is looked after while answers come, and one failed look refuses nobody", async () => {
  let looks = 0;
  const held = Promise.withResolvers<string>();
  const pulse = createPulse(
    async () => {
      if (++looks === 1) throw new Error("this process was busy");
      held.resolve("answered");
    },
    () => new Error("down"),
  );
  for (let n = 0; n < 100; n++) await pulse.guard(async () => n);
  expect(looks).toBe(0);
  expect(await pulse.guard(() => held.promise)).toBe("answered");
  expect(looks).toBe(2);
  pulse.close();
});

test("a database that is slow, and answers somebody, is not down", async () => {
  let looks = 0;
  const slow = Promise.withResolvers<string>();
  const pulse = createPulse(
    async () => {
      await pulse.guard(async () => "another's answer");
      if (++looks === 4) slow.resolve("answered");
      throw new Error("too slow");
    },
    () => new Error("down"),
  );
  expect(await pulse.guard(() => slow.promise)).toBe("answered");
  pulse.close();
});

test("connections that are had without a word of the database are no sign of life", async () => {
  const never = Promise.withResolvers<string>();
  const pulse = createPulse(
    async () => {
      await pulse.guard(async () => "a connection of the pool", undefined, false);
      throw new Error("silent");
    },
    () => new Error("down"),
  );
  expect(await refusalOf(pulse.guard(() => never.promise))).toEqual(new Error("down"));
  pulse.close();
});
