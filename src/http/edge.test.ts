import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { useTestApp } from "../../test/app";
import { around, gate } from "../../test/interleave";
import { createCursors } from "../lib/cursor";
import { createAddressReader } from "./address";
import { etagOf, versionsOf } from "./preconditions";

const t = useTestApp();

/** The problem document of an answer, with what every one of them must have checked. */
async function problemOf(answer: Response) {
  expect(answer.headers.get("content-type")).toContain("application/problem+json");
  const body = (await answer.json()) as Record<string, unknown> & {
    code: string;
    detail: string;
    errors?: { path: string; code: string; message: string }[];
  };
  // A copy: Bun writes what was expected into the object that it compares.
  expect({ ...body }).toMatchObject({
    type: expect.any(String),
    title: expect.any(String),
    detail: expect.any(String),
    status: answer.status,
    code: expect.stringMatching(/^[a-z_]+$/),
    requestId: answer.headers.get("x-request-id"),
  });
  return body;
}
const post = (
  path: string,
  body: BodyInit,
  type = "application/json",
  headers: Record<string, string> = {},
) => t.request(path, { method: "POST", body, headers: { "content-type": type, ...headers } });

describe("problems", () => {
  test("an unknown route is a 404 problem that says where to look", async () => {
    const answer = await t.request("/api/nothing/here");
    expect(answer.status).toBe(404);
    expect((await problemOf(answer)).detail).toContain("/docs");
  });

  test.each(['{"email":', "", "nope", '{"a":1}}', "\u0000"])("malformed JSON %p is 400", async (body) => {
    const answer = await post("/auth/login", body);
    expect(answer.status).toBe(400);
    expect((await problemOf(answer)).code).toBe("malformed_json");
  });

  test.each([
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/jsonx",
  ])("the content type %s is 415", async (type) => {
    const answer = await post("/auth/login", '{"email":"a@example.com","password":"x"}', type);
    expect(answer.status).toBe(415);
    expect((await problemOf(answer)).code).toBe("unsupported_media_type");
  });

  test("application/json with a charset, and +json, are JSON", async () => {
    for (const type of ["application/json; charset=utf-8", "application/vnd.api+json"]) {
      expect((await post("/auth/login", "{}", type)).status).toBe(422);
    }
  });

  test("a body that is too large is 413, by its length or while it is read", async () => {
    const big = JSON.stringify({ email: "a@example.com", password: "x".repeat(2 * 1024 * 1024) });
    const told = await post("/auth/login", big);
    expect(told.status).toBe(413);
    expect((await problemOf(told)).code).toBe("payload_too_large");
    const chunks = new ReadableStream<Uint8Array>({
      start(controller) {
        for (let sent = 0; sent < 3; sent++) controller.enqueue(new Uint8Array(512 * 1024).fill(32));
        controller.close();
      },
    });
    const streamed = await t.request("/auth/login", {
      method: "POST",
      body: chunks,
      headers: { "content-type": "application/json" },
      duplex: "half",
    } as RequestInit);
    expect(streamed.status).toBe(413);
  });

  test("invalid input is 422 with every fault and its path; unknown keys are faults", async () => {
    const answer = await t.request("/auth/register", {
      method: "POST",
      json: { email: { $ne: null }, password: 7, isAdmin: true },
    });
    expect(answer.status).toBe(422);
    const { code, errors } = await problemOf(answer);
    expect(code).toBe("invalid_input");
    expect(errors?.map(({ path }) => path).sort()).toEqual(["email", "isAdmin", "name", "password"]);
    expect(errors?.find(({ path }) => path === "isAdmin")?.code).toBe("unknown_field");
  });

  test("__proto__ and constructor in a body are unknown keys and change nothing", async () => {
    for (const key of ["__proto__", "constructor", "prototype"]) {
      const answer = await post(
        "/auth/login",
        `{"email":"a@example.com","password":"xxxxxxxx","${key}":{"admin":true}}`,
      );
      expect([401, 422]).toContain(answer.status);
      expect(({} as { admin?: boolean }).admin).toBeUndefined();
    }
  });

  test("401 names the scheme and nothing of the request", async () => {
    const answer = await t.request("/api/users/me?secret=1");
    expect(answer.status).toBe(401);
    const scheme = answer.headers.get("www-authenticate") ?? "";
    expect(scheme).toMatch(/^Bearer/);
    expect(scheme).not.toContain("secret");
  });

  test("the text of a 500 is constant; the cause does not leave", async () => {
    const undo = around(t.deps.products, "list", {
      before: () => {
        throw new Error("password=hunter2 at /etc/shadow");
      },
    });
    const answer = await t.request("/api/products");
    undo();
    expect(answer.status).toBe(500);
    const text = JSON.stringify(await problemOf(answer));
    expect(text).not.toContain("hunter2");
    expect(text).not.toContain("shadow");
  });

  test("a query string of 10 kB is 422", async () => {
    const answer = await t.request(`/api/products?limit=${"1".repeat(10_000)}`);
    expect(answer.status).toBe(422);
  });
});

