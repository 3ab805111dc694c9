import { beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import sharp from "sharp";
import { anEvent, eventsOf, sent } from "../../../test/analytics";
import { type SignedInPerson, useTestApp } from "../../../test/app";
import { around } from "../../../test/interleave";
import { eventually, startProgram, startServer } from "../../../test/processes";
import { codeOf, enrolled } from "../../../test/second-factor";
import { everything, rowsOf } from "../../../test/traces";
import { settle } from "../../analytics/settle";
import { DAY, MINUTE } from "../../lib/clock";

/** A hang guard, far above what any test takes, also where others share the machine. */
setDefaultTimeout(120_000);

const t = useTestApp();
beforeEach(async () => {
  // Other processes go by the real time.
  t.clock.set(new Date());
  await t.runner.runDue();
  t.mails.length = 0;
});

const remove = (person: SignedInPerson, more: object = {}, token = person.accessToken) =>
  t.request("/api/users/me", { method: "DELETE", json: { password: person.password, ...more }, token });
const me = async (token: string) => (await t.request("/api/users/me", { token })).status;
const signIn = (email: string, password: string) =>
  t.request("/auth/login", { method: "POST", json: { email, password } });
const rowOf = (id: string) => t.deps.mysql.on().user.findUniqueOrThrow({ where: { id } });
const jobOf = async (id: string) =>
  t.deps.mysql.on().job.findUniqueOrThrow({ where: { dedupeKey: `users.erase:${id}` } });
const files = async () =>
  (await readdir(t.deps.config.storageDir, { recursive: true, withFileTypes: true }).catch(() => []))
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));

/** A person who has something of everything. */
async function someone(mark: string): Promise<SignedInPerson> {
  const person = await t.signIn({
    email: `${mark}@example.com`,
    name: `Name ${mark}`,
    roles: ["manager"],
  });
  const post = (path: string, json: unknown, token = person.accessToken, headers = {}) =>
    t.request(path, { method: "POST", json, token, headers });
  const made = await post("/auth/api-keys", {
    name: `Key ${mark}`,
    permissions: ["products:write"],
    password: person.password,
  });
  const { key } = (await made.json()).data;
  const product = { name: "By a key", price: 1 };
  expect((await post("/api/products", product, key, { "idempotency-key": mark })).status).toBe(201);
  await t.request("/api/users/me/preferences", {
    method: "PATCH",
    json: { timeZone: "Asia/Tokyo" },
    token: person.accessToken,
  });
  await post("/api/users/me/settings/email-change", {
    newEmail: `new-${mark}@example.com`,
    password: person.password,
  });
  const form = new FormData();
  const picture = sharp({ create: { width: 20, height: 20, channels: 3, background: "red" } });
  form.set("file", new File([new Uint8Array(await picture.png().toBuffer())], "a.png"));
  await t.request("/api/users/me/avatar", { method: "PUT", body: form, token: person.accessToken });
  await sent(t, { batch: [anEvent({ anonymousId: `device-${mark}` })] }, { token: person.accessToken });
  await sent(t, { batch: [anEvent({ anonymousId: `device-${mark}` })] });
  await settle(t.deps);
  await post("/api/users/me/export", undefined, person.accessToken, { "idempotency-key": mark });
  await t.request("/auth/forgot-password", { method: "POST", json: { email: person.email } });
  await signIn(person.email, "wrong on purpose");
  await t.runner.runDue();
  return person;
}

