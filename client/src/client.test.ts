/** The client against the real application. What a network does to requests is done by the `fetch` it is given. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { useTestApp } from "../../test/app";
import { differences } from "../../test/contract/conform";
import { type ClientOptions, createClient } from "./client.js";
import type { ApiError } from "./errors.js";
import { forwardCookies } from "./server.js";

const t = useTestApp();
const ORIGIN = "http://localhost:3000";

/** What answers held that the client's types do not say. */
const undescribed: string[] = [];
let document: unknown;
beforeAll(async () => {
  document = await (await t.request("/openapi.json")).json();
});
afterAll(() => expect([...new Set(undescribed)]).toEqual([]));

interface Sent {
  method: string;
  path: string;
  headers: Headers;
}

/** A client in a process of its own. `meet` stands between it and the application. */
function open(
  options: ClientOptions = {},
  meet: (sent: Sent, pass: () => Promise<Response>) => Promise<Response> = (_, pass) => pass(),
) {
  const sent: Sent[] = [];
  const client = createClient("http://localhost", {
    fetch: (url, init) => {
      const { pathname, search } = new URL(url);
      const one = {
        method: init?.method ?? "GET",
        path: pathname + search,
        headers: new Headers(init?.headers),
      };
      sent.push(one);
      return meet(one, async () => {
        const answer = await t.app.request(url, init);
        undescribed.push(...(await differences(document, one.method, pathname, answer)));
        return answer;
      });
    },
    ...options,
  });
  return { client, sent, asked: (path: string) => sent.filter((one) => one.path.startsWith(path)) };
}

/** What an app keeps, as its keychain would. */
function keychain(secret: string | null = null) {
  const storage = {
    secret,
    read: async () => storage.secret,
    write: async (given: string | null) => {
      storage.secret = given;
    },
  };
  return storage;
}

const failure = async (call: Promise<unknown>): Promise<ApiError> =>
  call.then(
    () => expect.unreachable(),
    (error) => error,
  );
const unavailable = () =>
  Response.json(
    { code: "service_unavailable", detail: "Not now.", status: 503 },
    { status: 503, headers: { "retry-after": "0" } },
  );

/** Somebody who may manage products, in an app that stays signed in. */
async function manager() {
  const { refreshToken, id } = await t.signIn({ roles: ["manager"] });
  return { id, storage: keychain(JSON.stringify({ refreshToken })) };
}

