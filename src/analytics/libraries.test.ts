import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { gzipSync } from "node:zlib";
import RudderAnalytics from "@rudderstack/rudder-sdk-node";
import { Analytics } from "@segment/analytics-node";
import { BROWSER, emptyAnalytics, eventsOf } from "../../test/analytics";
import { type SignedInPerson, useTestApp } from "../../test/app";
import { chromiumPath, openBrowser } from "../../test/browser";
import { eventually } from "../../test/processes";

const t = useTestApp();
let manager: SignedInPerson;
let server: Bun.Server<undefined>;
let host: string;
let writeKey: string;

const makeKey = async (json: object): Promise<string> => {
  const headers = { "idempotency-key": crypto.randomUUID() };
  const path = "/api/analytics/write-keys";
  const answer = await t.request(path, { method: "POST", json, token: manager.accessToken, headers });
  expect(answer.status).toBe(201);
  return ((await answer.json()) as { data: { key: string } }).data.key;
};
beforeAll(async () => {
  manager = await t.signIn({ roles: ["manager"] });
  writeKey = await makeKey({ name: "Shop" });
  server = Bun.serve({ port: 0, fetch: (request, own) => t.app.fetch(request, { server: own }) });
  host = `http://localhost:${server.port}`;
});
afterAll(() => server.stop(true));
beforeEach(() => emptyAnalytics(t));

const stored = () => eventsOf(t).find({}).sort({ sequence: 1 }).toArray();
const arrived = (count: number) =>
  eventually(async () => (await eventsOf(t).countDocuments()) === count, `${count} events`);
const basic = (key: string) => ({ authorization: `Basic ${btoa(`${key}:`)}` });
const send = (call: string, body: unknown, headers: Record<string, string> = {}) =>
  t.request(`/v1/${call}`, {
    method: "POST",
    headers: { "content-type": "application/json", "user-agent": BROWSER, ...headers },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });

describe("libraries work unchanged", () => {
  test("@segment/analytics-node", async () => {
    const analytics = new Analytics({ writeKey, host, flushAt: 6, maxRetries: 0 });
    const failures: unknown[] = [];
    analytics.on("error", (error) => failures.push(error));
    analytics.identify({ userId: "ann", traits: { plan: "pro" } });
    analytics.track({ userId: "ann", event: "Order Completed", properties: { order_id: "1", total: 5 } });
    analytics.page({ anonymousId: "a1", name: "Home", properties: { url: "https://shop.example/" } });
    analytics.screen({ anonymousId: "a1", name: "Start" });
    analytics.group({ userId: "ann", groupId: "g1" });
    analytics.alias({ userId: "ann", previousId: "a1" });
    await analytics.closeAndFlush();
    expect(failures).toEqual([]);
    const events = await stored();
    expect(events.map(({ type, userId, device, bot }) => [type, userId, device, bot])).toEqual([
      ["identify", "ann", null, false],
      ["track", "ann", null, false],
      ["page", null, "a1", false],
      ["screen", null, "a1", false],
      ["group", "ann", null, false],
      ["alias", "ann", null, false],
    ]);
    // Its server's address and program are nobody's, and what it says is no visit.
    expect(events[1]).toMatchObject({ kind: "order", origin: "browser", address: null, background: true });
    expect(events[2]).toMatchObject({ kind: "page", page: { path: "/" } });
  });

  test("@rudderstack/rudder-sdk-node, with gzip", async () => {
    const rudder = new RudderAnalytics(writeKey, { dataPlaneUrl: host, flushAt: 2, gzip: true });
    rudder.track({ userId: "bob", event: "Product Viewed", properties: { product_id: "p" } });
    rudder.identify({ anonymousId: "b1", userId: "", traits: { mood: "good" } } as never);
    await rudder.flush();
    await arrived(2);
    // Two requests under way at once: either may be the first.
    const events = (await stored()).sort((a, b) => b.type.localeCompare(a.type));
    expect(events).toMatchObject([
      { type: "track", userId: "bob", kind: "view", products: [{ id: "p" }] },
      { type: "identify", userId: null, device: "b1" },
    ]);
  });

  /** What a page with this script does in a browser, which sends so many events. */
  async function inBrowser(entry: string, count: number) {
    const path = `${process.cwd()}/src/analytics/page-entry.ts`;
    const build = await Bun.build({ entrypoints: [path], files: { [path]: entry }, target: "browser" });
    const script = (await build.outputs[0]?.text()) ?? "";
    const html = '<title>Shop</title><script type="module" src="/page.js"></script>';
    const page = Bun.serve({
      port: 0,
      fetch: ({ url }) => {
        const [body, type] = url.endsWith(".js") ? [script, "text/javascript"] : [html, "text/html"];
        return new Response(body, { headers: { "content-type": type } });
      },
    });
    const browser = await openBrowser();
    await (await browser.context.newPage()).goto(`http://localhost:${page.port}/`);
    await arrived(count);
    await browser.close();
    await page.stop(true);
    return stored();
  }

  test.skipIf(chromiumPath() === undefined)("@segment/analytics-next in a browser", async () => {
    const events = await inBrowser(
      `import { AnalyticsBrowser } from "@segment/analytics-next";
      const apiHost = "localhost:${server.port}/v1";
      const settings = { "Segment.io": { apiKey: "${writeKey}", apiHost, protocol: "http" } };
      const analytics = AnalyticsBrowser.load(
        { writeKey: "${writeKey}", cdnSettings: { integrations: settings } },
        { integrations: settings },
      );
      analytics.page("Home");
      analytics.track("Product Added", { product_id: "p" });
      analytics.identify("cem");`,
      3,
    );
    expect(events.map(({ type }) => type).sort()).toEqual(["identify", "page", "track"]);
    expect(new Set(events.map(({ device }) => device)).size).toBe(1);
    expect(events.find(({ type }) => type === "page")).toMatchObject({ name: "Home", origin: "browser" });
  });

  test.skipIf(chromiumPath() === undefined)("@rudderstack/analytics-js in a browser", async () => {
    const events = await inBrowser(
      `import { RudderAnalytics } from "@rudderstack/analytics-js/bundled";
      const rudder = new RudderAnalytics();
      const source = { id: "shop", name: "Shop", writeKey: "${writeKey}", enabled: true, workspaceId: "w" };
      rudder.load("${writeKey}", "${host}${t.deps.config.analyticsPath}", {
        getSourceConfig: () => ({ source: { ...source, config: {}, connections: [], destinations: [] } }),
      });
      rudder.page("Home");
      rudder.track("Product Added", { product_id: "p" });
      rudder.identify("cem", { plan: "pro" });
      rudder.group("g1");
      rudder.alias("cem2", "cem");`,
      5,
    );
    const types = ["alias", "group", "identify", "page", "track"];
    expect(events.map(({ type }) => type).sort()).toEqual(types as never);
    expect(new Set(events.map(({ device }) => device)).size).toBe(1);
    expect(events.find(({ type }) => type === "page")).toMatchObject({
      name: "Home",
      origin: "browser",
      page: { path: "/", title: "Shop" },
    });
    expect(events.find(({ type }) => type === "track")).toMatchObject({
      kind: "add",
      userId: null,
      products: [{ id: "p" }],
    });
    expect(events.find(({ type }) => type === "identify")).toMatchObject({ userId: "cem" });
  });

  test("plain fetch: short forms, the key in the body, no message id, no content type, unknown fields", async () => {
    for (const [call, body] of [
      ["t", { event: "Product Viewed", anonymousId: "x", originalTimestamp: "2026-01-01T10:00:00.000Z" }],
      ["p", { name: "Home", userId: "", anonymousId: "x", foo: 1, rudderId: "r" }],
      ["batch", { batch: [{ type: "track", event: "A", anonymousId: "x", foo: 1 }], sentAt: "nonsense" }],
    ] as const) {
      const answer = await send(call, { ...body, writeKey }, { "content-type": "text/plain;charset=UTF-8" });
      expect(await answer.json()).toMatchObject({ success: true, data: { accepted: 1, rejected: [] } });
    }
    const bare = await t.request("/v1/track", {
      method: "POST",
      headers: basic(writeKey),
      body: new Blob([JSON.stringify({ event: "B", anonymousId: "x" })]),
    });
    expect(bare.status).toBe(200);
    const ignored = await send("b", {
      batch: [
        { type: "page", foo: 1 },
        { type: "page", foo: 2 },
      ],
      writeKey,
    });
    expect((await ignored.json()) as object).toMatchObject({
      data: { ignored: [{ path: "batch.*.foo", reason: "unknown field; 2 events have it" }] },
    });
    expect((await stored())[0]?.clientAt).toEqual(new Date("2026-01-01T10:00:00.000Z"));
  });
});