describe("a deleted account", () => {
  test("leaves nothing but an id: no row, no event, no file, no word of it in either database", async () => {
    const before = await files();
    const mark = `mark${t.deps.random.id().replaceAll("-", "")}`;
    const person = await someone(mark);
    expect(Object.values(await rowsOf(t, person.id)).filter((count) => count > 0).length).toBeGreaterThan(5);
    expect((await files()).length).toBeGreaterThan(before.length);
    t.mails.length = 0;
    expect((await remove(person)).status).toBe(204);
    await t.runner.runDue();
    expect((await jobOf(person.id)).status).toBe("done");
    const counts = await rowsOf(t, person.id);
    expect(Object.entries(counts).filter(([, count]) => count > 0)).toEqual([]);
    expect(await eventsOf(t).countDocuments({ device: `device-${mark}` })).toBe(0);
    expect(await files()).toEqual(before);
    expect(await everything(t)).not.toContain(mark);
    expect(await rowOf(person.id)).toMatchObject({
      email: `${person.id}@deleted.invalid`,
      name: "Deleted",
      hashedPassword: null,
      avatarId: null,
    });
    expect(t.mails.map(({ to, subject }) => [to, subject])).toEqual([
      [person.email, "Your account was deleted"],
    ]);
    const entries = await t.deps.mysql.on().auditEntry.findMany({
      where: { subjectUserId: person.id },
      orderBy: [{ at: "asc" }, { id: "asc" }],
    });
    expect(entries.map(({ action }) => action).slice(-2)).toEqual(["account.deleted", "account.erased"]);
    for (const { ip, userAgent, detail } of entries)
      expect([ip, userAgent, detail]).toEqual([null, null, {}]);
  });

  test("is refused at once, also before the job: tokens, keys, refresh, sign-in, half-done resets", async () => {
    const person = await t.signIn({ roles: ["manager"] });
    const other = (await (await signIn(person.email, person.password)).json()).data;
    const made = await t.request("/auth/api-keys", {
      method: "POST",
      json: { name: "Server", permissions: ["inventory:read"], password: person.password },
      token: person.accessToken,
    });
    const { key } = (await made.json()).data;
    await t.request("/auth/forgot-password", { method: "POST", json: { email: person.email } });
    await t.runner.runDue();
    const reset = /#token=(\S+)/.exec(t.mails.at(-1)?.text ?? "")?.[1];
    expect((await remove(person)).status).toBe(204);
    for (const token of [person.accessToken, other.accessToken]) expect(await me(token)).toBe(401);
    expect((await t.request("/api/products/inventory/levels", { token: key })).status).toBe(401);
    for (const refreshToken of [person.refreshToken, other.refreshToken]) {
      const answer = await t.request("/auth/refresh", { method: "POST", json: { refreshToken } });
      expect(answer.status).toBe(401);
    }
    expect((await signIn(person.email, person.password)).status).toBe(401);
    const answer = await t.request("/auth/reset-password", {
      method: "POST",
      json: { token: reset, password: "a brand new password" },
    });
    expect(answer.status).toBe(422);
    expect((await remove(person)).status).toBe(401);
  });

  test("frees its address: a new account has nothing of the old one", async () => {
    const person = await t.signIn({ name: "Old" });
    expect((await remove(person)).status).toBe(204);
    await t.runner.runDue();
    const next = await t.signIn({ email: person.email, password: "another password", name: "New" });
    expect(next.id).not.toBe(person.id);
    expect((await signIn(person.email, person.password)).status).toBe(401);
    const read = await t.request("/api/users/me", { token: next.accessToken });
    expect((await read.json()).data).toMatchObject({ name: "New", avatar: null });
  });

  test("loses events that come late, a day after", async () => {
    const person = await t.signIn();
    await remove(person);
    await t.runner.runDue();
    await sent(t, { batch: [anEvent({ userId: person.id, anonymousId: "a-late-device" })] });
    t.clock.advance(DAY);
    await t.runner.runDue();
    expect(await eventsOf(t).countDocuments({ userId: person.id })).toBe(0);
  });

  test("does not take others with it", async () => {
    const [person, other] = [await t.signIn(), await t.signIn()];
    await sent(t, { batch: [anEvent({ anonymousId: "of-the-other" })] }, { token: other.accessToken });
    const before = [await rowOf(other.id), await rowsOf(t, other.id)];
    await remove(person);
    await t.runner.runDue();
    expect([await rowOf(other.id), await rowsOf(t, other.id)]).toEqual(before);
    expect(await eventsOf(t).countDocuments({ device: "of-the-other" })).toBe(1);
    expect(await me(other.accessToken)).toBe(200);
  });
});

describe("who deletes", () => {
  test("must know the password; a wrong one changes nothing and is in the audit log", async () => {
    const person = await t.signIn();
    const before = await rowOf(person.id);
    expect((await remove(person, { password: "not it" })).status).toBe(401);
    for (const more of [{ password: undefined }, { password: { $ne: null } }, { userId: "x" }, { id: "x" }]) {
      expect((await remove(person, more)).status).toBe(422);
    }
    const proto = await t.request("/api/users/me", {
      method: "DELETE",
      body: `{"password":${JSON.stringify(person.password)},"__proto__":{"a":1}}`,
      token: person.accessToken,
      headers: { "content-type": "application/json" },
    });
    expect(proto.status).toBe(422);
    expect(await rowOf(person.id)).toEqual(before);
    const entries = await t.deps.mysql.on().auditEntry.findMany({
      where: { subjectUserId: person.id, action: { startsWith: "account.deletion" } },
    });
    expect(entries).toHaveLength(1);
    expect((await t.request("/api/users/me", { method: "DELETE", json: { password: "x" } })).status).toBe(
      401,
    );
  });

  test("is asked for the second factor when there is one", async () => {
    const person = await t.signIn();
    const { secret } = await enrolled(t, person);
    t.clock.advance(MINUTE);
    expect((await remove(person)).status).toBe(422);
    expect(await me(person.accessToken)).toBe(200);
    const factor = { method: "totp", code: codeOf(secret, t.clock.now()) };
    expect((await remove(person, { factor })).status).toBe(204);
    expect(await me(person.accessToken)).toBe(401);
  });

  test("is not the last administrator; of two at once one stays", async () => {
    for (const { userId } of await t.deps.mysql
      .on()
      .userRole.findMany({ where: { role: { name: "admin" } } })) {
      await t.deps.mysql.on().user.update({ where: { id: userId }, data: { bannedAt: t.clock.now() } });
    }
    const [first, second] = [await t.signIn({ roles: ["admin"] }), await t.signIn({ roles: ["admin"] })];
    const answers = await Promise.all([remove(first), remove(second)]);
    expect(answers.map(({ status }) => status).sort()).toEqual([204, 409]);
    const left = answers[0]?.status === 409 ? first : second;
    expect(await me(left.accessToken)).toBe(200);
    expect((await remove(left)).status).toBe(409);
    expect(await me(left.accessToken)).toBe(200);
  });

  test("does so once, however often at once", async () => {
    const person = await t.signIn();
    const answers = await Promise.all(Array.from({ length: 6 }, () => remove(person)));
    const statuses = answers.map(({ status }) => status);
    expect(statuses.filter((status) => status === 204)).toHaveLength(1);
    expect(statuses.filter((status) => status === 401)).toHaveLength(5);
    await t.runner.runDue();
    const erased = await t.deps.mysql
      .on()
      .auditEntry.count({ where: { subjectUserId: person.id, action: "account.erased" } });
    expect(erased).toBe(1);
  });
});

