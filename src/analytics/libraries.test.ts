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

  test.skipIf(chromiumPath() === undefined)("@segment/analytics-next in a browser", async () => {
    const entry = `
      import { AnalyticsBrowser } from "@segment/analytics-next";
      const apiHost = "localhost:${server.port}/v1";
      const settings = { "Segment.io": { apiKey: "${writeKey}", apiHost, protocol: "http" } };
      const analytics = AnalyticsBrowser.load(
        { writeKey: "${writeKey}", cdnSettings: { integrations: settings } },
        { integrations: settings },
      );
      analytics.page("Home");
      analytics.track("Product Added", { product_id: "p" });
      analytics.identify("cem");
    `;
    const path = `${process.cwd()}/src/analytics/page-entry.ts`;
    const build = await Bun.build({
      entrypoints: [path],
      files: { [path]: entry },
      target: "browser",
    });
    const script = (await build.outputs[0]?.text()) ?? "";
    const page = Bun.serve({
      port: 0,
      fetch: ({ url }) =>
        url.endsWith(".js")
          ? new Response(script, { headers: { "content-type": "text/javascript" } })
          : new Response('<title>Shop</title><script src="/page.js"></script>', {
              headers: { "content-type": "text/html" },
            }),
    });
    const browser = await openBrowser();
    await (await browser.context.newPage()).goto(`http://localhost:${page.port}/`);
    await arrived(3);
    await browser.close();
    await page.stop(true);
    const events = await stored();
    expect(events.map(({ type }) => type).sort()).toEqual(["identify", "page", "track"]);
    expect(new Set(events.map(({ device }) => device)).size).toBe(1);
    expect(events.find(({ type }) => type === "page")).toMatchObject({ name: "Home", origin: "browser" });
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

  test("are limited by address and as a whole, which an API key is not", async () => {
    const key = await makeKey({ name: "Limited" });
    await t.deps.intakeLimits.spend(key, "192.0.2.1", 29_999);
    await t.deps.intakeLimits.spend(key, "192.0.2.1", 1);
    const over = t.deps.intakeLimits.spend(key, "192.0.2.1", 1);
    await expect(over).rejects.toMatchObject({ code: "too_many_requests" });
    await t.deps.intakeLimits.spend(key, "127.0.0.1", 30_000);
    const answer = await send("track", track, basic(key));
    expect([answer.status, Number(answer.headers.get("retry-after")) > 0]).toEqual([429, true]);
    for (let address = 0; address < 18; address++) {
      await t.deps.intakeLimits.spend(key, `198.51.100.${address}`, 30_000);
    }
    await expect(t.deps.intakeLimits.spend(key, "203.0.113.1", 1)).rejects.toMatchObject({
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