describe("methods", () => {
  test("HEAD answers as GET does, without the body", async () => {
    const [head, get] = [
      await t.request("/api/products", { method: "HEAD" }),
      await t.request("/api/products"),
    ];
    expect([head.status, head.headers.get("content-type")]).toEqual([200, get.headers.get("content-type")]);
    expect(await head.text()).toBe("");
  });

  test.each(["PUT", "DELETE", "PROPFIND"])(
    "%s where there is none is a 405 that names what there is",
    async (method) => {
      const answer = await t.request("/auth/login", { method });
      expect(answer.status).toBe(405);
      expect(answer.headers.get("allow")).toBe("POST");
      expect((await problemOf(answer)).code).toBe("method_not_allowed");
    },
  );
});

describe("a known path with another method", () => {
  test.each([
    ["PUT", "/api/products/search", "GET, HEAD"],
    ["GET", "/api/products/import", "POST"],
    ["DELETE", "/api/products/categories/", "GET, HEAD, POST"],
    ["GET", "/api/products/018f3b1e-0000-7000-8000-000000000000/restore", "POST"],
  ])("%s %s is 405 and allows %s", async (method, path, allow) => {
    const answer = await t.request(path, { method });
    expect([answer.status, answer.headers.get("allow")]).toEqual([405, allow]);
    expect((await problemOf(answer)).code).toBe("method_not_allowed");
  });

  test("a name that every object has is no page of the documentation", async () => {
    for (const name of ["__proto__", "constructor", "toString"]) {
      expect((await t.request(`/docs/${name}`)).status).toBe(404);
    }
  });

  test("a compressed body is 415 instead of other text", async () => {
    const answer = await t.request("/auth/login", {
      method: "POST",
      body: Bun.gzipSync(Buffer.from('{"email":"a@example.com","password":"x"}')),
      headers: { "content-type": "application/json", "content-encoding": "gzip" },
    });
    expect(answer.status).toBe(415);
  });
});

describe("request ids", () => {
  test("a caller's harmless id is kept, in the header and in the problem", async () => {
    const answer = await t.request("/nowhere", { headers: { "x-request-id": "abc-123_X" } });
    expect(answer.headers.get("x-request-id")).toBe("abc-123_X");
    expect((await problemOf(answer)).requestId).toBe("abc-123_X");
  });

  test.each(["a b", "x".repeat(101), '"><script>', "a\tb", "é"])("%p is replaced", async (id) => {
    const answer = await t.app.fetch(
      new Request("http://localhost/health/live", {
        headers: [["x-request-id", Buffer.from(id).toString("latin1")]],
      }),
    );
    expect(answer.headers.get("x-request-id")).toMatch(/^[0-9a-f-]{36}$/);
  });

  test("every answer has one of its own", async () => {
    const ids = await Promise.all(
      Array.from({ length: 20 }, async () => (await t.request("/health/live")).headers.get("x-request-id")),
    );
    expect(new Set(ids).size).toBe(20);
  });
});

