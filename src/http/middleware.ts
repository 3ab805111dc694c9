import { cors } from "hono/cors";
import { requestId } from "hono/request-id";
import { routePath } from "hono/route";
import { secureHeaders } from "hono/secure-headers";
import type { BaseDeps } from "../deps";
import { createAddressReader } from "./address";
import { factory } from "./factory";

/** What proxies add. */
const FORWARDED = ["x-forwarded-for", "forwarded", "x-real-ip"];

/** Gives each request a logger and the caller's address; logs and measures how it ended. */
export const requestContext = (deps: BaseDeps) => {
  const addressOf = createAddressReader(deps.config.trustedProxies);
  let warned = deps.config.trustedProxies.length > 0;
  return factory.createMiddleware(async (c, next) => {
    const started = performance.now();
    const log = deps.log.child({ requestId: c.get("requestId") });
    c.set("log", log);
    c.set("ip", addressOf(c.env?.server?.requestIP(c.req.raw)?.address, c.req.header("x-forwarded-for")));
    const forwarded = FORWARDED.find((name) => c.req.header(name) !== undefined);
    if (!warned && forwarded !== undefined) {
      warned = true;
      deps.log.warn(
        { header: forwarded },
        "requests come through a proxy, and TRUSTED_PROXIES is not set: all callers count as one address and share its limits",
      );
    }
    const measured = deps.metrics.request();
    const traced = deps.tracing?.request((name) => c.req.header(name));
    await next();
    const took = performance.now() - started;
    // The route's own path (`/api/products/:id`), never the caller's text: each is a series of its own.
    const answered = { method: c.req.method, route: routePath(c), status: c.res.status };
    measured({ ...answered, seconds: took / 1000 });
    traced?.({ ...answered, requestId: c.get("requestId") });
    const ms = Math.round(took * 10) / 10;
    // The path only: a query string may hold what people typed.
    const line = { method: c.req.method, path: c.req.path, status: c.res.status, ms };
    if (c.res.status >= 500) log.error(line, "request");
    else log.info(line, "request");
  });
};

/** `x-request-id`: a caller's own when it is harmless, else a new one. */
export const requestIds = (deps: Pick<BaseDeps, "random">) =>
  requestId({ limitLength: 100, generator: () => deps.random.id() });

/** CORS for the configured origins only. */
export const corsFor = (origins: string[]) =>
  cors({
    origin: origins,
    allowMethods: ["GET", "POST", "PUT", "PATCH", "DELETE"],
    allowHeaders: [
      "Content-Type",
      "Authorization",
      "If-Match",
      "If-None-Match",
      "Idempotency-Key",
      "Last-Event-ID",
      "traceparent",
      "X-Request-Id",
    ],
    exposeHeaders: [
      "ETag",
      "Location",
      "Content-Disposition",
      "Retry-After",
      "RateLimit",
      "RateLimit-Policy",
      "Idempotency-Replayed",
      "X-Request-Id",
    ],
    credentials: true,
    maxAge: 600,
  });

/** What a browser may do with an answer that is data: nothing. */
const DATA_POLICY = "default-src 'none'; frame-ancestors 'none'";

/** Headers that keep browsers from guessing, framing and leaking. Pages set a policy of their own. */
export const security = () => {
  const headers = secureHeaders({
    crossOriginResourcePolicy: "cross-origin",
    referrerPolicy: "no-referrer",
    xFrameOptions: "DENY",
  });
  return factory.createMiddleware((c, next) =>
    headers(c, async () => {
      await next();
      if (!c.res.headers.has("Content-Security-Policy")) c.header("Content-Security-Policy", DATA_POLICY);
    }),
  );
};
