import { describe, expect, test } from "bun:test";
import { useTestApp } from "../test/app";
import { enrolled } from "../test/second-factor";
import { secretOf } from "./auth/mfa/secrets";
import { createVault } from "./auth/vault";
import { planHousekeeping } from "./housekeeping";
import { after, DAY, HOUR } from "./lib/clock";

const t = useTestApp();

describe("housekeeping", () => {
  test("removes what has outlived its use, and nothing else", async () => {
    const person = await t.signIn({ roles: ["admin"] });
    const make = (key: string) =>
      t.request("/api/users/roles", {
        method: "POST",
        token: person.accessToken,
        headers: { "idempotency-key": key },
        json: { name: key, description: "For a test", permissions: [] },
      });
    expect((await make("early")).status).toBe(201);
    const registration = { email: "new@example.com", password: "a long enough password", name: "New" };
    expect((await t.request("/auth/register", { method: "POST", json: registration })).status).toBe(202);
    const db = t.deps.mysql.on();
    const mongoJob = { kind: "mail.nobody", payload: {}, runAt: t.clock.now() };
    const [done, failed] = [t.deps.random.id(), t.deps.random.id()];
    for (const [id, status] of [
      [done, "done"],
      [failed, "failed"],
    ] as const) {
      await t.deps.jobs.mongo.enqueue({ ...mongoJob, id });
      const [job] = [
        await t.deps.jobs.mongo.lease(["mail.nobody"], t.clock.now(), after(t.clock.now(), HOUR)),
      ];
      if (!job) throw new Error("nothing to lease");
      await t.deps.jobs.mongo.finish(
        job,
        status === "done" ? { status } : { status, error: "no" },
        t.clock.now(),
      );
    }
    const count = async () => ({
      codes: await db.verificationCode.count(),
      jobs: await db.job.count({ where: { status: "done", kind: { not: "jobs.housekeeping" } } }),
      keys: await db.idempotencyKey.count(),
      sessions: await db.session.count(),
      done: (await t.deps.jobs.mongo.find(done)) !== null,
      failed: (await t.deps.jobs.mongo.find(failed)) !== null,
    });
    const run = async () => {
      await planHousekeeping(t.deps);
      t.clock.advance(DAY + 3 * HOUR);
      await t.runner.runDue();
    };
    await t.runner.runDue();
    const before = await count();
    expect(before.codes).toBeGreaterThan(0);
    expect(before.jobs).toBeGreaterThan(0);
    expect(before).toMatchObject({ keys: 1, sessions: 1, done: true, failed: true });

    // After a night a key has had its 24 hours, and everything else stays.
    await run();
    expect(await count()).toEqual({ ...before, keys: 0, codes: 0 });
    t.clock.advance(7 * DAY);
    await run();
    expect(await count()).toMatchObject({ jobs: 0, sessions: 1, done: false, failed: true });
    t.clock.advance(130 * DAY);
    await run();
    expect(await count()).toMatchObject({ sessions: 0, failed: true });
  });

  test("is planned once a day, by however many processes, and goes on by itself", async () => {
    await Promise.all(Array.from({ length: 10 }, () => planHousekeeping(t.deps)));
    const waiting = () =>
      t.deps.mysql.on().job.count({ where: { kind: "jobs.housekeeping", status: "waiting" } });
    expect(await waiting()).toBe(1);
    t.clock.advance(DAY + 3 * HOUR);
    await t.runner.runDue();
    expect(await waiting()).toBe(1);
  });

  test("seals secrets anew that are under an earlier key of DATA_KEY, but for what it cannot read", async () => {
    const { vault, config, random, mysql, mfa } = t.deps;
    const [oldKey] = [...config.dataKeys.values()];
    if (!oldKey) throw new Error("no DATA_KEY");
    const people = [await t.signIn(), await t.signIn(), await t.signIn()];
    for (const person of people) await enrolled(t, person);
    const [broken, foreign, whole] = people.map(({ id }) => id) as [string, string, string];
    await mysql.on().totpFactor.updateMany({ where: { userId: broken }, data: { secret: random.bytes(48) } });
    await mysql.on().totpFactor.updateMany({ where: { userId: foreign }, data: { keyVersion: "v9" } });
    const lines: object[] = [];
    const log = t.deps.log;
    try {
      t.deps.vault = createVault(new Map([["v2", random.bytes(32)], ...config.dataKeys]), random);
      t.deps.log = Object.assign(Object.create(log), { error: (line: object) => lines.push(line) });
      await planHousekeeping(t.deps);
      t.clock.advance(DAY + 3 * HOUR);
      await t.runner.runDue();
      const versions = await Promise.all(
        [broken, foreign, whole].map(async (id) => (await mfa.findTotp(id, "confirmed"))?.keyVersion),
      );
      expect(versions).toEqual(["v1", "v9", "v2"]);
      expect(lines).toEqual([expect.objectContaining({ left: 2 })]);
      const row = await mfa.findTotp(whole, "confirmed");
      expect(row && secretOf(t.deps, row)).toHaveLength(20);
    } finally {
      Object.assign(t.deps, { vault, log });
    }
  });
});

