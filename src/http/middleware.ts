import type { Context, Hono } from "hono";
import { cors } from "hono/cors";
import { routePath } from "hono/route";
import type { BaseDeps } from "../deps";
import { logRequest } from "../telemetry/log";
import { inScope } from "../telemetry/scope";
import { createAddressReader } from "./address";
import { type AppEnv, calledBy, factory } from "./factory";
import { createHostCheck } from "./host";
import { refuseOtherMethods } from "./methods";
import { problem } from "./problems";

/** What proxies add. */
const FORWARDED = ["x-forwarded-for", "forwarded", "x-real-ip"];

/** A caller's own request id that may stand in logs and headers as it is. */
const HARMLESS_ID = /^[\w\-=]{1,100}$/;

const READS = new Set(["GET", "HEAD", "OPTIONS"]);

/** CORS for the configured origins only. */
const CORS = {
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
};

/** What every answer says: headers that keep browsers from guessing, framing and leaking (OWASP's and Helmet's list). */
const CONSTANT: readonly [string, string][] = [
  ["cross-origin-resource-policy", "cross-origin"],
  ["cross-origin-opener-policy", "same-origin"],
  ["origin-agent-cluster", "?1"],
  ["referrer-policy", "no-referrer"],
  ["strict-transport-security", "max-age=15552000; includeSubDomains"],
  ["x-content-type-options", "nosniff"],
  ["x-dns-prefetch-control", "off"],
  ["x-download-options", "noopen"],
  ["x-frame-options", "DENY"],
  ["x-permitted-cross-domain-policies", "none"],
  ["x-xss-protection", "0"],
  ["access-control-allow-credentials", "true"],
  ["access-control-expose-headers", CORS.exposeHeaders.join(",")],
];
/** What a browser may do with an answer that is data: nothing. Pages set a policy of their own. */
const DATA_POLICY = "default-src 'none'; frame-ancestors 'none'";

/** Says once where a proxy's headers come and none is configured. */
const createProxyWarning = ({ config, log }: BaseDeps) => {
  let warned = config.trustedProxies.length > 0;
  return (headers: Headers): void => {
    const header = warned ? undefined : FORWARDED.find((name) => headers.has(name));
    if (header === undefined) return;
    warned = true;
    log.warn(
      { header },
      "requests come through a proxy, and TRUSTED_PROXIES is not set: all callers count as one address and share its limits",
    );
  };
};

/** Sets what every answer says. On the answer's own headers: `c.header` would make the answer anew each time. */
function finishHeaders(headers: Headers, requestId: string, origin: string | null, isAllowed: boolean): void {
  for (const [name, value] of CONSTANT) headers.set(name, value);
  headers.set("x-request-id", requestId);
  headers.append("vary", "Origin");
  if (origin !== null && isAllowed) headers.set("access-control-allow-origin", origin);
  if (!headers.has("content-security-policy")) headers.set("content-security-policy", DATA_POLICY);
}

/**
 * What all routes share, in one pass: a request id (the caller's own when it is harmless), the caller's address, the
 * Host check, CORS, 405 for known paths, security headers, the measurement and the line of the log.
 * @param app the application, asked at the first request, when its routes are all there
 */
export function edge(deps: BaseDeps, app: () => Hono<AppEnv>) {
  const { config, metrics, tracing } = deps;
  const origins = [...config.corsOrigins, ...config.nativeOrigins];
  const allowed = new Set(origins);
  const preflight = cors({ ...CORS, origin: origins });
  const addressOf = createAddressReader(config.trustedProxies);
  const warnOfProxy = createProxyWarning(deps);
  const isHosted = createHostCheck();
  const refuseMethod = refuseOtherMethods(app);

  const refuse = (c: Context<AppEnv>): Response | undefined =>
    isHosted(c.req.raw)
      ? refuseMethod(c)
      : problem(c, "malformed_request", "Send exactly one Host header, with a host and perhaps a port.");

  return factory.createMiddleware(async (c, next) => {
    const started = performance.now();
    const { method, path, raw } = c.req;
    const given = raw.headers.get("x-request-id");
    const requestId = given !== null && HARMLESS_ID.test(given) ? given : deps.random.id();
    c.set("requestId", requestId);
    c.set("log", deps.log);
    c.set("ip", addressOf(c.env?.server?.requestIP(raw)?.address, raw.headers.get("x-forwarded-for")));
    warnOfProxy(raw.headers);
    const measured = metrics.request();
    const traced = tracing?.request((name) => c.req.header(name));
    // Reads enqueue nothing, so without traces nobody asks for their scope.
    const scoped = traced !== undefined || !READS.has(method);
    const refused = refuse(c);
    if (refused) c.res = refused;
    else if (method === "OPTIONS") c.res = (await preflight(c, next)) as Response;
    else
      await (scoped ? inScope({ requestId, calledBy: () => calledBy(c), ...traced?.scope }, next) : next());
    const { status, headers } = c.res;
    const origin = raw.headers.get("origin");
    finishHeaders(headers, requestId, origin, origin !== null && allowed.has(origin));
    // The route's own path (`/api/products/:id`), never the caller's text: each is a series of its own.
    const route = routePath(c);
    const took = performance.now() - started;
    measured(method, route, status, took / 1000);
    traced?.end({ method, route, status, requestId });
    // The path only: a query string may hold what people typed.
    logRequest(deps.log, {
      ...{ requestId, method, path, status },
      ms: Math.round(took * 10) / 10,
      ...calledBy(c),
    });
  });
}
