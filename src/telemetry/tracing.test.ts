import { afterAll, expect, test } from "bun:test";
import { useTestApp } from "../../test/app";
import { startServer } from "../../test/processes";

const t = useTestApp();

interface Span {
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  name: string;
  attributes: { key: string; value: { stringValue?: string; intValue?: number } }[];
  status: { code?: number };
}

const received: { service: string | undefined; spans: Span[] }[] = [];
const collector = Bun.serve({
  port: 0,
  async fetch(request) {
    if (new URL(request.url).pathname !== "/v1/traces") return new Response(null, { status: 404 });
    const { resourceSpans } = (await request.json()) as {
      resourceSpans: { resource: { attributes: Span["attributes"] }; scopeSpans: { spans: Span[] }[] }[];
    };
    for (const { resource, scopeSpans } of resourceSpans) {
      const service = resource.attributes.find(({ key }) => key === "service.name")?.value.stringValue;
      received.push({ service, spans: scopeSpans.flatMap(({ spans }) => spans) });
    }
    return Response.json({});
  },
});
afterAll(() => collector.stop(true));

test("each request is a span in the caller's trace, without what people typed; a stop sends what is left", async () => {
  const server = await startServer({ OTEL_EXPORTER_OTLP_ENDPOINT: `http://localhost:${collector.port}` });
  const traceId = "0af7651916cd43dd8448eb211c80319c";
  const traceparent = `00-${traceId}-b7ad6b7169203331-01`;
  const answer = await fetch(`${server.address}/api/products/search?q=something-typed`, {
    headers: { traceparent },
  });
  expect(answer.status).toBe(200);
  await fetch(`${server.address}/health/live`, { headers: { traceparent: "not a traceparent" } });
  server.child.kill("SIGTERM");
  expect(await server.ended()).toBe(0);

  expect(received.map(({ service }) => service)).toContain("aizy-backend");
  const spans = received.flatMap((batch) => batch.spans);
  const search = spans.find(({ name }) => name === "GET /api/products/search");
  expect(search).toMatchObject({ traceId, parentSpanId: "b7ad6b7169203331" });
  const attributes = Object.fromEntries(search?.attributes.map(({ key, value }) => [key, value]) ?? []);
  expect(attributes).toMatchObject({
    "http.request.method": { stringValue: "GET" },
    "http.route": { stringValue: "/api/products/search" },
    "http.response.status_code": { intValue: 200 },
    "aizy.request_id": { stringValue: answer.headers.get("x-request-id") ?? "" },
  });
  expect(JSON.stringify(spans)).not.toContain("something-typed");
  const live = spans.find(({ name }) => name === "GET /health/live");
  expect(live?.traceId).toMatch(/^[0-9a-f]{32}$/);
  expect(live?.traceId).not.toBe(traceId);
}, 60_000);

test("calls of stores are spans of their request; a job's are in the trace of what enqueued it", async () => {
  received.length = 0;
  const server = await startServer({ OTEL_EXPORTER_OTLP_ENDPOINT: `http://localhost:${collector.port}` });
  const email = `traced-${crypto.randomUUID()}@example.com`;
  const answer = await fetch(`${server.address}/auth/register`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ email, password: "a password of traces", name: "Traced Person" }),
  });
  expect(answer.status).toBe(202);
  await server.line(/"kind":"mail\.verification_code"[^\n]*"msg":"job"/);
  server.child.kill("SIGTERM");
  expect(await server.ended()).toBe(0);

  const spans = received.flatMap((batch) => batch.spans);
  const request = spans.find(({ name }) => name === "POST /auth/register");
  const under = (span: Span | undefined) =>
    spans.filter(({ parentSpanId }) => parentSpanId === span?.spanId).map(({ name }) => name);
  expect(under(request)).toEqual(
    expect.arrayContaining([
      "throttle.request",
      "mysql.transaction",
      "users.findOrCreate",
      "jobs.mysql.enqueue",
    ]),
  );
  const job = spans.find(({ name }) => name === "job mail.verification_code");
  expect(job?.traceId).toBe(request?.traceId ?? "none");
  expect(job?.parentSpanId).toBe(request?.spanId ?? "none");
  expect(JSON.stringify(job?.attributes)).toContain(answer.headers.get("x-request-id") ?? "none");
  expect(under(job)).toEqual(expect.arrayContaining(["codes.find", "mail.send"]));
  for (const typed of [email, "Traced Person", "a password of traces"])
    expect(JSON.stringify(spans)).not.toContain(typed);
}, 60_000);

test("so are jobs of MongoDB's queue: the request, its transaction, the job and what that writes to MySQL", async () => {
  received.length = 0;
  const { auth } = await t.signIn({ roles: ["admin"] });
  const server = await startServer({ OTEL_EXPORTER_OTLP_ENDPOINT: `http://localhost:${collector.port}` });
  const answer = await fetch(`${server.address}/api/products/categories`, {
    method: "POST",
    headers: { ...auth.headers, "content-type": "application/json", "idempotency-key": crypto.randomUUID() },
    body: JSON.stringify({ name: "Traced Category" }),
  });
  expect(answer.status).toBe(201);
  await server.line(/"kind":"audit\.record"[^\n]*"msg":"job"/);
  server.child.kill("SIGTERM");
  expect(await server.ended()).toBe(0);

  const spans = received.flatMap((batch) => batch.spans);
  const request = spans.find(({ name }) => name === "POST /api/products/categories");
  const under = (span: Span | undefined) =>
    spans.filter(({ parentSpanId }) => parentSpanId === span?.spanId).map(({ name }) => name);
  expect(under(request)).toEqual(
    expect.arrayContaining(["mongo.transaction", "categories.create", "jobs.mongo.enqueue"]),
  );
  const job = spans.find(({ name }) => name === "job audit.record");
  expect(job?.traceId).toBe(request?.traceId ?? "none");
  expect(job?.parentSpanId).toBe(request?.spanId ?? "none");
  expect(JSON.stringify(job?.attributes)).toContain(answer.headers.get("x-request-id") ?? "none");
  expect(under(job)).toContain("audit.recordAll");
  expect(JSON.stringify(spans)).not.toContain("Traced Category");
}, 60_000);

test("a collector that does not answer costs no request and no stop", async () => {
  const server = await startServer({ OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:1" });
  expect((await fetch(`${server.address}/health/live`)).status).toBe(200);
  server.child.kill("SIGTERM");
  expect(await server.ended()).toBe(0);
  expect(server.output()).toContain("stopped");
}, 60_000);