describe("CORS and headers", () => {
  const preflight = (origin: string, method = "PATCH") =>
    t.request("/api/products", {
      method: "OPTIONS",
      headers: {
        origin,
        "access-control-request-method": method,
        "access-control-request-headers": "if-match",
      },
    });

  test("the configured origin may, with credentials; another one may not", async () => {
    const allowed = await preflight("http://localhost:3000");
    expect(allowed.status).toBe(204);
    expect(allowed.headers.get("access-control-allow-origin")).toBe("http://localhost:3000");
    expect(allowed.headers.get("access-control-allow-credentials")).toBe("true");
    expect(allowed.headers.get("access-control-allow-methods")).toBe("GET,POST,PUT,PATCH,DELETE");
    for (const header of ["Content-Type", "Authorization", "If-Match", "Idempotency-Key"]) {
      expect(allowed.headers.get("access-control-allow-headers")).toContain(header);
    }
    for (const origin of [
      "http://localhost:3001",
      "https://localhost:3000",
      "http://localhost:3000.evil.example",
      "null",
    ]) {
      expect((await preflight(origin)).headers.get("access-control-allow-origin")).toBeNull();
    }
  });

  test("answers to other origins carry no permission, errors too", async () => {
    const answer = await t.request("/nowhere", { headers: { origin: "http://evil.example" } });
    expect(answer.headers.get("access-control-allow-origin")).toBeNull();
    const own = await t.request("/nowhere", { headers: { origin: "http://localhost:3000" } });
    expect(own.headers.get("access-control-allow-origin")).toBe("http://localhost:3000");
    expect(own.headers.get("access-control-expose-headers")).toContain("ETag");
  });

  test("browsers are told not to guess, frame or leak", async () => {
    const { headers } = await t.request("/health/live");
    expect(headers.get("x-content-type-options")).toBe("nosniff");
    expect(headers.get("x-frame-options")).toBe("DENY");
    expect(headers.get("referrer-policy")).toBe("no-referrer");
    expect(headers.get("content-security-policy")).toContain("default-src 'none'");
    expect(headers.get("strict-transport-security")).toContain("max-age=");
    expect(headers.get("x-powered-by")).toBeNull();
    expect(headers.get("server")).toBeNull();
  });
});

describe("documentation", () => {
  test("the OpenAPI document names every route of the application", async () => {
    const document = (await (await t.request("/openapi.json")).json()) as {
      openapi: string;
      paths: Record<string, Record<string, { summary?: string; responses: object }>>;
    };
    expect(document.openapi).toBe("3.1.0");
    const documented = new Set(
      Object.entries(document.paths).flatMap(([path, methods]) =>
        Object.keys(methods).map((method) => `${method.toUpperCase()} ${path.replace(/\{(\w+)\}/g, ":$1")}`),
      ),
    );
    const ours = t.app.routes
      .filter(({ method, path }) => method !== "ALL" && /^\/(auth|api|health)/.test(path))
      .map(({ method, path }) => `${method} ${path.replace(/\{[^}]*\}/g, "").replace(/(.)\/$/, "$1")}`);
    expect(ours.length).toBeGreaterThan(10);
    const missing = [...new Set(ours)].filter((route) => !documented.has(route));
    expect(missing).toEqual([]);
    for (const methods of Object.values(document.paths)) {
      for (const route of Object.values(methods))
        expect(Object.keys(route.responses).length).toBeGreaterThan(0);
    }
  });

  test("the page and its files come from here, with a policy that lets nothing else in", async () => {
    const page = await t.request("/docs");
    expect(page.status).toBe(200);
    const html = await page.text();
    const files = [...html.matchAll(/(?:src|href)="([^":]+)"/g)].map(([, file]) => file ?? "");
    expect(files.length).toBeGreaterThan(2);
    for (const file of files) {
      expect(file).toStartWith("/docs/");
      expect((await t.request(file)).status).toBe(200);
    }
    expect(page.headers.get("content-security-policy")).toContain("script-src 'self'");
    expect((await t.request("/docs/..%2fpackage.json")).status).toBe(404);
    expect((await t.request("/docs/index.js")).status).toBe(404);
  });
});

