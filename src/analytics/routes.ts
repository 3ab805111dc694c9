import type { Context } from "hono";
import { endpoint, file } from "../http/endpoint";
import { type AppEnv, factory } from "../http/factory";
import { sendEvents } from "../http/sse";
import type { AnalyticsDeps } from "./deps";
import { anyJson } from "./intake/body";
import { intakeHealth } from "./intake/health";
import { batchAnswer, batchSchema, healthAnswer, healthQuery } from "./intake/schema";
import { type Caller, track } from "./intake/track";
import { admitLive, live } from "./live";
import { reportRoutes } from "./reports/routes";
import { listSessionEvents, listSessions, readSession } from "./sessions/list";
import {
  erasedAnswer,
  eventListAnswer,
  sessionAnswer,
  sessionEventsQuery,
  sessionListAnswer,
  sessionParam,
  sessionsQuery,
  visitorParam,
} from "./sessions/schema";
import { eraseVisitor, listVisitorEvents } from "./visitors";
import { writeKeyRoutes } from "./write-keys/routes";

const tag = "Analytics";

const callerOf = (c: Context<AppEnv>): Caller => ({
  actor: c.get("actor") ?? null,
  address: c.get("ip"),
  userAgent: c.req.header("user-agent")?.trim() || null,
  doNotTrack: c.req.header("dnt") === "1" || c.req.header("sec-gpc") === "1",
});

/** /api/analytics */
export const analyticsRoutes = (deps: AnalyticsDeps) => {
  return factory
    .createApp()
    .route("/reports", reportRoutes(deps))
    .route("/write-keys", writeKeyRoutes(deps))
    .post(
      "/events",
      anyJson(),
      endpoint(deps, {
        id: "trackEvents",
        summary: "Record what people did",
        description:
          "Up to 500 events as in Segment's specification, from browsers (no sign-in needed) or from servers with " +
          "an API key. Each messageId is stored once, so a batch may be sent again. Also takes text/plain, as " +
          "navigator.sendBeacon sends it.",
        tag,
        caller: "optional",
        body: batchSchema,
        // Browsers cut titles and addresses in the middle of an emoji.
        malformedText: "replace",
        success: { 202: batchAnswer },
        errors: ["forbidden", "too_many_requests"],
      }),
      async (c) => c.json({ data: await track(deps, callerOf(c), c.req.valid("json")) }, 202),
    )
    .get(
      "/sessions",
      endpoint(deps, {
        id: "listAnalyticsSessions",
        summary: "List sessions, the newest first",
        tag,
        permission: "analytics:read",
        query: sessionsQuery,
        success: { 200: sessionListAnswer },
        errors: ["invalid_cursor"],
      }),
      async (c) => c.json(await listSessions(deps, c.req.valid("query")), 200),
    )
    .get(
      "/sessions/:id",
      endpoint(deps, {
        id: "readAnalyticsSession",
        summary: "Read a session",
        tag,
        permission: "analytics:read",
        params: sessionParam,
        success: { 200: sessionAnswer },
        errors: ["not_found"],
      }),
      async (c) => c.json({ data: await readSession(deps, c.req.valid("param").id) }, 200),
    )
    .get(
      "/sessions/:id/events",
      endpoint(deps, {
        id: "listAnalyticsSessionEvents",
        summary: "List the events of a session, the oldest first",
        tag,
        permission: "analytics:read",
        params: sessionParam,
        query: sessionEventsQuery,
        success: { 200: eventListAnswer },
        errors: ["not_found", "invalid_cursor"],
      }),
      async (c) => c.json(await listSessionEvents(deps, c.req.valid("param").id, c.req.valid("query")), 200),
    )
    .get(
      "/health",
      endpoint(deps, {
        id: "readIntakeHealth",
        summary: "What became of the events of the last hours, by minute and by reason",
        tag,
        permission: "analytics:read",
        query: healthQuery,
        success: { 200: healthAnswer },
      }),
      async (c) => c.json({ data: await intakeHealth(deps, c.req.valid("query")) }, 200),
    )
    .get(
      "/visitors/:visitor/events",
      endpoint(deps, {
        id: "listVisitorEvents",
        summary: "Export what is known of a visitor",
        description: "`u:` and the shop's own id of a person, or `d:` and an anonymous id.",
        tag,
        permission: "users:read",
        params: visitorParam,
        query: sessionEventsQuery,
        success: { 200: eventListAnswer },
        errors: ["invalid_cursor"],
      }),
      async (c) =>
        c.json(await listVisitorEvents(deps, c.req.valid("param").visitor, c.req.valid("query")), 200),
    )
    .delete(
      "/visitors/:visitor",
      endpoint(deps, {
        id: "eraseVisitor",
        summary: "Erase what is known of a visitor",
        tag,
        permission: "users:write",
        params: visitorParam,
        success: { 200: erasedAnswer },
      }),
      async (c) => c.json({ data: { erased: await eraseVisitor(deps, c.req.valid("param").visitor) } }, 200),
    )
    .get(
      "/live",
      endpoint(deps, {
        id: "watchLiveEvents",
        summary: "Watch what happens now",
        description:
          "Server-sent events: `events` with what was just received, `summary` every five seconds with how many are " +
          "here. Goes on after Last-Event-ID. Ends when the right to read does.",
        tag,
        permission: "analytics:read",
        success: { 200: file("text/event-stream") },
        requestHeaders: { "Last-Event-ID": "Id of the last message that arrived, to go on after it" },
        errors: ["too_many_requests"],
      }),
      (c) => {
        admitLive(deps);
        return sendEvents(c, deps, { permission: "analytics:read" }, (signal) =>
          live(deps, signal, c.req.header("last-event-id")),
        );
      },
    );
};