describe("a session", () => {
  test("twenty calls with a token that has ended refresh once, and nobody is signed out", async () => {
    const person = await t.signIn();
    const storage = keychain();
    const { client, asked } = open({ storage });
    const told: string[] = [];
    client.session.onSignedIn(({ id }) => told.push(id));
    client.session.onSignedOut((reason) => told.push(reason));
    await client.auth.login.$post({ json: { email: person.email, password: person.password } });
    expect(Object.keys(JSON.parse(storage.secret ?? ""))).toEqual(["refreshToken", "deviceToken"]);
    t.clock.advance(16 * 60_000);
    const answers = await Promise.all(Array.from({ length: 20 }, () => client.api.users.me.$get()));
    expect(new Set(answers.map(({ data }) => data.id))).toEqual(new Set([person.id]));
    expect(asked("/auth/refresh")).toHaveLength(1);
    await client.auth.logout.$post();
    expect(told).toEqual([person.id, "signed_out"]);
    expect(Object.keys(JSON.parse(storage.secret ?? ""))).toEqual(["deviceToken"]);
    expect(await client.session.restore()).toBeNull();
    expect((await failure(client.api.users.me.$get())).code).toBe("unauthenticated");
    expect(asked("/auth/refresh")).toHaveLength(1);
  });

  test("a lost answer to a refresh, or no connection, signs nobody out", async () => {
    const { storage, id } = await manager();
    let lost = 2;
    const { client } = open({ storage, retries: 0 }, async ({ path }, pass) => {
      const answer = await pass();
      if (path === "/auth/refresh" && lost-- > 0) throw new TypeError("connection reset");
      return answer;
    });
    expect(await failure(client.api.users.me.$get())).toMatchObject({ code: "network_error", status: 0 });
    await failure(client.session.restore());
    expect(client.session.user).toBeUndefined();
    expect((await client.api.users.me.$get()).data.id).toBe(id);
  });

  test("what was asked before a sign-out does not bring the session back", async () => {
    const { storage } = await manager();
    const held = Promise.withResolvers<void>();
    const { client } = open({ storage }, async ({ path }, pass) => {
      const answer = await pass();
      if (path === "/auth/refresh") await held.promise;
      return answer;
    });
    const restored = client.session.restore();
    const out = client.auth.logout.$post();
    held.resolve();
    await Promise.all([restored, out]);
    expect([client.session.user, await client.session.getAccessToken(), storage.secret]).toEqual([
      null,
      undefined,
      null,
    ]);
  });

  test("one that ended elsewhere is told of once, and guests may go on reading", async () => {
    const { storage, id } = await manager();
    const { client } = open({ storage });
    const reasons: string[] = [];
    client.session.onSignedOut((reason) => reasons.push(reason));
    await client.session.restore();
    await t.deps.mysql.transaction((tx) =>
      t.deps.sessions.endAll(id, { reason: "ended_by_admin", now: t.clock.now() } as never, tx),
    );
    expect((await client.api.products.$get()).data).toEqual([]);
    expect((await failure(client.api.users.me.$get())).code).toBe("unauthenticated");
    expect(reasons).toEqual(["ended"]);
  });

  test("a server that acts for a browser sends its cookies on and passes the new ones back", async () => {
    const person = await t.signIn();
    const login = await t.request("/auth/login", {
      method: "POST",
      headers: { origin: ORIGIN },
      json: { email: person.email, password: person.password },
    });
    const cookie = login.headers
      .getSetCookie()
      .map((one) => one.split(";")[0])
      .join("; ");
    const given: string[] = [];
    const options = forwardCookies({
      cookie: `theme=dark; ${cookie}`,
      origin: ORIGIN,
      onSetCookie: (one) => given.push(one),
      fetch: async (url, init) => {
        const headers = new Headers(init?.headers);
        expect(headers.get("cookie") ?? "aizy_").toStartWith("aizy_");
        if (!url.includes("/auth/")) expect(headers.has("cookie")).toBe(false);
        return t.app.request(url, init);
      },
    });
    const client = createClient("http://localhost", options);
    expect((await client.api.users.me.$get()).data.id).toBe(person.id);
    expect(given).toHaveLength(1);
    expect(given[0]).toStartWith("aizy_refresh=");
    // The exchanged cookie goes with what follows.
    await client.auth.refresh.$post({ json: {} });
    expect(await client.session.restore()).toMatchObject({ id: person.id });
  });

  test("no token is in an address, in an error, or goes to another host", async () => {
    const { storage } = await manager();
    const { client, sent } = open({ storage }, async (one, pass) => {
      if (one.path.startsWith("/api/products/moved"))
        return new Response(null, { status: 302, headers: { location: "https://evil.example/" } });
      if (one.path.startsWith("/api/products/near"))
        return new Response(null, { status: 301, headers: { location: "/api/products?limit=1" } });
      return pass();
    });
    const token = (await client.session.getAccessToken()) ?? "";
    expect(await failure(client.api.products[":id"].$get({ param: { id: "moved" } }))).toMatchObject({
      code: "unexpected_answer",
    });
    expect(await failure(client.api.products[":id"].$delete({ param: { id: "near" } }))).toMatchObject({
      code: "unexpected_answer",
    });
    expect(await client.api.products[":id"].$get({ param: { id: "near" } })).toMatchObject({ data: [] });
    const refused = await failure(client.api.users.$get());
    expect(refused.code).toBe("forbidden");
    const secrets = [token, JSON.parse(storage.secret ?? "").refreshToken];
    const shown = JSON.stringify([
      sent.map(({ path }) => path),
      Bun.inspect(refused),
      Bun.inspect(client.session),
      client.session,
    ]);
    for (const secret of secrets) expect(shown.includes(secret)).toBe(false);
  });
});

