import { cors } from "hono/cors";
import { z } from "zod";
import { endpoint } from "../../http/endpoint";
import { factory } from "../../http/factory";
import type { AnalyticsDeps } from "../deps";
import { anyJson } from "./body";
import { CALLS, type Call, receive } from "./receive";
import { batchAnswer } from "./schema";

const callParam = z.object({ call: z.enum(Object.keys(CALLS) as [Call, ...Call[]]) });
const libraryBody = z.looseObject({}, "must be an object").meta({
  description: "An event, or `{ batch: [event, …], sentAt, context }`; `writeKey` unless Basic names it",
});
const libraryAnswer = batchAnswer.extend({ success: z.literal(true) });

/** Pages of any origin may send events: what is allowed, their write key says. No cookie goes with them. */
export const anyOrigin = () => cors({ origin: "*", allowMethods: ["POST"], maxAge: 600 });

/** What Segment's and RudderStack's libraries call, unchanged. */
export const libraryRoutes = (deps: AnalyticsDeps) =>
  factory.createApp().post(
    "/:call",
    anyJson({ library: true }),
    endpoint(deps, {
      id: "sendEvents",
      summary: "Send events with a library of Segment or RudderStack",
      description:
        "The key is the user name of HTTP Basic authentication, or `writeKey` in the body: a write key, or an API " +
        "key with analytics:write on a server. Takes gzip, and JSON as text/plain. Fields that are not known are left " +
        "out and counted.",
      tag: "Analytics",
      params: callParam,
      body: libraryBody,
      success: { 200: libraryAnswer },
      errors: ["unauthenticated", "forbidden", "too_many_requests"],
    }),
    async (c) => {
      const data = await receive(deps, c.req.valid("param").call, c.req.valid("json"), {
        authorization: c.req.header("authorization"),
        origin: c.req.header("origin"),
        address: c.get("ip"),
        userAgent: c.req.header("user-agent")?.trim() || null,
        doNotTrack: c.req.header("dnt") === "1" || c.req.header("sec-gpc") === "1",
      });
      return c.json({ success: true as const, data }, 200);
    },
  );
