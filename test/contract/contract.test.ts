/**
 * What holds for every route, tried on every route: the list is the application's own OpenAPI document, so a
 * new route is tried too. Each test collects what is not as it should be and expects nothing.
 */
import { beforeAll, describe, expect, test } from "bun:test";
import { type SignedInPerson, useTestApp } from "../app";
import { faultOf } from "./conform";
import { isList, nameOf, type Operation, operationsOf, pathOf, sampleOf } from "./operations";

const t = useTestApp();
const LONG = process.env.AIZY_LONG === "1";
const PATIENCE = LONG ? 1_800_000 : 600_000;

/** Takes JSON that `navigator.sendBeacon` sends as text. */
const BEACON = "POST /api/analytics/events";
/** Takes JSON under any type, as libraries send it, and wants a key in it. */
const LIBRARIES = "POST /v1/{call}";

let operations: Operation[];
let contract: object;
let admin: SignedInPerson;
beforeAll(async () => {
  contract = (await (await t.request("/openapi.json")).json()) as object;
  operations = await operationsOf(t);
  admin = await t.signIn({ roles: ["admin"] });
}, 60_000);

/** Calls as somebody who may do everything; signed in anew when the call before ended the session. */
async function call(operation: Operation, path: string, init: RequestInit = {}): Promise<Response> {
  const request = () =>
    t.request(path, {
      method: operation.method,
      ...init,
      ...(operation.secured ? { token: admin.accessToken } : {}),
    });
  const answer = await request();
  if (answer.status !== 401 || !operation.secured) return answer;
  admin = await t.signIn({ roles: ["admin"] });
  return request();
}

const json = (body: string, headers: Record<string, string> = {}): RequestInit => ({
  body,
  headers: { "content-type": "application/json", ...headers },
});

/** Asks with each of the given bodies or queries. @returns the faults, each once */
async function faultsOf(
  of: Operation[],
  ask: (
    operation: Operation,
  ) => { what: string; path?: string; init?: RequestInit; status?: number | number[] }[],
): Promise<string[]> {
  const faults = new Set<string>();
  for (const operation of of) {
    for (const { what, path, init, status } of ask(operation)) {
      const answer = await call(operation, path ?? pathOf(operation), init);
      const right = status === undefined || [status].flat().includes(answer.status);
      const fault =
        (await faultOf(contract, operation, answer)) ?? (right ? null : `answers ${answer.status}`);
      if (fault !== null) faults.add(`${nameOf(operation)} to ${what} ${fault}`);
    }
  }
  return [...faults];
}

const withBody = () => operations.filter(({ body }) => body !== undefined);

describe("the document", () => {
  test("has every route of the API", () => {
    const described = new Set(operations.map((one) => nameOf(one).replace(/\{(\w+)\}/g, ":$1")));
    const routes = t.app.routes
      .filter(({ method, path }) => method !== "ALL" && /^\/(api|auth|health)\//.test(path))
      .map(({ method, path }) => `${method} ${path.replace(/\{.*$/, "").replace(/\/$/, "")}`);
    expect([...new Set(routes)].filter((route) => !described.has(route))).toEqual([]);
  });

  test("names each operation once, and every reference in it leads somewhere", async () => {
    // biome-ignore lint/suspicious/noExplicitAny: the document is read as it is.
    const document: any = await (await t.request("/openapi.json")).json();
    const ids = Object.values<Record<string, { operationId: string }>>(document.paths).flatMap((methods) =>
      Object.values(methods).map(({ operationId }) => operationId),
    );
    expect(ids.filter((id, index) => ids.indexOf(id) !== index)).toEqual([]);
    const references = [...JSON.stringify(document).matchAll(/"\$ref":"#\/([^"]+)"/g)].map(
      ([, path]) => path ?? "",
    );
    expect(references.length).toBeGreaterThan(500);
    const lost = references.filter(
      (path) => path.split("/").reduce((at, name) => at?.[name], document) === undefined,
    );
    expect([...new Set(lost)]).toEqual([]);
  });

  test("lets a problem have the members of its code, and says of every list that its cursor may be refused", async () => {
    // biome-ignore lint/suspicious/noExplicitAny: the document is read as it is.
    const document: any = await (await t.request("/openapi.json")).json();
    // An `allOf` is met by nothing when one of its parts forbids what another one has.
    expect(document.components.schemas.Problem.additionalProperties).not.toBe(false);
    const silent = Object.entries<Record<string, object>>(document.paths).flatMap(([path, methods]) =>
      Object.entries(methods).flatMap(([method, operation]) => {
        const of = operations.find((one) => one.path === path && one.method === method.toUpperCase());
        const isPaged = of?.parameters.some(({ name }) => name === "cursor");
        return isPaged && !/InvalidCursor/.test(JSON.stringify(operation)) ? [`${method} ${path}`] : [];
      }),
    );
    expect(silent).toEqual([]);
  });

  test("says which headers a change takes", () => {
    const takes = (id: string, name: string) =>
      operations.some(
        (one) => nameOf(one) === id && one.parameters.some((parameter) => parameter.name === name),
      );
    expect(takes("PUT /api/products/{id}", "If-Match")).toBe(true);
    expect(takes("POST /api/products", "Idempotency-Key")).toBe(true);
    expect(takes("GET /api/products", "filter[category]")).toBe(true);
    expect(takes("GET /api/analytics/live", "Last-Event-ID")).toBe(true);
  });

  test("says who must sign in: the others answer without a token", async () => {
    const open = operations.filter(({ secured }) => !secured);
    const faults: string[] = [];
    for (const operation of open.filter(({ method }) => method === "GET")) {
      const answer = await t.request(pathOf(operation));
      await answer.body?.cancel();
      if (answer.status === 401 || answer.status === 403) faults.push(nameOf(operation));
    }
    expect(faults).toEqual([]);
  });
});