describe("cursors", () => {
  const cursors = createCursors([new Uint8Array(32).fill(1)]);
  const filter = { list: "x", sort: "-createdAt" };

  test("give back what they carry", () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.string({ unit: "grapheme" }), fc.integer(), fc.constant(null))),
        (position) => {
          expect(cursors.decode(cursors.encode(position, filter), filter)).toEqual(position);
        },
      ),
    );
  });

  test("any flipped bit, another filter, another key: refused", () => {
    const cursor = cursors.encode([1, "id"], filter);
    fc.assert(
      fc.property(fc.nat(cursor.length - 1), fc.constantFrom(..."AZaz09-_"), (place, char) => {
        fc.pre(cursor[place] !== char);
        const changed = cursor.slice(0, place) + char + cursor.slice(place + 1);
        expect(() => cursors.decode(changed, filter)).toThrow("invalid_cursor");
      }),
    );
    expect(() => cursors.decode(cursor, { ...filter, sort: "price" })).toThrow("invalid_cursor");
    expect(() => createCursors([new Uint8Array(32)]).decode(cursor, filter)).toThrow("invalid_cursor");
    for (const text of ["", "AAAA", "%%%", `${cursor}=`, `${cursor}A`]) {
      expect(() => cursors.decode(text, filter)).toThrow("invalid_cursor");
    }
  });

  test("a foreign one is 400 over HTTP", async () => {
    const answer = await t.request("/api/products?cursor=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    expect(answer.status).toBe(400);
    expect((await problemOf(answer)).code).toBe("invalid_cursor");
  });
});

describe("If-Match", () => {
  test("names versions, or whatever there is", () => {
    expect(versionsOf(etagOf(12))).toEqual([12]);
    expect(versionsOf('"v1", "other" ,"v3"')).toEqual([1, 3]);
    expect(versionsOf("*")).toBeUndefined();
  });

  test.each(['W/"v1"', '"1"', "v1", '"v-1"', '"v1e3"', '"v99999999999999999999"'])(
    "%p was never ours",
    (header) => {
      expect(versionsOf(header)).toEqual([]);
    },
  );
});

describe("the caller's address", () => {
  test("is the peer's unless the peer is a trusted proxy", () => {
    const nobody = createAddressReader([]);
    expect(nobody("203.0.113.9", "1.2.3.4")).toBe("203.0.113.9");
    expect(nobody("::ffff:203.0.113.9", undefined)).toBe("203.0.113.9");
    const proxied = createAddressReader(["10.0.0.0/8", "fd00::/8"]);
    expect(proxied("10.1.1.1", "198.51.100.7")).toBe("198.51.100.7");
    expect(proxied("10.1.1.1", "1.1.1.1, 198.51.100.7, 10.2.2.2")).toBe("198.51.100.7");
    expect(proxied("10.1.1.1", "198.51.100.7, garbage")).toBe("10.1.1.1");
    expect(proxied("10.1.1.1", undefined)).toBe("10.1.1.1");
    expect(proxied("203.0.113.9", "1.2.3.4")).toBe("203.0.113.9");
    expect(proxied("fd00::1", "2001:db8::5")).toBe("2001:db8::5");
  });

  test.each([
    ["198.51.100.7:51234", "198.51.100.7"],
    ["[2001:db8::5]:443", "2001:db8::5"],
    ["[2001:DB8:0:0::5]", "2001:db8::5"],
    ['"[2001:db8::5%eth0]:1"', "2001:db8::5"],
    ["::ffff:198.51.100.7", "198.51.100.7"],
    ["::FFFF:c633:6407", "198.51.100.7"],
    ["0:0:0:0:0:ffff:c633:6407", "198.51.100.7"],
    ["[::ffff:198.51.100.7]:80", "198.51.100.7"],
    ["64:ff9b::c633:6407", "198.51.100.7"],
    ["unknown", "10.1.1.1"],
    ["198.51.100.7:51234, 10.2.2.2:80", "198.51.100.7"],
  ])("as a proxy writes it, %s, is %s", (header, address) => {
    expect(createAddressReader(["10.0.0.0/8"])("::ffff:10.1.1.1", header)).toBe(address);
  });
});