describe("write keys", () => {
  const track = { event: "A", anonymousId: "x" };

  test("let nobody in without one, with a wrong one, and when it was revoked", async () => {
    const key = await makeKey({ name: "Old" });
    expect((await send("track", track, basic(key))).status).toBe(200);
    const revoke = () =>
      t.request(`/api/analytics/write-keys/${key}`, { method: "DELETE", token: manager.accessToken });
    expect([(await revoke()).status, (await revoke()).status]).toEqual([204, 204]);
    await t.runner.runDue();
    const entries = await t.deps.mysql.on().auditEntry.findMany({
      where: { action: { startsWith: "write_key." } },
      orderBy: { at: "asc" },
    });
    const own = entries.filter(({ detail }) => (detail as { key?: string }).key === key);
    // Made and revoked once, though it was revoked twice.
    expect(own.map(({ action, actorId, detail }) => [action, actorId, detail])).toEqual([
      ["write_key.created", manager.id, { key, name: "Old", origins: [] }],
      ["write_key.revoked", manager.id, { key, name: "Old" }],
    ]);
    const wrong = [key, `${key.slice(0, -1)}~`, `wk_${"x".repeat(22)}`, "", "key", "ak_1.2", "\u00ff"];
    for (const one of wrong)
      expect([one, (await send("track", track, basic(one))).status]).toEqual([one, 401]);
    expect((await send("track", { ...track, writeKey: { $ne: "" } })).status).toBe(401);
    expect((await send("track", track, { authorization: "Basic ***" })).status).toBe(401);
    expect((await send("track", track, { authorization: `Bearer ${manager.accessToken}` })).status).toBe(401);
  });

  test("are for pages of their origins, and read nothing", async () => {
    const key = await makeKey({ name: "One", origins: ["https://shop.example"] });
    const from = (origin?: string) => send("track", track, { ...basic(key), ...(origin ? { origin } : {}) });
    expect((await from("https://shop.example")).headers.get("access-control-allow-origin")).toBe("*");
    expect((await from("https://evil.example")).status).toBe(403);
    expect((await from()).status).toBe(200);
    for (const scheme of ["Bearer", "Basic"]) {
      const headers = { authorization: `${scheme} ${scheme === "Basic" ? btoa(`${key}:`) : key}` };
      expect((await t.request("/api/analytics/reports/overview", { headers })).status).toBe(401);
    }
    const customer = await t.signIn();
    const list = (token: string) => t.request("/api/analytics/write-keys", { token });
    expect((await list(customer.accessToken)).status).toBe(403);
    expect(await (await list(manager.accessToken)).json()).toMatchObject({
      data: expect.arrayContaining([expect.objectContaining({ key, origins: ["https://shop.example"] })]),
    });
  });

  test("are limited by address and as a whole", async () => {
    const key = await makeKey({ name: "Limited" });
    const { spend } = t.deps.intakeLimits;
    const address = "192.0.2.1";
    await spend({ key, address }, 29_999);
    await spend({ key, address }, 1);
    await expect(spend({ key, address }, 1)).rejects.toMatchObject({ code: "too_many_requests" });
    await spend({ key, address: "127.0.0.1" }, 30_000);
    const answer = await send("track", track, basic(key));
    expect([answer.status, Number(answer.headers.get("retry-after")) > 0]).toEqual([429, true]);
    for (let host = 0; host < 18; host++) await spend({ key, address: `198.51.100.${host}` }, 30_000);
    await expect(spend({ key, address: "203.0.113.1" }, 1)).rejects.toMatchObject({
      code: "too_many_requests",
    });
    t.clock.advance(61_000);
    expect((await send("track", track, basic(key))).status).toBe(200);
  });

  test("a server's API key in their place makes it a server's word", async () => {
    const json = { name: "Server", permissions: ["analytics:write"], password: manager.password };
    const made = await t.request("/auth/api-keys", { method: "POST", json, token: manager.accessToken });
    const { key } = ((await made.json()) as { data: { key: string } }).data;
    expect((await send("track", { ...track, userId: "ann" }, basic(key))).status).toBe(200);
    expect(await stored()).toMatchObject([{ origin: "server" }]);
  });

  test("bodies: gzip that is none, or unpacks to more than may be sent; what is no object", async () => {
    const gzip = { ...basic(writeKey), "content-encoding": "gzip" };
    const packed = (body: string) =>
      t.request("/v1/batch", { method: "POST", headers: gzip, body: gzipSync(body) as BodyInit });
    expect((await packed(JSON.stringify({ batch: [{ type: "page", anonymousId: "z" }] }))).status).toBe(200);
    expect((await packed(`{"batch":["${" ".repeat(3_000_000)}"]}`)).status).toBe(400);
    expect((await send("batch", "not gzip", gzip)).status).toBe(400);
    expect((await send("batch", "{", basic(writeKey))).status).toBe(400);
    expect((await send("batch", [], basic(writeKey))).status).toBe(422);
    expect((await send("batch", { batch: "x" }, basic(writeKey))).status).toBe(422);
    expect((await send("batch", { batch: [null, 5, []] }, basic(writeKey))).status).toBe(200);
    expect((await send("constructor", {}, basic(writeKey))).status).toBe(422);
  });
});
