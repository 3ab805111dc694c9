import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { connect } from "node:net";
import { useTestApp } from "../../test/app";
import { pathOf, queryOf } from "./host";

const t = useTestApp();
let server: ReturnType<typeof Bun.serve>;
beforeAll(() => {
  server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: (request, bunServer) => t.app.fetch(request, { server: bunServer }),
  });
});
afterAll(() => server.stop(true));

/** Sends lines as they are, which no client library does, and reads until the server closes. */
async function send(...head: string[]) {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  let received = "";
  const socket = connect(server.port ?? 0, "127.0.0.1");
  socket.on("data", (bytes) => {
    received += bytes;
  });
  socket.on("error", reject).on("close", () => resolve(received));
  socket.write(Buffer.from(`${[...head, "Connection: close"].join("\r\n")}\r\n\r\n`, "latin1"));
  const [headers = "", body = ""] = (await promise).split(/\r\n\r\n(.*)/s);
  return { status: Number(headers.split(" ")[1]), headers, body };
}

const MALFORMED = [
  "x@y",
  "user:password@localhost",
  "x/metrics?",
  "x/",
  "http://localhost/metrics",
  "localhost metrics",
  "localhost\tmetrics",
  "a#b",
  "a?b",
  "a\\b",
  "//",
  "../..",
  "",
  "a:b",
  "a:99999",
  "a:-1",
  ":80",
  "[::1",
  "[zz::1]",
  "::1",
  "999.1.1.1",
  "%2fmetrics",
  "%41",
  "é",
  "<a>",
  "*",
  "a;b",
  "a,b",
  "a, b",
];

describe("the Host header", () => {
  test.each(MALFORMED)("%p is a 400 problem, and moves no route", async (host) => {
    for (const path of ["/zzz/metrics", "/metrics", "/health/live", "/api/products?limit=1", "//metrics"]) {
      const { status, headers, body } = await send(`GET ${path} HTTP/1.1`, `Host: ${host}`);
      expect([path, status]).toEqual([path, 400]);
      expect(headers).toContain("application/problem+json");
      expect(JSON.parse(body)).toMatchObject({ code: "malformed_request", status: 400 });
    }
  });

  test.each([
    ["Host: localhost\r\nHost: evil.example"],
    ["Host: localhost\r\nhOST: localhost"],
    ["Host: localhost\r\nHost:"],
    ["Host:\r\nHost: localhost"],
    ["Host: localhost\r\nX-Between: 1\r\nHost: localhost"],
  ])("doubled, it is 400: %p", async (hosts) => {
    expect((await send("GET /health/live HTTP/1.1", hosts)).status).toBe(400);
  });

  test("missing, it is 400, in HTTP/1.0 too", async () => {
    // Bun itself refuses this one before any handler, without a body.
    expect((await send("GET /health/live HTTP/1.1")).status).toBe(400);
    const old = await send("GET /health/live HTTP/1.0");
    expect([old.status, JSON.parse(old.body).code]).toEqual([400, "malformed_request"]);
  });

  test.each([
    "localhost",
    "localhost:5000",
    "shop.example.",
    "a_b",
    "127.0.0.1:1",
    "[::1]:5000",
    "LOCALHOST",
    "a:",
  ])("%p is one", async (host) => {
    expect((await send("GET /health/live HTTP/1.1", `Host: ${host}`)).status).toBe(200);
    expect((await send("GET /zzz/metrics HTTP/1.1", `Host: ${host}`)).status).toBe(404);
  });

  test("a whole address in the first line gives its path, and its host counts for nothing", async () => {
    const host = "Host: localhost";
    expect((await send("GET http://evil.example/health/live HTTP/1.1", host)).status).toBe(200);
    expect((await send("GET http://evil.example/zzz/metrics HTTP/1.1", host)).status).toBe(404);
    expect((await send("GET http://metrics HTTP/1.1", host)).status).toBe(404);
  });

  test("bodies, beacons and idempotency keys under a malformed Host are 400, never 500", async () => {
    const body = '{"batch":[]}';
    for (const [path, type] of [
      ["/api/analytics/events", "text/plain"],
      ["/auth/login", "application/json"],
    ]) {
      const answer = await send(
        `POST ${path} HTTP/1.1`,
        "Host: x@y",
        `Content-Type: ${type}`,
        "Idempotency-Key: k",
        "Content-Length: 0",
        `X-Body: ${body}`,
      );
      expect(answer.status).toBe(400);
    }
  });
});

describe("the parts of an address", () => {
  test.each([
    ["http://localhost/a/b?c", "/a/b"],
    ["http://localhost/a/", "/a"],
    ["/zzz/metrics?x=1", "/zzz/metrics"],
    ["//metrics", "//metrics"],
    ["/a:b/c://d/metrics", "/a:b/c://d/metrics"],
    ["/", "/"],
  ])("the path of %p", (url, path) => {
    expect(pathOf({ url } as Request)).toBe(path);
  });

  test.each([
    ["http://localhost/a?b=1#c", "?b=1"],
    ["http://localhost/a#c?b=1", ""],
    ["http://localhost/a?", ""],
    ["http://localhost/a", ""],
    ["/a?b?c", "?b?c"],
  ])("the query of %p", (url, query) => {
    expect(queryOf(url)).toBe(query);
  });
});
