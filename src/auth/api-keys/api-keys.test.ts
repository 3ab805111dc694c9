import { beforeAll, describe, expect, test } from "bun:test";
import { type SignedInPerson, useTestApp } from "../../../test/app";
import { DAY, MINUTE } from "../../lib/clock";

const t = useTestApp();
let manager: SignedInPerson;
beforeAll(async () => {
  manager = await t.signIn({ roles: ["manager"] });
});

interface Made {
  id: string;
  key: string;
  permissions: string[];
  lastUsedAt: string | null;
}
const make = (json: object, token = manager.accessToken) =>
  t.request("/auth/api-keys", {
    method: "POST",
    json: { name: "Server", password: manager.password, ...json },
    token,
  });
async function made(json: object, token = manager.accessToken): Promise<Made> {
  const answer = await make(json, token);
  if (answer.status !== 201) throw new Error(`${answer.status} ${await answer.text()}`);
  return ((await answer.json()) as { data: Made }).data;
}
const list = async (token: string) =>
  ((await (await t.request("/auth/api-keys", { token })).json()) as { data: Made[] }).data;
const createProduct = (key: string) =>
  t.request("/api/products", { method: "POST", json: { name: "By a server", price: 1 }, token: key });

describe("API keys", () => {
  test("do what they and their owner both may, and nothing else", async () => {
    const { key } = await made({ permissions: ["products:write"] });
    expect((await createProduct(key)).status).toBe(201);
    expect((await t.request("/api/products/inventory/levels", { token: key })).status).toBe(403);
    const reader = await made({ permissions: ["inventory:read", "analytics:write"] });
    expect((await createProduct(reader.key)).status).toBe(403);
    expect((await t.request("/api/products/inventory/levels", { token: reader.key })).status).toBe(200);
    expect((await t.request("/api/analytics/reports/overview", { token: reader.key })).status).toBe(403);
  });

  test("with analytics:read reads the reports; without it, 403 from every one", async () => {
    const reads = await made({ permissions: ["analytics:read"] });
    const not = await made({ permissions: ["products:write"] });
    for (const report of [
      "overview",
      "timeseries",
      "products",
      "categories",
      "funnel",
      "searches",
      "retention",
      "sources",
    ]) {
      expect((await t.request(`/api/analytics/reports/${report}`, { token: reads.key })).status).toBe(200);
      expect((await t.request(`/api/analytics/reports/${report}`, { token: not.key })).status).toBe(403);
    }
  }, 60_000);

  test("a permission that the owner loses counts no more, on the next request", async () => {
    const owner = await t.signIn({ roles: ["manager"] });
    const { key } = await made({ permissions: ["products:write"] }, owner.accessToken);
    expect((await createProduct(key)).status).toBe(201);
    await t.deps.mysql.on().userRole.deleteMany({ where: { userId: owner.id, role: { name: "manager" } } });
    expect((await createProduct(key)).status).toBe(403);
  });

  test("nobody gives a key what they do not hold", async () => {
    const customer = await t.signIn();
    expect((await make({ permissions: ["products:write"] }, customer.accessToken)).status).toBe(403);
    expect((await make({ permissions: ["roles:write"] })).status).toBe(403);
    expect(await list(customer.accessToken)).toEqual([]);
  });

  test("a key cannot do what is a person's alone: more keys, sessions, the account", async () => {
    const { key } = await made({ permissions: ["products:write"] });
    expect((await make({ permissions: ["products:write"] }, key)).status).toBe(403);
    for (const path of ["/auth/api-keys", "/auth/sessions", "/api/users/me"]) {
      expect((await t.request(path, { token: key })).status).toBe(403);
    }
    expect((await t.request("/auth/logout", { method: "POST", token: key })).status).toBe(403);
  });

  test("revoked, expired, of a banned or deleted owner: uniform 401", async () => {
    const owner = await t.signIn({ roles: ["manager"] });
    const refused = async (key: string) => {
      const answer = await createProduct(key);
      const { requestId: _, ...body } = (await answer.json()) as Record<string, unknown>;
      return [answer.status, body];
    };
    const nonsense = await refused(`aizy_${"0".repeat(32)}_${"A".repeat(43)}`);
    expect(nonsense[0]).toBe(401);
    const revoked = await made({ permissions: ["products:write"] }, owner.accessToken);
    const path = `/auth/api-keys/${revoked.id}`;
    expect((await t.request(path, { method: "DELETE", token: manager.accessToken })).status).toBe(404);
    expect((await createProduct(revoked.key)).status).toBe(201);
    expect((await t.request(path, { method: "DELETE", token: owner.accessToken })).status).toBe(204);
    expect((await t.request(path, { method: "DELETE", token: owner.accessToken })).status).toBe(404);
    expect(await refused(revoked.key)).toEqual(nonsense);

    const banned = await made({ permissions: ["products:write"] }, owner.accessToken);
    await t.deps.mysql.on().user.update({ where: { id: owner.id }, data: { bannedAt: t.clock.now() } });
    expect(await refused(banned.key)).toEqual(nonsense);
    await t.deps.mysql.on().user.update({ where: { id: owner.id }, data: { bannedAt: null } });
    expect((await createProduct(banned.key)).status).toBe(201);
    t.clock.advance(91 * DAY);
    expect(await refused(banned.key)).toEqual(nonsense);
    manager = await t.signIn({ roles: ["manager"] });
  });

  test("another secret, another spelling, and other shapes are 401, never 500", async () => {
    const { key } = await made({ permissions: ["products:write"] });
    const last = key.at(-1) ?? "";
    // The last character of 43 holds two spare bits: three other characters decode to the same bytes.
    const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const sibling = alphabet[alphabet.indexOf(last) ^ 1] ?? "";
    for (const bad of [
      key.slice(0, -1) + sibling,
      key.slice(0, -1),
      `${key}A`,
      key.toUpperCase(),
      key.replace("aizy_", "aizy_0"),
      "aizy_",
      "aizy__",
      `aizy_${"z".repeat(32)}_${"A".repeat(43)}`,
    ]) {
      expect((await createProduct(bad)).status).toBe(401);
    }
  });

  test("the key is shown once and lies nowhere; its last use is noted at most once a minute", async () => {
    const { id, key, lastUsedAt } = await made({ permissions: ["products:write"] });
    expect(lastUsedAt).toBeNull();
    const secret = key.split("_").slice(2).join("_");
    const row = await t.deps.mysql.on().apiKey.findUnique({ where: { id } });
    expect(JSON.stringify(row)).not.toContain(secret);
    expect(Buffer.from(row?.secretHash ?? []).equals(Buffer.from(secret, "base64url"))).toBe(false);
    const mine = async () => (await list(manager.accessToken)).find((one) => one.id === id);
    expect(JSON.stringify(await mine())).not.toContain(secret);
    await createProduct(key);
    const first = (await mine())?.lastUsedAt;
    expect(first).toBe(t.clock.now().toISOString());
    t.clock.advance(MINUTE / 2);
    await createProduct(key);
    expect((await mine())?.lastUsedAt).toBe(first ?? "");
    t.clock.advance(MINUTE);
    await createProduct(key);
    expect((await mine())?.lastUsedAt).not.toBe(first);
  });

  test.each([
    [{}],
    [{ permissions: [] }],
    [{ permissions: ["everything"] }],
    [{ permissions: { $ne: null } }],
    [{ permissions: ["products:write"], expiresInDays: 0 }],
    [{ permissions: ["products:write"], expiresInDays: 366 }],
    [{ permissions: ["products:write"], expiresInDays: 1.5 }],
    [{ permissions: ["products:write"], name: "" }],
    [{ permissions: ["products:write"], userId: "x" }],
  ])("%j is 422", async (json) => {
    expect((await make(json)).status).toBe(422);
  });

  test("events of a server come with a key that may send them", async () => {
    const batch = [
      { messageId: crypto.randomUUID(), type: "track", event: "Product Viewed", anonymousId: "a" },
    ];
    const { key } = await made({ permissions: ["analytics:write"] });
    const not = await made({ permissions: ["products:write"] });
    const send = (token: string) =>
      t.request("/api/analytics/events", { method: "POST", json: { batch }, token });
    expect((await send(key)).status).toBe(202);
    expect((await send(not.key)).status).toBe(403);
  });
});