test("accounts that were never verified go after 30 days without a registration, expired keys too", async () => {
  const person = await t.signIn({ roles: ["manager"] });
  const register = (email: string) =>
    t.request("/auth/register", {
      method: "POST",
      json: { email, password: "a long enough password", name: "New" },
    });
  await register("left@example.com");
  await register("trying@example.com");
  const key = { name: "Key", permissions: ["products:write"], expiresInDays: 1, password: person.password };
  const made = await t.request("/auth/api-keys", { method: "POST", json: key, token: person.accessToken });
  expect(made.status).toBe(201);
  const left = async () => ({
    left: await t.deps.users.findByEmail("left@example.com"),
    trying: await t.deps.users.findByEmail("trying@example.com"),
    keys: await t.deps.mysql.on().apiKey.count(),
  });
  t.clock.advance(30 * DAY);
  await register("trying@example.com");
  await planHousekeeping(t.deps);
  await t.runner.runDue();
  expect(await left()).toMatchObject({ left: expect.anything(), trying: expect.anything(), keys: 1 });
  t.clock.advance(DAY + 3 * HOUR);
  await register("trying@example.com");
  await planHousekeeping(t.deps);
  await t.runner.runDue();
  expect(await left()).toMatchObject({ left: null, trying: expect.anything(), keys: 0 });
  expect(await t.deps.users.findById(person.id)).not.toBeNull();
});

test("bun run reencrypt says how much is left under old keys, and leaves nothing", async () => {
  await t.deps.mysql.on().totpFactor.deleteMany({ where: {} });
  const person = await t.signIn();
  await enrolled(t, person);
  const [old, key] = [t.deps.vault.version, Buffer.alloc(32, 7).toString("base64")];
  const oldKey = Buffer.from(t.deps.config.dataKeys.get(old) ?? []).toString("base64");
  const run = async (dataKey: string, ...words: string[]) => {
    const program = Bun.spawn(["bun", "src/auth/reencrypt.cli.ts", ...words], {
      env: { ...process.env, DATA_KEY: dataKey },
      stdout: "pipe",
    });
    return { text: await new Response(program.stdout).text(), code: await program.exited };
  };
  const count = await t.deps.mysql.on().totpFactor.count();
  const both = `v99:${key},${old}:${oldKey}`;
  expect(await run(both, "--status")).toMatchObject({
    code: 1,
    text: expect.stringContaining(`${count} under ${old}`),
  });
  expect(await run(`v99:${key}`)).toMatchObject({ code: 1 });
  expect(await run(both)).toMatchObject({
    code: 0,
    text: expect.stringContaining(`${count} secrets were encrypted anew under v99`),
  });
});
