import type { Context } from "hono";
import { requireUser } from "../auth/guard";
import type { Deps } from "../deps";
import { describe } from "../http/describe";
import { type AppEnv, factory } from "../http/factory";
import { input } from "../http/input";
import { reportRoutes } from "./reports.routes";
import { batchAnswer, batchSchema } from "./schema";
import { type Caller, track } from "./service";

const tag = "Analytics";

/**
 * Takes a body that `navigator.sendBeacon` sends as `text/plain`, which needs no preflight, for JSON. Only the
 * route of events uses it: nothing there acts for who is signed in by a cookie.
 */
const beacon = () =>
  factory.createMiddleware(async (c, next) => {
    if (/^text\/plain\s*(;|$)/i.test(c.req.header("content-type") ?? "")) {
      const headers = new Headers(c.req.raw.headers);
      headers.set("content-type", "application/json");
      c.req.raw = new Request(c.req.raw, { headers });
    }
    await next();
  });

/** A caller may say who they are, and need not. */
const optionalUser = (deps: Deps) => {
  const guard = requireUser(deps);
  return factory.createMiddleware(async (c, next) =>
    c.req.header("authorization") === undefined ? next() : guard(c, next),
  );
};

const callerOf = (c: Context<AppEnv>): Caller => ({
  actor: c.get("actor") ?? null,
  address: c.get("ip"),
  userAgent: c.req.header("user-agent") ?? null,
  doNotTrack: c.req.header("dnt") === "1" || c.req.header("sec-gpc") === "1",
});

/** /api/analytics */
export const analyticsRoutes = (deps: Deps) =>
  factory
    .createApp()
    .route("/reports", reportRoutes(deps))
    .post(
      "/events",
      describe({
        summary: "Record what people did",
        description:
          "Up to 500 events as in Segment's specification, from browsers (no sign-in needed) or from servers with an " +
          "API key. Each messageId is stored once, so a batch may be sent again. Also takes text/plain, as " +
          "navigator.sendBeacon sends it.",
        tag,
        response: batchAnswer,
        status: 202,
        errors: ["malformed_json", "payload_too_large", "unsupported_media_type", "forbidden"],
      }),
      beacon(),
      optionalUser(deps),
      input("json", batchSchema),
      async (c) => c.json({ data: await track(deps, callerOf(c), c.req.valid("json")) }, 202),
    );