describe("processes", () => {
  test("an account deleted on one is refused on the other by the next request", async () => {
    const env = { STORAGE_DIR: t.deps.config.storageDir };
    const servers = await Promise.all([startServer(env), startServer(env)]);
    try {
      const person = await t.signIn();
      const [first, second] = servers.map(({ address }) => `${address}/api/users/me`) as [string, string];
      const headers = { authorization: `Bearer ${person.accessToken}`, "content-type": "application/json" };
      expect((await fetch(second, { headers })).status).toBe(200);
      const body = JSON.stringify({ password: person.password });
      expect((await fetch(first, { method: "DELETE", headers, body })).status).toBe(204);
      expect((await fetch(second, { headers })).status).toBe(401);
      await eventually(
        async () => (await rowOf(person.id)).email.endsWith("@deleted.invalid"),
        "the erasure by one of the servers",
      );
    } finally {
      await Promise.all(servers.map((server) => server.kill("SIGTERM")));
    }
  });

  /** This process takes over what a killed one had: that one's lease is over. */
  const takeOver = () => {
    t.clock.set(new Date(Date.now() + MINUTE));
    return t.runner.runDue();
  };
  const deaths = [
    "analytics.events.remove",
    "storage.removeAll",
    "users.eraseRows",
    "audit.anonymise",
    "users.anonymise",
  ];
  test.each(deaths)("one is killed before %s: another one finishes", async (where) => {
    const mark = `mark${t.deps.random.id().replaceAll("-", "")}`;
    const before = await files();
    const person = await someone(mark);
    expect((await remove(person)).status).toBe(204);
    const env = { STORAGE_DIR: t.deps.config.storageDir };
    const killed = startProgram(["test/programs/accounts.ts", where], env);
    await killed.line(/killed/);
    expect(await killed.ended()).not.toBe(0);
    const half = await jobOf(person.id);
    // On a busy machine the lease of two seconds may have ended before, and the same process took it again.
    expect(half.status).toBe("waiting");
    await takeOver();
    expect(await jobOf(person.id)).toMatchObject({ status: "done" });
    expect((await jobOf(person.id)).fence).toBeGreaterThan(half.fence);
    expect(Object.entries(await rowsOf(t, person.id)).filter(([, count]) => count > 0)).toEqual([]);
    expect(await everything(t)).not.toContain(mark);
    expect(await files()).toEqual(before);
    expect((await rowOf(person.id)).email).toBe(`${person.id}@deleted.invalid`);
  });

  test("a mail server that is down holds the erasure up for three tries and no longer", async () => {
    const person = await t.signIn();
    const undo = around(t.deps.mail, "send", {
      before: () => {
        throw new Error("no mail server");
      },
      times: 10,
    });
    await remove(person);
    for (let tries = 0; tries < 4; tries++) {
      await t.runner.runDue();
      t.clock.advance(15 * MINUTE);
    }
    undo();
    expect((await jobOf(person.id)).status).toBe("done");
    expect((await rowOf(person.id)).name).toBe("Deleted");
  });

  test("an export that was being made when its owner left leaves no file", async () => {
    const before = await files();
    const person = await t.signIn();
    await t.request("/api/users/me/export", { method: "POST", token: person.accessToken });
    let reached = false;
    const undo = around(t.deps.storage, "putStream", {
      before: async () => {
        reached = true;
        expect((await remove(person)).status).toBe(204);
      },
    });
    await t.runner.runDue();
    undo();
    expect(reached).toBe(true);
    expect(await files()).toEqual(before);
    expect(Object.entries(await rowsOf(t, person.id)).filter(([, count]) => count > 0)).toEqual([]);
  });
});