describe("a call that goes wrong", () => {
  test("a read is sent again; a change without a key never is; one with a key is done once", async () => {
    const { storage } = await manager();
    let broken = 0;
    const { client, asked } = open({ storage }, async ({ path }, pass) => {
      if (path === "/auth/refresh" || broken-- <= 0) return pass();
      // The change is made, and its answer lost.
      await pass();
      if (broken % 2) return unavailable();
      throw new TypeError("connection reset");
    });
    await client.session.restore();
    broken = 2;
    await client.api.products.$get();
    expect(asked("/api/products")).toHaveLength(3);
    broken = 2;
    const { data: lamp, headers } = await client.api.products.$post({
      json: { name: "Lamp", price: 100, brand: "Once" },
    });
    expect(headers.get("idempotency-replayed")).toBe("true");
    const posts = asked("/api/products").filter(({ method }) => method === "POST");
    expect(new Set(posts.map((one) => one.headers.get("idempotency-key"))).size).toBe(1);
    expect(
      (await client.api.products.$get({ query: { "filter[brand]": "Once" } })).data.map(({ id }) => id),
    ).toEqual([lamp.id]);
    for (const change of [
      () => client.api.products[":id"].$patch({ param: { id: lamp.id }, json: { name: "Light" } }),
      () => client.api.users.me.preferences.$patch({ json: { theme: "dark" } }),
      () => client.auth["forgot-password"].$post({ json: { email: "nobody@example.com" } }),
      () => client.api.products[":id"].$delete({ param: { id: lamp.id } }),
    ]) {
      const before = asked("/").length;
      broken = 1;
      expect(await failure(change())).toMatchObject({ code: "network_error" });
      expect(asked("/").length - before).toBe(1);
    }
  });

  test("who tries a change once more that broke off sends the same key, and another change another", async () => {
    const { storage } = await manager();
    let down = false;
    const { client, sent } = open({ storage, retries: 0 }, async (one, pass) => {
      if (!down || one.method !== "POST") return pass();
      await pass();
      throw new TypeError("connection reset");
    });
    await client.session.restore();
    const create = (name: string) => client.api.products.$post({ json: { name, price: 100 } });
    down = true;
    await failure(create("Chair"));
    await failure(create("Table"));
    down = false;
    const [again, second] = [await create("Chair"), await create("Chair")];
    expect(again.headers.get("idempotency-replayed")).toBe("true");
    expect(second.data.id).not.toBe(again.data.id);
    const keys = sent
      .filter(({ path }) => path === "/api/products")
      .map(({ headers }) => headers.get("idempotency-key"));
    expect(keys[2]).toBe(keys[0] ?? "");
    expect(new Set(keys).size).toBe(3);
  });

  test("it waits as long as it is told to, but not for minutes; aborting and a limit of time end it", async () => {
    let wait = "0";
    const { client, asked } = open({}, async () =>
      Response.json(
        { code: "too_many_requests", detail: "Later.", status: 429 },
        { status: 429, headers: { "retry-after": wait } },
      ),
    );
    expect(await failure(client.api.products.$get())).toMatchObject({
      code: "too_many_requests",
      retryAfter: 0,
    });
    expect(asked("/api/products")).toHaveLength(3);
    wait = "900";
    expect(await failure(client.api.products.$get())).toMatchObject({ retryAfter: 900 });
    expect(asked("/api/products")).toHaveLength(4);
    const never = createClient("http://localhost", {
      fetch: (_, init) =>
        new Promise((_resolve, reject) =>
          init?.signal?.addEventListener("abort", () => reject(init.signal?.reason)),
        ),
    });
    expect(await failure(never.api.products.$get({}, { timeout: 1 }))).toMatchObject({ code: "timeout" });
    const reason = new Error("left the page");
    const leaving = new AbortController();
    const left = failure(never.api.products.$get({}, { signal: leaving.signal }));
    leaving.abort(reason);
    expect(await left).toBe(reason as never);
    const proxy = createClient("http://localhost", {
      retries: 0,
      fetch: async () => new Response("<h1>Bad gateway</h1>", { status: 502 }),
    });
    expect((await proxy.api.products.$get().result()).error).toMatchObject({
      code: "unexpected_answer",
      status: 502,
    });
  });

  test("what names nothing, or leads elsewhere, is not sent", async () => {
    const { client, sent } = open();
    for (const id of ["", ".", "..", undefined as never]) {
      await expect(client.auth.sessions[":id"].$delete({ param: { id } })).rejects.toThrow(TypeError);
    }
    expect(sent).toEqual([]);
    await failure(client.api.products[":id"].$get({ param: { id: "../users/me?x#y" } }));
    expect(sent[0]?.path).toBe("/api/products/..%2Fusers%2Fme%3Fx%23y");
    expect(() => createClient("http://ann:secret@localhost")).toThrow(TypeError);
    expect(() => createClient("javascript:alert(1)")).toThrow(TypeError);
  });

  test("an error says what is wrong with which field", async () => {
    const { error } = await open()
      .client.auth.register.$post({ json: { email: "no", password: "short", name: "Ann" } })
      .result();
    expect(error).toMatchObject({ code: "invalid_input", status: 422, name: "ApiError" });
    expect(error?.field("email")?.code).toBe("invalid");
    expect(error?.requestId).toBeString();
    expect(error?.is("invalid_input", "gone")).toBe(true);
  });
});

