import { beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { type SignedInPerson, useTestApp } from "../../../test/app";
import { around, gate } from "../../../test/interleave";
import { after, DAY } from "../../lib/clock";
import { emailKey } from "../../lib/email";

/** A hang guard, far above what any test takes, also where others share the machine. */
setDefaultTimeout(60_000);

const t = useTestApp();
let admin: SignedInPerson;
/** Holds users:read, users:write and roles:write and nothing else. */
let support: SignedInPerson;
beforeAll(async () => {
  admin = await t.signIn({ roles: ["admin"], email: "admin@example.com", name: "Admin" });
  const role = { name: "support", permissions: ["users:read", "users:write", "roles:write"] };
  expect((await send("POST", "/api/users/roles", role)).status).toBe(201);
  support = await t.signIn({ roles: ["support"], email: "support@example.com", name: "Support" });
});

const send = (
  method: string,
  path: string,
  json?: unknown,
  headers: Record<string, string> = {},
  token = admin.accessToken,
) => t.request(path, { method, json, headers, token });
const patch = (
  id: string,
  json: unknown,
  by = admin,
  headers: Record<string, string> = { "if-match": "*" },
) => send("PATCH", `/api/users/${id}`, json, headers, by.accessToken);
const ban = (id: string, by = admin) => patch(id, { ban: { reason: "spam" } }, by);
const read = async (id: string) => (await (await send("GET", `/api/users/${id}`)).json()).data;
const me = async (token: string) => (await t.request("/api/users/me", { token })).status;
const problem = async (answer: Response) => [answer.status, (await answer.json()).code];
const actsOn = async (id: string) =>
  (
    await t.deps.mysql.on().auditEntry.findMany({
      where: { subjectUserId: id, actorKind: { not: "anonymous" } },
      orderBy: [{ at: "asc" }, { id: "asc" }],
    })
  ).map(({ action, actorId, detail }) => [action, actorId, detail]);

describe("reading people", () => {
  test("needs users:read; an id that is none is 422, one that nobody has 404", async () => {
    const person = await t.signIn();
    const manager = await t.signIn({ roles: ["manager"] });
    for (const path of [
      "/api/users",
      `/api/users/${person.id}`,
      "/api/users/roles",
      "/api/users/permissions",
    ]) {
      expect((await t.request(path)).status).toBe(401);
      expect((await send("GET", path, undefined, {}, person.accessToken)).status).toBe(403);
      expect((await send("GET", path, undefined, {}, manager.accessToken)).status).toBe(403);
      expect((await send("GET", path, undefined, {}, support.accessToken)).status).toBe(200);
    }
    expect((await send("GET", "/api/users/nonsense")).status).toBe(422);
    expect((await send("GET", `/api/users/${t.deps.random.id()}`)).status).toBe(404);
  });

  test("shows what there is and no internal field, with an ETag", async () => {
    const person = await t.signIn({ name: "Zo\u00eb" });
    const answer = await send("GET", `/api/users/${person.id}`);
    expect(answer.headers.get("etag")).toMatch(/^"v\d+"$/);
    const { data } = await answer.json();
    expect(data).toEqual({
      id: person.id,
      email: person.email,
      name: "Zo\u00eb",
      status: "active",
      roles: ["customer"],
      emailVerifiedAt: expect.any(String),
      bannedAt: null,
      banReason: null,
      version: expect.any(Number),
      createdAt: expect.any(String),
      updatedAt: expect.any(String),
    });
  });
});

describe("a ban", () => {
  test("ends every session at once, is recorded with its reason, and can be lifted", async () => {
    const person = await t.signIn();
    const { version } = await read(person.id);
    const banned = await patch(person.id, { ban: { reason: "  spam \u2603 " } }, support, {
      "if-match": `"v${version}"`,
    });
    expect(banned.status).toBe(200);
    expect(banned.headers.get("etag")).toBe(`"v${version + 1}"`);
    expect((await banned.json()).data).toMatchObject({
      status: "banned",
      banReason: "spam \u2603",
      bannedAt: t.clock.now().toISOString(),
    });
    await t.runner.runDue();
    const mails = t.mails.filter(({ subject }) => subject === "Your account was banned");
    expect(mails).toEqual([expect.objectContaining({ to: person.email })]);
    expect(mails[0]?.text).toContain("spam \u2603");
    expect(await me(person.accessToken)).toBe(401);
    const refresh = { refreshToken: person.refreshToken };
    expect((await t.request("/auth/refresh", { method: "POST", json: refresh })).status).toBe(401);
    const login = () =>
      t.request("/auth/login", {
        method: "POST",
        json: { email: person.email, password: person.password },
      });
    expect((await login()).status).toBe(401);
    const lifted = await patch(person.id, { ban: null });
    expect((await lifted.json()).data).toMatchObject({ status: "active", bannedAt: null, banReason: null });
    expect(await me(person.accessToken)).toBe(401);
    const { accessToken } = (await (await login()).json()).data;
    const ended = await t.request("/auth/sessions?state=ended", { token: accessToken });
    expect((await ended.json()).data[0]).toMatchObject({
      endReason: "banned",
      endDetail: "banned: spam \u2603",
    });
    expect((await actsOn(person.id)).filter(([action]) => String(action).startsWith("user."))).toEqual([
      ["user.banned", support.id, { reason: "spam \u2603" }],
      ["user.unbanned", admin.id, {}],
    ]);
  });

  test("needs If-Match, and a stale one changes nothing", async () => {
    const person = await t.signIn();
    const { version } = await read(person.id);
    expect((await patch(person.id, { ban: { reason: "x" } }, admin, {})).status).toBe(428);
    const stale = await patch(person.id, { ban: { reason: "x" } }, admin, {
      "if-match": `"v${version - 1}"`,
    });
    expect(stale.status).toBe(412);
    expect((await stale.json()).currentVersion).toBe(version);
    expect(await read(person.id)).toMatchObject({ status: "active", version });
    expect(await me(person.accessToken)).toBe(200);
  });

  test("is not for oneself, for someone who holds more, or without users:write", async () => {
    expect(await problem(await ban(admin.id))).toEqual([409, "conflict"]);
    expect(await problem(await ban(admin.id, support))).toEqual([403, "forbidden"]);
    const granter = await t.signIn({ roles: [await roleOf(["users:read", "roles:write"])] });
    const person = await t.signIn();
    expect(await problem(await ban(person.id, granter))).toEqual([403, "forbidden"]);
    expect(await problem(await ban(person.id, person))).toEqual([403, "forbidden"]);
    expect(
      (await send("DELETE", `/api/users/${admin.id}/sessions`, undefined, {}, support.accessToken)).status,
    ).toBe(403);
    expect(await me(admin.accessToken)).toBe(200);
    expect(await me(person.accessToken)).toBe(200);
  });

  test("a body with anything else in it is refused and changes nothing", async () => {
    const person = await t.signIn();
    const before = await t.deps.users.findById(person.id);
    const bodies = [
      {},
      { ban: {} },
      { ban: { reason: "" } },
      { ban: { reason: " " } },
      { ban: { reason: { $ne: null } } },
      { ban: { reason: "x".repeat(201) } },
      { ban: { reason: "a\r\nb" } },
      { ban: "spam" },
      { ban: null, email: "other@example.com" },
      { ban: null, id: admin.id },
      { ban: null, emailVerifiedAt: null },
      { ban: null, emailVerified: true },
      { ban: null, role: "admin" },
      { ban: null, hashedPassword: "x" },
      { ban: null, version: 1 },
      { roles: "admin" },
      { roles: [{ $ne: null }] },
      { roles: ["Admin"] },
      { roles: ["no-such-role"] },
      { roles: ["customer", "admin'; DROP TABLE users; --"] },
    ];
    for (const body of bodies) expect([body, (await patch(person.id, body)).status]).toEqual([body, 422]);
    for (const raw of ['{"ban":null,"__proto__":{"roles":["admin"]}}', '{"ban":null,"constructor":{}}']) {
      const answer = await t.request(`/api/users/${person.id}`, {
        method: "PATCH",
        body: raw,
        token: admin.accessToken,
        headers: { "content-type": "application/json", "if-match": "*" },
      });
      expect([raw, answer.status]).toEqual([raw, 422]);
    }
    expect(await t.deps.users.findById(person.id)).toEqual(before);
  });
});

let made = 0;
/** A new role with these permissions. */
async function roleOf(permissions: string[]): Promise<string> {
  const name = `role-${++made}`;
  expect((await send("POST", "/api/users/roles", { name, permissions })).status).toBe(201);
  return name;
}

describe("roles of a person", () => {
  test("are set as a whole, count on the next request, and are recorded", async () => {
    const person = await t.signIn();
    expect((await send("GET", "/api/users", undefined, {}, person.accessToken)).status).toBe(403);
    const granted = await patch(person.id, { roles: ["support", "customer", "support"] });
    expect((await granted.json()).data.roles).toEqual(["customer", "support"]);
    expect((await send("GET", "/api/users", undefined, {}, person.accessToken)).status).toBe(200);
    expect((await (await patch(person.id, { roles: ["manager"] })).json()).data.roles).toEqual(["manager"]);
    expect((await send("GET", "/api/users", undefined, {}, person.accessToken)).status).toBe(403);
    expect((await actsOn(person.id)).filter(([action]) => action === "user.roles_changed")).toEqual([
      ["user.roles_changed", admin.id, { added: ["support"], removed: [] }],
      ["user.roles_changed", admin.id, { added: ["manager"], removed: ["customer", "support"] }],
    ]);
  });

  test("nobody grants above their own, to themselves or others", async () => {
    const person = await t.signIn();
    for (const target of [person, support]) {
      for (const role of ["admin", "manager"]) {
        const answer = await patch(target.id, { roles: ["support", role] }, support);
        expect(await problem(answer)).toEqual([403, "forbidden"]);
      }
    }
    expect((await read(person.id)).roles).toEqual(["customer"]);
    expect((await read(support.id)).roles).toEqual(["customer", "support"]);
    expect((await patch(person.id, { roles: ["support", "customer"] }, support)).status).toBe(200);
  });

  test("nobody takes from someone who holds more", async () => {
    const manager = await t.signIn({ roles: ["manager"] });
    expect(await problem(await patch(manager.id, { roles: [] }, support))).toEqual([403, "forbidden"]);
    expect((await read(manager.id)).roles).toEqual(["customer", "manager"]);
  });

  test("a key of an administrator grants only what the key holds", async () => {
    const json = { name: "Sync", permissions: ["users:read", "roles:write"], password: admin.password };
    const { key } = (await (await send("POST", "/auth/api-keys", json)).json()).data;
    const person = await t.signIn();
    const set = (roles: string[]) =>
      send("PATCH", `/api/users/${person.id}`, { roles }, { "if-match": "*" }, key);
    expect(await problem(await set(["manager"]))).toEqual([403, "forbidden"]);
    expect(await problem(await set(["admin"]))).toEqual([403, "forbidden"]);
    const weak = await roleOf(["users:read"]);
    expect((await set([weak])).status).toBe(200);
  });

  test("a caller who loses the permission while the request waits changes nothing", async () => {
    const granter = await t.signIn({ roles: ["support"] });
    const person = await t.signIn();
    const lock = gate();
    // The guard lets it through; then another request is faster at the lock.
    const undo = around(t.deps.roles, "lockAdministration", { before: lock.wait });
    const waiting = patch(person.id, { ban: { reason: "x" } }, granter);
    await lock.reached;
    expect((await patch(granter.id, { roles: [] })).status).toBe(200);
    lock.open();
    expect(await problem(await waiting)).toEqual([403, "forbidden"]);
    undo();
    expect((await read(person.id)).status).toBe("active");
  });
});

/** A key of someone, as a row. */
async function keyOf(userId: string): Promise<{ id: string; name: string }> {
  const [id, name] = [t.deps.random.id(), "Till <1>"];
  const now = t.clock.now();
  const bytes = t.deps.random.bytes(32);
  await t.deps.mysql.on().apiKey.create({
    data: {
      id,
      userId,
      name,
      secretDigest: bytes,
      secretHash: bytes,
      permissions: [],
      createdAt: now,
      expiresAt: after(now, DAY),
    },
  });
  return { id, name };
}

describe("the sessions of a person", () => {
  test("are ended by an administrator, and the person sees it", async () => {
    const person = await t.signIn();
    const answer = await send(
      "DELETE",
      `/api/users/${person.id}/sessions`,
      undefined,
      {},
      support.accessToken,
    );
    expect((await answer.json()).data).toEqual({ ended: 1 });
    expect(await me(person.accessToken)).toBe(401);
    const again = await t.request("/auth/login", {
      method: "POST",
      json: { email: person.email, password: person.password },
    });
    const token = (await again.json()).data.accessToken;
    const ended = await t.request("/auth/sessions?state=ended", { token });
    expect((await ended.json()).data[0]).toMatchObject({ endReason: "ended_by_administrator" });
    expect(await actsOn(person.id)).toContainEqual(["user.sessions_ended", support.id, { ended: 1 }]);
    expect((await send("DELETE", `/api/users/${t.deps.random.id()}/sessions`)).status).toBe(404);
  });

  test("their API keys are named, or revoked when that is asked, and then they are told", async () => {
    const person = await t.signIn();
    const { id, name } = await keyOf(person.id);
    const end = async (query: string) =>
      (
        await send("DELETE", `/api/users/${person.id}/sessions${query}`, undefined, {}, support.accessToken)
      ).json();
    expect((await end("")).data).toEqual({ ended: 1, apiKeys: { revoked: [], working: [{ id, name }] } });
    await t.runner.runDue();
    expect(t.mails.filter(({ to }) => to === person.email)).toEqual([]);
    const { data } = await end("?revokeApiKeys=true");
    expect(data).toEqual({ ended: 0, apiKeys: { revoked: [{ id, name }], working: [] } });
    await t.runner.runDue();
    const [mail] = t.mails.filter(({ to }) => to === person.email);
    expect(mail?.subject).toBe("An API key was revoked");
    expect(mail?.text).toContain(`“${name}”`);
    expect(mail?.text).toContain("by an administrator");
    const detail = { reason: "ended_by_administrator", keyIds: [id] };
    expect(await actsOn(person.id)).toContainEqual(["api_key.revoked", support.id, detail]);
    expect((await end("?revokeApiKeys=true")).data).toEqual({ ended: 0 });
    expect((await send("DELETE", `/api/users/${person.id}/sessions?revokeApiKeys=1`)).status).toBe(422);
  });
});

describe("lists", () => {
  interface Listed {
    data: { id: string; name: string; email: string; status: string; roles: string[] }[];
    page: { nextCursor: string | null; hasMore: boolean };
  }
  const list = async (query: string): Promise<Listed> => {
    const answer = await send("GET", `/api/users?${query}`);
    if (answer.status !== 200) throw new Error(`${query}: ${answer.status} ${await answer.text()}`);
    return answer.json();
  };
  /** Every page of a list. */
  async function walk(query: string) {
    const all: Listed["data"] = [];
    let cursor = "";
    for (;;) {
      const { data, page } = await list(`${query}${cursor}`);
      all.push(...data);
      expect(page.hasMore).toBe(page.nextCursor !== null);
      if (page.nextCursor === null) return all;
      cursor = `&cursor=${page.nextCursor}`;
    }
  }
  const names = (people: Listed["data"]) => people.map(({ name }) => name);

  /** People as registrations make them, without a password hash each. */
  async function add(name: string, email: string, state: "active" | "unverified" | "banned" = "active") {
    t.clock.advance(1);
    const now = t.clock.now();
    const id = t.deps.random.id();
    const user = { id, name, email, emailCanonical: emailKey(email), now };
    await t.deps.users.findOrCreate(user);
    // As the job does that mails the code.
    await t.deps.users.saveWords(id);
    if (state !== "unverified") {
      await t.deps.users.verify(id, { name, email, hashedPassword: "none", now });
      await t.deps.roles.grantNamed(id, "customer", now);
    }
    if (state === "banned") await t.deps.mysql.on().user.update({ where: { id }, data: { bannedAt: now } });
    return id;
  }
  beforeAll(async () => {
    for (let n = 0; n < 12; n++)
      await add(`Lister ${n % 3}`, `list-${String(n).padStart(2, "0")}@lists.example`);
    for (let n = 0; n < 3; n++) await add(`Lister banned`, `list-b${n}@lists.example`, "banned");
    for (let n = 0; n < 3; n++) await add(`Lister new`, `list-u${n}@lists.example`, "unverified");
    await add("\u00c9lodie 100%_!", "percent%_!\\@lists.example");
    await add("list-00@ is my name", "another@lists.example");
  });

  test("by time, name and address, both ways, in pages without gaps or repeats", async () => {
    const everyone = await walk("limit=100");
    const byTime = await walk("limit=7");
    expect(byTime).toEqual(everyone);
    expect(await walk("limit=5&sort=createdAt")).toEqual([...everyone].reverse());
    const found = await walk("limit=4&sort=name");
    expect(found).toHaveLength(everyone.length);
    expect(await walk("limit=3&sort=-name")).toEqual([...found].reverse());
    const emails = (await walk("limit=6&sort=email")).map(({ email }) => email);
    expect(emails).toEqual(everyone.map(({ email }) => email).sort());
    expect((await walk("limit=6&sort=-email")).map(({ email }) => email)).toEqual([...emails].reverse());
  });

  test("filtered by status and role, also together", async () => {
    for (const sort of ["createdAt", "-createdAt", "name", "-email"]) {
      const banned = await walk(`limit=2&filter[status]=banned&sort=${sort}`);
      expect(names(banned)).toEqual(Array(3).fill("Lister banned"));
      const managed = await walk(`limit=2&filter[role]=support&sort=${sort}`);
      expect(managed.map(({ id }) => id)).toContain(support.id);
      for (const { roles } of managed) expect(roles).toContain("support");
      const both = await walk(`limit=1&filter[role]=customer&filter[status]=banned&sort=${sort}`);
      expect(both.map(({ id }) => id)).toEqual(banned.map(({ id }) => id));
      const active = await walk(`limit=1&filter[role]=support&filter[status]=active&sort=${sort}`);
      expect(active.map(({ id }) => id)).toEqual(managed.map(({ id }) => id));
    }
    expect(names(await walk("filter[status]=unverified&q=list-"))).toEqual(Array(3).fill("Lister new"));
  });

  test("searched by the beginning of an address or a name, in whatever case, addresses first", async () => {
    const found = await walk("q=LIST-0&limit=4");
    expect(found).toHaveLength(11);
    expect(found.slice(0, 10).map(({ email }) => email)).toEqual(
      Array.from({ length: 10 }, (_, n) => `list-0${n}@lists.example`),
    );
    expect(found[10]?.name).toBe("list-00@ is my name");
    expect(await walk("q=lister&limit=5")).toHaveLength(18);
    expect(names(await walk(`q=${encodeURIComponent("\u00e9LOD")}`))).toEqual(["\u00c9lodie 100%_!"]);
    expect(names(await walk(`q=${encodeURIComponent("e\u0301lod")}`))).toEqual(["\u00c9lodie 100%_!"]);
    expect(await walk("q=lister%20new&filter[role]=customer")).toEqual([]);
  });

  test("what means something in a pattern is only itself in a search", async () => {
    for (const q of ["%", "_", "!", "\\", "%_", "list%", "l_st", "'", '" OR 1=1 --', "\u0000"]) {
      expect([q, names(await walk(`q=${encodeURIComponent(q)}`))]).toEqual([q, []]);
    }
    const own = `q=${encodeURIComponent("percent%_!\\@")}`;
    expect(names(await walk(own))).toEqual(["\u00c9lodie 100%_!"]);
    expect(names(await walk(`q=${encodeURIComponent("\u00e9lodie 100%_")}`))).toHaveLength(1);
  });

  test("what is not known is refused", async () => {
    const { page } = await list("limit=1");
    const bad: [string, number][] = [
      ["sort=password", 422],
      ["sort=name&q=a", 422],
      ["filter[status]=gone", 422],
      ["filter[role]=no-such-role", 422],
      ["filter[role]=Admin%27", 422],
      ["filter[hashedPassword]=x", 422],
      ["filter[status][$ne]=active", 422],
      ["q[$ne]=x", 422],
      ["q=", 422],
      ["q=a&q=b", 422],
      ["limit=0", 422],
      ["limit=101", 422],
      ["page=2", 422],
      ["__proto__=1", 422],
      ["cursor=nonsense", 400],
      [`cursor=${page.nextCursor}&sort=name`, 400],
      [`cursor=${page.nextCursor}&filter[status]=active`, 400],
    ];
    for (const [query, status] of bad) {
      expect([query, (await send("GET", `/api/users?${query}`)).status]).toEqual([query, status]);
    }
  });
});