describe("without the right to", () => {
  test(
    "every secured route answers 401 with the scheme, to no token and to any that is none",
    async () => {
      const wrong: Record<string, string>[] = [
        {},
        { authorization: "Bearer" },
        { authorization: "Bearer x" },
        { authorization: "Bearer a.b.c" },
        { authorization: `Bearer ${"a".repeat(5000)}` },
        { authorization: `Bearer aizy_${"0".repeat(32)}_${"A".repeat(43)}` },
        { authorization: `Basic ${btoa("admin:admin")}` },
        { authorization: `${admin.accessToken}` },
        { authorization: `Bearer ${admin.accessToken}x` },
        { authorization: `Bearer ${admin.refreshToken}` },
      ];
      const faults = new Set<string>();
      for (const operation of operations.filter(({ secured }) => secured)) {
        for (const headers of wrong) {
          const answer = await t.request(pathOf(operation), { method: operation.method, headers });
          const scheme = answer.headers.get("www-authenticate") ?? "";
          const fault = await faultOf(contract, operation, answer);
          if (answer.status !== 401 || !scheme.startsWith("Bearer") || fault !== null) {
            faults.add(
              `${nameOf(operation)} ${JSON.stringify(headers).slice(0, 40)}: ${answer.status} ${scheme} ${fault}`,
            );
          }
        }
      }
      expect([...faults]).toEqual([]);
    },
    PATIENCE,
  );
});

describe("a body", () => {
  test(
    "that is no JSON is 400, of another type 415, too large 413",
    async () => {
      const text = (type: string): RequestInit => ({ body: "{}", headers: { "content-type": type } });
      const faults = await faultsOf(withBody(), (operation) => [
        { what: "broken JSON", init: json('{"a":'), status: 400 },
        { what: "JSON with a tail", init: json("{} {}"), status: 400 },
        {
          what: "bytes that are no text",
          init: { ...json(""), body: new Uint8Array([0xff, 0xfe, 0]) },
          status: 400,
        },
        ...["application/x-www-form-urlencoded", "application/jsonx"].map((type) => ({
          what: type,
          init: text(type),
          status: nameOf(operation) === LIBRARIES ? 401 : 415,
        })),
        ...(nameOf(operation) === BEACON
          ? [{ what: "text", init: text("text/plain;charset=UTF-8"), status: 422 }]
          : [
              {
                what: "text",
                init: text("text/plain;charset=UTF-8"),
                status: nameOf(operation) === LIBRARIES ? 401 : 415,
              },
            ]),
        { what: "2 MB", init: json(`{"a":"${"x".repeat(2 * 1024 * 1024)}"}`), status: 413 },
      ]);
      expect(faults).toEqual([]);
    },
    PATIENCE,
  );

  test(
    "of any other form is refused or taken, never an accident",
    async () => {
      const bodies = [
        "null",
        "[]",
        "5",
        '"x"',
        "true",
        "{}",
        '{"__proto__":{"admin":true},"constructor":{"prototype":{"admin":true}}}',
        '{"$where":"1","$gt":""}',
        '{"\\u0000":"\\u0000","\\ud800":"\\udfff"}',
        '{"a":1e400,"b":-1e400}',
        "[".repeat(5000) + "]".repeat(5000),
        `${'{"a":'.repeat(5000)}1${"}".repeat(5000)}`,
        "[".repeat(100_000),
        `{${Array.from({ length: 5000 }, (_, index) => `"k${index}":1`).join(",")}}`,
      ];
      expect(
        await faultsOf(withBody(), () =>
          bodies.map((body) => ({ what: `the body ${body.slice(0, 40)}`, init: json(body) })),
        ),
      ).toEqual([]);
      expect(({} as { admin?: boolean }).admin).toBeUndefined();
    },
    PATIENCE,
  );

  test(
    "with a wrong value in any of its properties is refused or taken, never an accident",
    async () => {
      const values = [
        "null",
        "[]",
        "{}",
        '{"$gt":""}',
        '""',
        "-1",
        "1e400",
        "1e308",
        "0.1",
        "9007199254740993",
        "true",
        '"\\u0000"',
        '"\\ud800"',
        '"\\u202e\\ufeff"',
        `"${"x".repeat(200_000)}"`,
        `"${"é".repeat(300)}"`,
        '[null,{"a":[[]]}]',
        `[${Array.from({ length: 3000 }, () => '"x"').join(",")}]`,
        '{"__proto__":{"a":1}}',
      ];
      let turn = 0;
      const faults = await faultsOf(withBody(), ({ body }) => {
        const names = Object.keys(body?.properties ?? body?.anyOf?.[0]?.properties ?? {});
        const sample = sampleOf(body ?? {}) as Record<string, unknown>;
        return names.flatMap((name) => {
          // Each property meets some of the values, and with `--long` all of them.
          const some = LONG
            ? values
            : Array.from({ length: 6 }, () => values[turn++ % values.length] ?? "null");
          return some.map((value) => {
            const text = JSON.stringify({ ...sample, [name]: "@" }).replace(
              `${JSON.stringify(name)}:"@"`,
              () => `${JSON.stringify(name)}:${value}`,
            );
            return { what: `${name}: ${value.slice(0, 30)}`, init: json(text) };
          });
        });
      });
      expect(faults).toEqual([]);
    },
    PATIENCE,
  );
});

