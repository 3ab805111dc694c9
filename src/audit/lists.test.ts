import { beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { type SignedInPerson, useTestApp } from "../../test/app";
import { after } from "../lib/clock";
import { newAuditEntry, person } from "./entry";
import type { AuditEntryResponse, OwnAuditEntryResponse } from "./schema";

/** A hang guard, far above what any test takes, also where others share the machine. */
setDefaultTimeout(60_000);

// One connection, so that its own counters are the application's.
const t = useTestApp(() => ({ databasePool: 1, trustedProxies: ["127.0.0.1"] }));
let admin: SignedInPerson;
beforeAll(async () => {
  admin = await t.signIn({ roles: ["admin"] });
});

interface Listed<Entry> {
  data: Entry[];
  page: { nextCursor: string | null; hasMore: boolean };
}
const get = (path: string, token = admin.accessToken) => t.request(`/api/users/${path}`, { token });
/** Every page of a list. */
async function walk<Entry = AuditEntryResponse>(path: string, token = admin.accessToken): Promise<Entry[]> {
  const all: Entry[] = [];
  let cursor = "";
  for (;;) {
    const answer = await get(`${path}${cursor}`, token);
    if (answer.status !== 200) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    const { data, page } = (await answer.json()) as Listed<Entry>;
    all.push(...data);
    expect(page.hasMore).toBe(page.nextCursor !== null);
    if (page.nextCursor === null) return all;
    cursor = `&cursor=${page.nextCursor}`;
  }
}
const change = (id: string, json: unknown) =>
  t.request(`/api/users/${id}`, {
    method: "PATCH",
    json,
    token: admin.accessToken,
    headers: { "if-match": "*", "x-forwarded-for": "203.0.113.77", "user-agent": "AdminAgent/1" },
  });

describe("the audit log", () => {
  test("is read with audit:read alone, and by nothing else touched", async () => {
    const someone = await t.signIn({ roles: ["manager"] });
    expect((await t.request("/api/users/audit-log")).status).toBe(401);
    expect((await get("audit-log", someone.accessToken)).status).toBe(403);
    const [entry] = await walk("audit-log?limit=100");
    const before = await t.deps.mysql.on().auditEntry.count();
    for (const method of ["POST", "PUT", "PATCH", "DELETE"]) {
      for (const path of ["audit-log", `audit-log/${entry?.id}`, "me/audit", `me/audit/${entry?.id}`]) {
        const answer = await t.request(`/api/users/${path}`, { method, json: {}, token: admin.accessToken });
        expect([404, 405, 422]).toContain(answer.status);
      }
    }
    expect(await t.deps.mysql.on().auditEntry.count()).toBe(before);
  });

  test("is filtered by action, actor, subject and time, in pages, the newest first", async () => {
    const target = await t.signIn();
    const start = t.clock.now().toISOString();
    for (let n = 0; n < 5; n++) {
      // Two at the same time, so that the id decides.
      if (n % 2 === 0) t.clock.advance(1);
      expect((await change(target.id, { ban: n % 2 === 0 ? { reason: `r${n}` } : null })).status).toBe(200);
    }
    t.clock.advance(1);
    const end = t.clock.now().toISOString();
    const all = await walk("audit-log?limit=100");
    expect(await walk("audit-log?limit=2")).toEqual(all);
    expect(all).toEqual(
      [...all].sort((a, b) => (a.at === b.at ? (a.id < b.id ? 1 : -1) : a.at < b.at ? 1 : -1)),
    );
    const onTarget = all.filter(({ subjectUserId }) => subjectUserId === target.id);
    expect(await walk(`audit-log?limit=2&filter[subject]=${target.id}`)).toEqual(onTarget);
    expect(onTarget).toHaveLength(6);
    expect(onTarget[0]).toMatchObject({
      action: "user.banned",
      actor: { kind: "user", id: admin.id },
      ip: "203.0.113.77",
      userAgent: "AdminAgent/1",
      detail: { reason: "r4" },
    });
    const banned = all.filter(({ action }) => action === "user.banned");
    expect(await walk("audit-log?limit=1&filter[action]=user.banned")).toEqual(banned);
    const by = all.filter(({ actor }) => actor.id === admin.id);
    expect(await walk(`audit-log?limit=2&filter[actor]=${admin.id}`)).toEqual(by);
    expect(
      await walk(
        `audit-log?limit=1&filter[actor]=${admin.id}&filter[action]=user.unbanned&filter[subject]=${target.id}`,
      ),
    ).toEqual(onTarget.filter(({ action }) => action === "user.unbanned"));
    const between = `filter[at][gte]=${encodeURIComponent(start)}&filter[at][lt]=${end}`;
    expect(await walk(`audit-log?limit=2&filter[subject]=${target.id}&${between}`)).toEqual(
      onTarget.filter(({ at }) => at >= start && at < end),
    );
    expect(await walk(`audit-log?filter[at][lt]=${encodeURIComponent("2020-01-01T01:00:00+01:00")}`)).toEqual(
      [],
    );
  });

  test("refuses what it does not know", async () => {
    const first = (await (await get("audit-log?limit=1")).json()) as Listed<AuditEntryResponse>;
    const bad: [string, number][] = [
      ["filter[action]=nothing", 422],
      ["filter[action][$ne]=x", 422],
      ["filter[actor]=1%27%20OR%201=1", 422],
      ["filter[at][gte]=yesterday", 422],
      ["filter[ip]=192.0.2.1", 422],
      ["sort=at", 422],
      ["limit=101", 422],
      ["cursor=x", 400],
      [`cursor=${first.page.nextCursor}&filter[action]=user.banned`, 400],
    ];
    for (const [query, status] of bad) {
      expect([query, (await get(`audit-log?${query}`)).status]).toEqual([query, status]);
    }
    expect((await get(`me/audit?cursor=${first.page.nextCursor}`)).status).toBe(400);
    expect((await get(`me/audit?filter[subject]=${admin.id}`)).status).toBe(422);
  });
});

describe("one's own log", () => {
  test("holds what one did and what was done to one, without who administers and from where", async () => {
    const someone = await t.signIn();
    const stranger = await t.signIn();
    t.clock.advance(1);
    await t.request("/auth/login", {
      method: "POST",
      json: { email: someone.email, password: "not the password" },
      headers: { "x-forwarded-for": "198.51.100.3" },
    });
    t.clock.advance(1);
    await change(someone.id, { roles: ["customer", "manager"] });
    t.clock.advance(1);
    await t.deps.audit.record(
      newAuditEntry(t.deps, "role.created", {
        actor: person(someone.id),
        subjectUserId: stranger.id,
        origin: { ip: "192.0.2.5", userAgent: "x" },
      }),
    );
    const own = await walk<OwnAuditEntryResponse>("me/audit?limit=1", someone.accessToken);
    expect(own).toEqual(await walk<OwnAuditEntryResponse>("me/audit?limit=100", someone.accessToken));
    expect(own.map(({ action, by, ip, subjectUserId }) => [action, by, ip, subjectUserId])).toEqual([
      ["role.created", "you", "192.0.2.5", stranger.id],
      ["user.roles_changed", "administrator", null, someone.id],
      ["sign_in.failed", "unknown", "198.51.100.3", someone.id],
      ["sign_in.succeeded", "you", "127.0.0.1", someone.id],
    ]);
    const text = JSON.stringify(own);
    for (const hidden of [admin.id, "203.0.113.77", "AdminAgent", stranger.email]) {
      expect(text).not.toContain(hidden);
    }
    const theirs = await walk<OwnAuditEntryResponse>("me/audit?limit=100", stranger.accessToken);
    expect(theirs.map(({ action, by, ip }) => [action, by, ip])).toEqual([
      ["role.created", "administrator", null],
      ["sign_in.succeeded", "you", "127.0.0.1"],
    ]);
  });

  test("is not for a server's key", async () => {
    const json = { name: "Sync", permissions: ["audit:read"], password: admin.password };
    const made = await t.request("/auth/api-keys", { method: "POST", json, token: admin.accessToken });
    const { key } = (await made.json()).data;
    expect((await get("me/audit", key)).status).toBe(403);
    expect((await get("audit-log", key)).status).toBe(200);
  });
});

describe("a page of 20 among 6,000 entries", () => {
  const PAGE = 20;
  let subject: string;
  beforeAll(async () => {
    subject = t.deps.random.id();
    const start = t.clock.now();
    await t.deps.mysql.on().auditEntry.createMany({
      data: Array.from({ length: 6000 }, (_, n) => ({
        id: t.deps.random.id(),
        at: after(start, n),
        action: n % 2 === 0 ? "sign_in.failed" : "sign_in.succeeded",
        actorKind: n % 2 === 0 ? "anonymous" : "user",
        actorId: n % 2 === 0 ? null : n % 3 === 0 ? subject : admin.id,
        subjectUserId: n % 3 === 0 ? subject : admin.id,
        detail: {},
      })),
    });
  });

  async function rowsRead(): Promise<number> {
    const rows = await t.deps.mysql.on().$queryRaw<{ Value: string }[]>`
      SHOW SESSION STATUS WHERE Variable_name IN
        ('Handler_read_first', 'Handler_read_key', 'Handler_read_last', 'Handler_read_next',
         'Handler_read_prev', 'Handler_read_rnd', 'Handler_read_rnd_next')`;
    return rows.reduce((sum, { Value }) => sum + Number(Value), 0);
  }

  test.each([
    "audit-log?",
    "audit-log?filter[action]=sign_in.failed",
    "audit-log?filter[subject]=SUBJECT",
    "audit-log?filter[actor]=SUBJECT",
    "audit-log?filter[actor]=SUBJECT&filter[action]=sign_in.succeeded",
    "me/audit?",
  ])("%s reads few rows", async (path) => {
    let cursor = "";
    for (let page = 0; page < 3; page++) {
      const before = await rowsRead();
      const own = (await rowsRead()) - before;
      const start = await rowsRead();
      const answer = await get(`${path.replace("SUBJECT", subject)}&limit=${PAGE}${cursor}`);
      expect((await rowsRead()) - start - own).toBeLessThan(10 * PAGE);
      const body = (await answer.json()) as Listed<unknown>;
      expect(body.data).toHaveLength(PAGE);
      cursor = `&cursor=${body.page.nextCursor}`;
    }
  });
});