describe("a change of what was read", () => {
  test("stands on the version that was read, and says what is different when somebody was quicker", async () => {
    const { storage } = await manager();
    const { client, sent } = open({ storage });
    const { data: made } = await client.api.products.$post({
      json: { name: "Sofa", price: 100, brand: "Lux" },
    });
    const at = { param: { id: made.id } };
    const { data: read } = await client.api.products[":id"].$get(at);
    const other = open({ storage }).client;
    await other.api.products[":id"].$patch({ ...at, json: { brand: "Nox" } });
    const late = await failure(
      client.api.products[":id"].$patch({ ...at, json: { brand: "Vox" } }, { ifMatch: read }),
    );
    expect(late.code).toBe("precondition_failed");
    const changes = await late.changes();
    expect([changes?.changed, changes?.conflicting]).toEqual([["brand"], ["brand"]]);
    expect(changes?.current).toMatchObject({ brand: "Nox" });
    const { data: now } = await client.api.products[":id"].$patch(
      { ...at, json: { brand: "Vox" } },
      { ifMatch: changes?.etag },
    );
    // What the change answered with was read too.
    await client.api.products[":id"].$patch({ ...at, json: { name: "Couch" } });
    expect(sent.at(-1)?.headers.get("if-match")).toBe(`"v${now.version}"`);
    await client.api.products[":id"].$delete(at);
    expect(sent.at(-1)?.headers.get("if-match")).toStartWith('"v');
    // After a change below it the version is another, and none is claimed.
    await client.api.products[":id"].restore.$post(at);
    await client.api.products[":id"].$delete(at);
    expect(sent.at(-1)?.headers.get("if-match")).toBeNull();
  });
});

describe("lists, files and events", () => {
  test("a list goes on over its pages, asks ahead by one, and stops when it is left", async () => {
    const { storage } = await manager();
    const { client, asked } = open({ storage });
    for (const name of ["A", "B", "C", "D", "E"])
      await client.api.products.$post({ json: { name, price: 1, brand: "Listed" } });
    const before = asked("/api/products?").length;
    const list = client.api.products.$list({
      query: { "filter[brand]": "Listed", sort: "name", limit: 2 },
    });
    const names: string[] = [];
    for await (const { name } of list) names.push(name);
    expect(names).toEqual(["A", "B", "C", "D", "E"]);
    expect(asked("/api/products?").length - before).toBe(3);
    expect((await list.take(2)).map(({ name }) => name)).toEqual(["A", "B"]);
    expect(asked("/api/products?").length - before).toBe(5);
    const sizes: number[] = [];
    for await (const { data } of list.pages()) sizes.push(data.length);
    expect(sizes).toEqual([2, 2, 1]);
  });

  test("a stream that breaks goes on after the last message; a file has its name", async () => {
    const person = await t.signIn({ roles: ["admin"] });
    const storage = keychain(JSON.stringify({ refreshToken: person.refreshToken }));
    let streams = 0;
    const { client, asked } = open({ storage }, async ({ path }, pass) => {
      if (!path.endsWith("/events")) return pass();
      const text = [
        'retry: 1\r\nid: 1\r\nevent: progress\r\ndata: {"done":\r\ndata: 1}\r\n\r\n: still here\n\nid: 2\ndata: é\n\ndata: cut',
        "retry: 1\nid: 3\nevent: end\ndata: null\n\n",
      ][streams++];
      const bytes = new TextEncoder().encode(text);
      // In pieces, so that a letter is cut in two.
      const body = new ReadableStream({
        start(controller) {
          for (const byte of bytes) controller.enqueue(new Uint8Array([byte]));
          controller.close();
        },
      });
      return new Response(body, { headers: { "content-type": "text/event-stream" } });
    });
    const events = [];
    for await (const event of client.api.products.import[":id"].events.$events({
      param: { id: t.deps.random.id() },
    }))
      events.push(event);
    expect(events).toEqual([
      { event: "progress", id: "1", data: { done: 1 } },
      { event: "message", id: "2", data: "é" },
      { event: "end", id: "3", data: null },
    ]);
    expect(asked("/api/products/import").map(({ headers }) => headers.get("last-event-id"))).toEqual([
      null,
      "2",
    ]);

    const { data: job } = await client.api.products.export.$post({ json: { format: "csv" } });
    while ((await t.runner.runDue()) > 0);
    const { data: file } = await client.api.products.export[":id"].file.$get({ param: { id: job.id } });
    expect(file.name).toMatch(/^[\w.-]+\.csv$/);
    expect(await file.text()).toStartWith("slug,name,");
  });
});
