import { beforeAll, expect, test } from "bun:test";
import { Request as Fetch, FiltersEngine } from "@ghostery/adblocker";
import { anEvent, BROWSER, eventsOf } from "../../test/analytics";
import { type SignedInPerson, useTestApp } from "../../test/app";
import { filterLists, readFilterLists } from "../../test/filter-lists";
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

/** Whether a shop's page may ask its own host, or that of its backend, for a path. */
const blocker = (rules: string) => {
  const engine = FiltersEngine.parse(rules);
  return (path: string, host = "shop.example") =>
    engine.match(
      Fetch.fromRawDetails({
        url: `https://${host}${path}`,
        sourceUrl: "https://shop.example/",
        type: "xmlhttprequest",
      }),
    ).match;
};

/** What a page needs: events at the address alone, libraries' short forms, and reports. */
const neededOf = (path: string): string[] =>
  [
    ["", "/live", "/reports/overview?from=2026-01-01", "/sessions", "/events"],
    ["/v1/batch", "/v1/track", "/v1/page", "/v1/t", "/v1/p", "/v1/i", "/v1/b"],
  ]
    .flat()
    .map((rest) => `${path}${rest}`);

test("blockers stop /api/analytics and the libraries' own addresses, and nothing at the second address", () => {
  const isBlocked = blocker(RULES);
  expect(["/api/analytics/events", "/v1/batch", "/v1/t"].map((path) => isBlocked(path))).toEqual([
    true,
    true,
    true,
  ]);
  const needed = neededOf(t.deps.config.analyticsPath).filter(
    (path) => !/v1\/(batch|track|page|t|p)$/.test(path),
  );
  expect(needed.filter((path) => isBlocked(path))).toEqual([]);
});

test.skipIf(filterLists === undefined)(
  "the public lists stop /api/analytics on every host, and nothing at the second address",
  () => {
    const isBlocked = blocker(readFilterLists(filterLists ?? ""));
    for (const host of ["shop.example", "api.shop.example", "backend.example"]) {
      expect([host, isBlocked("/api/analytics/events", host)]).toEqual([host, true]);
      const needed = neededOf(t.deps.config.analyticsPath);
      expect([host, needed.filter((path) => isBlocked(path, host))]).toEqual([host, []]);
    }
  },
);

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
