import { beforeAll, expect, test } from "bun:test";
import { Request as Fetch, FiltersEngine } from "@ghostery/adblocker";
import { anEvent, BROWSER, eventsOf } from "../../test/analytics";
import { type SignedInPerson, useTestApp } from "../../test/app";
import { analyticsPathOf } from "./path";

const t = useTestApp();
let manager: SignedInPerson;
beforeAll(async () => {
  manager = await t.signIn({ roles: ["manager"] });
});

/** Generic rules in the words of the public lists: what they name of addresses like ours, whoever serves them. */
const RULES = `
/api/analytics/*
/analytics/event
/analytics/events
/analytics/track
/analytics/collect
-analytics/analytics.
/analytics.js
/collect?v=
/event-tracking.
/events/track
/pageview?
/pixel/track
/stats/collect
/telemetry/
/tracker/track
/tracking/events
/v1/batch|
/v1/track|
/v1/page|
/v1/t|
/v1/p|
/beacon/v1/batch
&visitor_id=
||api.segment.io^
||rudderstack.com^
`;

test("blockers stop /api/analytics and the libraries' own addresses, and nothing at the second address", () => {
  const engine = FiltersEngine.parse(RULES);
  const isBlocked = (path: string) =>
    engine.match(
      Fetch.fromRawDetails({
        url: `https://shop.example${path}`,
        sourceUrl: "https://shop.example/",
        type: "xmlhttprequest",
      }),
    ).match;
  expect(["/api/analytics/events", "/v1/batch", "/v1/t"].map(isBlocked)).toEqual([true, true, true]);
  const { analyticsPath } = t.deps.config;
  // What a page needs: events at the address alone, libraries' short forms, and reports.
  const needed = ["", "/live", "/reports/overview?from=2026-01-01", "/sessions"];
  expect(needed.map((path) => [path, isBlocked(`${analyticsPath}${path}`)])).toEqual(
    needed.map((path) => [path, false]),
  );
});

test("the second address takes events, what libraries send, and answers reports", async () => {
  const post = (path: string, json: unknown) =>
    t.request(path, { method: "POST", json, headers: { "user-agent": BROWSER } });
  const prefix = t.deps.config.analyticsPath;
  const events = [anEvent(), anEvent()];
  expect((await post(prefix, { batch: events.slice(0, 1) })).status).toBe(202);
  expect((await post(`${prefix}/events`, { batch: events.slice(1) })).status).toBe(202);
  for (const { messageId } of events) expect(await eventsOf(t).findOne({ _id: messageId })).not.toBeNull();
  expect((await post(`${prefix}/v1/track`, { event: "A" })).status).toBe(401);
  const overview = await t.request(`${prefix}/reports/overview`, { token: manager.accessToken });
  expect(overview.status).toBe(200);
  expect((await t.request(`${prefix}/reports/overview`)).status).toBe(401);
  expect((await t.request(`${prefix}s`)).status).toBe(404);
  const preflight = await t.request(`${prefix}/v1/t`, {
    method: "OPTIONS",
    headers: { origin: "https://any.example", "access-control-request-method": "POST" },
  });
  expect(preflight.headers.get("access-control-allow-origin")).toBe("*");
});

test("another path is itself", () => {
  const of = (path: string) => analyticsPathOf("/api/x", path);
  expect(["/api/xy", "/api", "/", "/api/xy/v1/t", "/v1/t"].map(of)).toEqual([
    "/api/xy",
    "/api",
    "/",
    "/api/xy/v1/t",
    "/v1/t",
  ]);
  expect(of("/api/x/v1/t")).toBe("/v1/t");
  expect(of("/api/x/reports/funnel")).toBe("/api/analytics/reports/funnel");
});
