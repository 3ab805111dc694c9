import { describe, expect, test } from "bun:test";
import { useTestApp } from "../../test/app";

const t = useTestApp();

const send = (
  path: string,
  body: string | Uint8Array<ArrayBuffer>,
  token?: string,
  type = "application/json",
) =>
  t.request(path, {
    method: "POST",
    body,
    ...(token === undefined ? {} : { token }),
    headers: { "content-type": type },
  });

describe("text that no database keeps", () => {
  test("half of a surrogate pair is 422 with its place, wherever it stands", async () => {
    const { accessToken, password } = await t.signIn({ roles: ["manager"] });
    const half = "a\\ud83db";
    const names: [string, string, string][] = [
      [
        "/auth/api-keys",
        `{"name":"${half}","permissions":["products:write"],"password":"${password}"}`,
        "name",
      ],
      ["/auth/mfa/enrol", `{"password":"\\udc00"}`, "password"],
      ["/auth/login", `{"email":"ann@example.com","password":"${half} is long enough"}`, "password"],
      ["/auth/login", `{"email":"ann@example.com","password":"x","\\udc00":1}`, "\ufffd"],
      ["/api/products", `{"name":"${half}","description":"","price":1}`, "name"],
      [
        "/api/products",
        `{"name":"x","description":"","price":1,"attributes":{"a":["${half}"]}}`,
        "attributes.a.0",
      ],
      ["/api/products/categories", `{"name":"${half}"}`, "name"],
    ];
    for (const [path, body, place] of names) {
      const answer = await send(path, body, accessToken);
      const { errors } = await answer.json();
      expect([path, answer.status, errors?.[0].path]).toEqual([path, 422, place]);
    }
    // A whole pair, escaped, is text like any other.
    const whole = await send(
      "/api/products",
      `{"name":"a\\ud83d\\ude00","description":"","price":1}`,
      accessToken,
    );
    expect((await whole.json()).data.name).toBe("a\u{1f600}");
  });

  test("an event of a browser that cut a title in two is kept", async () => {
    const event = `{"type":"page","messageId":"${t.deps.random.id()}","anonymousId":"v1","properties":{"title":"a\\ud83d"}}`;
    const answer = await send("/api/analytics/events", `{"batch":[${event}]}`);
    expect([answer.status, (await answer.json()).data?.accepted ?? 1]).toEqual([202, 1]);
  });

  test("bytes that are no UTF-8 are refused, so that two passwords are never one", async () => {
    const person = await t.signIn({ password: "pass\ufffdword of tests" });
    const bytes = new TextEncoder().encode(
      JSON.stringify({ email: person.email, password: "pass?word of tests" }),
    );
    for (const byte of [0xff, 0x80, 0xe9]) {
      const other = bytes.map((value) => (value === 0x3f ? byte : value));
      const answer = await send("/auth/login", other);
      expect([byte, answer.status, (await answer.json()).code]).toEqual([byte, 400, "malformed_json"]);
    }
    const login = JSON.stringify({ email: person.email, password: person.password });
    expect((await send("/auth/login", login)).status).toBe(200);
    expect((await send("/auth/login", login, undefined, "application/json; charset=UTF-8")).status).toBe(200);
    expect((await send("/auth/login", login, undefined, "application/json;charset=latin1")).status).toBe(415);
  });

  test("a name that shows nothing is refused wherever a name is taken", async () => {
    const { accessToken, password } = await t.signIn({ roles: ["manager"] });
    for (const name of ["\u200b", "\u3164", "\u2800", "\u0301", "\ufeff\u2060", "\u{e0041}", " "]) {
      for (const [path, body] of [
        ["/auth/register", { email: "nobody@example.com", password: "correct horse battery", name }],
        ["/auth/api-keys", { name, permissions: ["products:write"], password }],
        ["/api/products", { name, description: "", price: 1 }],
        ["/api/products/categories", { name }],
        ["/api/products/inventory/locations", { name, code: "X1" }],
      ] as const) {
        const { status } = await send(path, JSON.stringify(body), accessToken);
        expect([path, name, status === 422 || status === 403]).toEqual([path, name, true]);
      }
    }
  });
});