describe("a path", () => {
  test(
    "with anything for an id is refused or finds nothing",
    async () => {
      const values = [
        "%00",
        "..%2f..%2fetc",
        "%ff",
        "%",
        "__proto__",
        "$ne",
        "%F0%9F%99%82",
        "x".repeat(4000),
        "-1",
        "null",
      ];
      const found = await faultsOf(
        operations.filter(({ path }) => path.includes("{")),
        (operation) =>
          values.map((value) => ({
            what: value.slice(0, 20),
            path: pathOf(operation, value),
            init: operation.body ? json(JSON.stringify(sampleOf(operation.body))) : {},
            status: [400, 404, 412, 415, 422, 428],
          })),
      );
      expect(found).toEqual([]);
    },
    PATIENCE,
  );

  test(
    "that is not there, or has no such method, is a problem too",
    async () => {
      for (const { path } of operations) {
        for (const [method, where] of [
          ["PROPFIND", path.replace(/[{}]/g, "")],
          ["GET", `${path.replace(/[{}]/g, "")}/nothing/here`],
        ] as const) {
          const answer = await t.request(where, { method });
          expect([404, 405, 422, 401]).toContain(answer.status);
          expect(answer.headers.get("content-type")).toStartWith("application/problem+json");
        }
      }
    },
    PATIENCE,
  );
});

describe("a query", () => {
  test(
    "with a key that nobody knows is 422 on every list, and so is a page that is none",
    async () => {
      const lists = operations.filter(isList);
      expect(lists.length).toBeGreaterThan(8);
      const faults = await faultsOf(lists, (operation) => {
        const path = pathOf(operation);
        const has = (name: string) => operation.parameters.some((parameter) => parameter.name === name);
        return [
          ...["nonsense=1", "__proto__=1", "constructor=1", "$where=1", "limit[$gt]=1"].map((query) => ({
            what: query,
            path: `${path}?${query}`,
            status: 422,
          })),
          ...(has("limit")
            ? ["0", "-1", "1.5", "99999", "x", ""].map((limit) => ({
                what: `limit=${limit}`,
                path: `${path}?limit=${limit}`,
                status: 422,
              }))
            : []),
          ...(has("cursor")
            ? ["x", "AAAA", "%00", "A".repeat(500), btoa("[1]")].map((cursor) => ({
                what: `cursor=${cursor.slice(0, 20)}`,
                path: `${path}?cursor=${cursor}`,
                // What the list is of may not be there.
                status: path === operation.path ? [400, 422] : [400, 404, 422],
              }))
            : []),
        ];
      });
      expect(faults).toEqual([]);
    },
    PATIENCE,
  );

  test(
    "with anything in its parameters is refused or taken, never an accident",
    async () => {
      const values = [
        "",
        "%00",
        "%ff",
        "%F0%9F%99%82",
        "$ne",
        "[]",
        "-1",
        "1e400",
        "x".repeat(3000),
        "%ud800",
      ];
      const reads = operations.filter(({ method }) => method === "GET");
      const faults = await faultsOf(reads, (operation) =>
        operation.parameters
          .filter((parameter) => parameter.in === "query")
          .flatMap(({ name }) =>
            [...values.map((value) => `${name}=${value}`), `${name}=a&${name}=b`, `${name}[$gt]=a`].map(
              (query) => ({
                what: query.slice(0, 40),
                path: `${pathOf(operation)}?${query}`,
              }),
            ),
          ),
      );
      expect(faults).toEqual([]);
    },
    PATIENCE,
  );

  test(
    "HEAD is answered wherever GET is, without a body",
    async () => {
      for (const operation of operations.filter(({ method }) => method === "GET")) {
        const answer = await call({ ...operation, method: "HEAD" }, pathOf(operation));
        expect([nameOf(operation), answer.status < 500, await answer.text()]).toEqual([
          nameOf(operation),
          true,
          "",
        ]);
      }
    },
    PATIENCE,
  );
});