describe("Idempotency-Key", () => {
  const product = (name: string) => ({ name, description: "", price: 100 });
  const create = (token: string, key: string, json: object) =>
    t.request("/api/products", { method: "POST", json, token, headers: { "idempotency-key": key } });
  const count = () => t.deps.products.count();

  test("the same key and request: the first answer again, and one product", async () => {
    const { accessToken } = await t.signIn({ roles: ["manager"] });
    const before = await count();
    const first = await create(accessToken, "k-1", product("Once"));
    const second = await create(accessToken, "k-1", product("Once"));
    expect([first.status, second.status]).toEqual([201, 201]);
    expect(second.headers.get("idempotency-replayed")).toBe("true");
    expect(await second.json()).toEqual(await first.json());
    expect(await count()).toBe(before + 1);
  });

  test("20 at once: one product; the others replay it or are told to wait", async () => {
    const { accessToken } = await t.signIn({ roles: ["manager"] });
    const before = await count();
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => create(accessToken, "k-20", product("Twenty"))),
    );
    for (const answer of answers) expect([201, 409]).toContain(answer.status);
    expect(answers.some(({ status }) => status === 201)).toBe(true);
    expect(await count()).toBe(before + 1);
  });

  test("another request with the key is 422; while the first runs it is 409", async () => {
    const { accessToken } = await t.signIn({ roles: ["manager"] });
    const held = gate();
    const undo = around(t.deps.products, "create", { before: held.wait });
    const first = create(accessToken, "k-2", product("Slow"));
    await held.reached;
    const during = await create(accessToken, "k-2", product("Slow"));
    expect([during.status, (await problemOf(during)).code]).toEqual([409, "idempotency_in_flight"]);
    const other = await create(accessToken, "k-2", product("Other"));
    expect([other.status, (await problemOf(other)).code]).toEqual([422, "idempotency_key_reused"]);
    held.open();
    undo();
    expect((await first).status).toBe(201);
  });

  test("keys belong to their caller", async () => {
    const [one, two] = [await t.signIn({ roles: ["manager"] }), await t.signIn({ roles: ["manager"] })];
    const first = await create(one.accessToken, "shared", product("Mine"));
    const second = await create(two.accessToken, "shared", product("Yours"));
    expect([first.status, second.status]).toEqual([201, 201]);
    expect(second.headers.get("idempotency-replayed")).toBeNull();
  });

  test("a refusal is replayed as well; a 5xx is not recorded", async () => {
    const { accessToken } = await t.signIn({ roles: ["manager"] });
    const unknown = { ...product("In no category"), categoryIds: [t.deps.random.id()] };
    const refused = await create(accessToken, "k-3", unknown);
    const again = await create(accessToken, "k-3", unknown);
    expect([refused.status, again.status]).toEqual([422, 422]);
    expect(again.headers.get("idempotency-replayed")).toBe("true");
    const undo = around(t.deps.products, "create", {
      before: () => {
        throw new Error("broken");
      },
    });
    expect((await create(accessToken, "k-4", product("Broken once"))).status).toBe(500);
    undo();
    expect((await create(accessToken, "k-4", product("Broken once"))).status).toBe(201);
  });

  test("a process that died holding the key frees it with its lease; after 24 hours a key is new", async () => {
    const { accessToken, id } = await t.signIn({ roles: ["manager"] });
    const held = gate();
    const undo = around(t.deps.products, "create", { before: held.wait });
    const dead = create(accessToken, "k-5", product("Dead"));
    await held.reached;
    undo();
    t.clock.advance(61_000);
    const fresh = await create(accessToken, "k-5", product("Dead"));
    expect(fresh.status).toBe(201);
    const before = await count();
    held.open();
    // The first one comes back to life: its transaction must not go through beside the second's.
    expect((await dead).status).toBe(409);
    expect(await count()).toBe(before);
    expect(id).toBeString();
  });

  test.each(["", "a b", "é", "x".repeat(201)])("the key %p is refused", async (key) => {
    const { accessToken } = await t.signIn({ roles: ["manager"] });
    const before = await count();
    const answer = await t.app.fetch(
      new Request("http://localhost/api/products", {
        method: "POST",
        headers: [
          ["authorization", `Bearer ${accessToken}`],
          ["content-type", "application/json"],
          ["idempotency-key", Buffer.from(key).toString("latin1")],
        ],
        body: JSON.stringify(product("Refused key")),
      }),
    );
    expect(answer.status).toBe(422);
    expect(await count()).toBe(before);
  });
});