describe("headers", () => {
  test(
    "If-Match that is none of ours changes nothing and is no accident",
    async () => {
      const tags = ["garbage", '"v"', '"v99999999999999999999"', 'W/"v1"', '"v-1"', "é"];
      const faults = await faultsOf(
        operations.filter(({ answers }) => "412" in answers || "428" in answers),
        ({ body }) =>
          tags.map((tag) => ({
            what: `If-Match: ${tag}`,
            init: {
              ...(body
                ? json(JSON.stringify(sampleOf(body)), { "if-match": tag })
                : { headers: { "if-match": tag } }),
            },
            // A product or a person that is not there may be looked for first.
            status: [404, 412, 413, 415, 422, 428],
          })),
      );
      expect(faults).toEqual([]);
    },
    PATIENCE,
  );

  /** POSTs that need no key, and why. */
  const WITHOUT_KEY: Record<string, string> = {
    [BEACON]: "events have ids of their own",
    [LIBRARIES]: "events have ids of their own",
    "POST /api/jobs/{id}/retry": "a job that is due already is not due twice",
    "POST /api/users/me/settings/email-change": "its body holds a password; asking again replaces the change",
    "POST /api/users/me/settings/email-change/confirm": "its code works once, and nobody need be signed in",
    "POST /api/products/inventory/verify/repair": "what is repaired is not repaired again",
  };
  const picture = new FormData();
  picture.set("file", new File(["no picture"], "sample.png", { type: "image/png" }));
  /** Bodies for routes whose rules a schema does not tell. */
  const BODIES: Record<string, object | FormData | Blob> = {
    "POST /api/products": { name: "Sample", price: 100 },
    "POST /api/users/{id}/email-change": { newEmail: "sample@example.com" },
    "POST /api/products/inventory/transfers": {
      fromLocationId: "018f3b1e-0000-7000-8000-000000000001",
      toLocationId: "018f3b1e-0000-7000-8000-000000000002",
      lines: [{ sku: "SKU-1", quantity: 1 }],
    },
    "POST /api/products/search/synonyms": { terms: ["sofa", "couch"] },
    "POST /api/products/search/rules": {
      query: "sofa",
      pinned: ["018f3b1e-0000-7000-8000-000000000001"],
    },
    "POST /api/products/{id}/images": picture,
    "POST /api/products/import": new Blob(['{"name":"Sample"}\n'], { type: "application/x-ndjson" }),
  };

  test(
    "every POST that makes or moves something takes an Idempotency-Key, and refuses one that is none",
    async () => {
      const posts = operations.filter(
        (operation) =>
          operation.method === "POST" &&
          !operation.path.startsWith("/auth/") &&
          WITHOUT_KEY[nameOf(operation)] === undefined,
      );
      expect(posts.length).toBeGreaterThan(8);
      const faults: string[] = [];
      for (const operation of posts) {
        const headers = { "idempotency-key": "k".repeat(201) };
        const body = BODIES[nameOf(operation)] ?? sampleOf(operation.body ?? {});
        const init = operation.body
          ? json(JSON.stringify(body), headers)
          : { headers, ...(body instanceof FormData || body instanceof Blob ? { body } : {}) };
        const answer = await call(operation, pathOf(operation), init);
        const text = await answer.text();
        if (answer.status !== 422 || !text.includes("Idempotency-Key")) {
          faults.push(`${nameOf(operation)} answers ${answer.status}: ${text.slice(0, 300)}`);
        }
      }
      expect(faults).toEqual([]);
    },
    PATIENCE,
  );
});
