import { afterEach, beforeAll, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type SignedInPerson, useTestApp } from "../../test/app";
import { createStock, type TestStock } from "../../test/stock";
import type { Actor } from "../lib/actor";
import { silentLogger } from "../telemetry/log";
import { createDeps } from "../wire";
import { expireDue } from "./expiry";
import { personKey, shopperModel } from "./model";
import { reserveForShopper } from "./shoppers";

const t = useTestApp(() => ({
  trustedProxies: ["127.0.0.1"],
  shopperReservations: { on: true, units: 5, addressUnits: 8, minutes: 1 },
}));
let stock: TestStock;
let manager: SignedInPerson;
let people: SignedInPerson[];
const PATH = "/api/products/inventory/own-reservations";

beforeAll(async () => {
  manager = await t.signIn({ roles: ["manager"] });
  stock = await createStock(t, manager);
  people = [await t.signIn(), await t.signIn(), await t.signIn()];
});
afterEach(async () => {
  // What a test held is given back by time.
  t.clock.advance(61_000);
  await expireDue(t.deps);
});

let address = 1;
const somewhere = () => `198.51.100.${address++}`;
async function call(
  person: SignedInPerson | undefined,
  method: string,
  path: string,
  json?: unknown,
  from = "203.0.113.1",
) {
  const response = await t.request(`${PATH}${path}`, {
    method,
    json,
    ...(person ? { token: person.accessToken } : {}),
    headers: { "x-forwarded-for": from },
  });
  // biome-ignore lint/suspicious/noExplicitAny: answers of several routes, refusals too.
  const body = (await response.json().catch(() => null)) as any;
  return { status: response.status, body, data: body?.data };
}
const hold = (person: SignedInPerson | undefined, sku: string, quantity: number, from?: string) =>
  call(person, "POST", "", { lines: [{ sku, quantity }] }, from);

describe("a shopper's own reservations", () => {
  test("hold units for the shopper alone, without a word of how many there are or where", async () => {
    const [own, other] = people;
    const sku = await stock.sku(3);
    const made = await hold(own, sku, 2);
    expect(made).toMatchObject({ status: 201, data: { status: "active", lines: [{ sku, quantity: 2 }] } });
    expect(JSON.stringify(made.body)).not.toContain(stock.locationId);
    expect(Date.parse(made.data.expiresAt) - t.clock.now().getTime()).toBe(60_000);
    const short = await hold(own, sku, 2);
    expect([short.status, short.body.code]).toEqual([409, "insufficient_stock"]);
    expect(short.body).not.toHaveProperty("available");
    expect(short.body.detail).not.toMatch(/\b1\b/);
    const path = `/${made.data.id}`;
    expect((await call(own, "GET", path.toUpperCase())).data).toEqual(made.data);
    expect((await call(own, "GET", "")).data).toEqual([made.data]);
    expect((await call(other, "GET", "")).data).toEqual([]);
    expect((await call(other, "GET", path)).status).toBe(404);
    expect((await call(other, "POST", `${path}/release`)).status).toBe(404);
    expect((await call(undefined, "GET", path)).status).toBe(401);
    // Theirs is no right to stock: not to others' reservations, nor to commit or extend their own.
    for (const [method, rest] of [
      ["GET", ""],
      ["POST", "/commit"],
      ["POST", "/renew"],
    ] as const) {
      const answer = await t.request(`/api/products/inventory/reservations${path}${rest}`, {
        method,
        ...(method === "POST" ? { json: {} } : {}),
        token: own?.accessToken ?? "",
      });
      expect(answer.status).toBe(403);
    }
    // A checkout's reservation is nobody's own, also the manager's.
    const checkout = await stock.reserve([{ sku, quantity: 1 }]);
    expect((await call(manager, "GET", `/${checkout.data.id}`)).status).toBe(404);
    const part = await call(own, "POST", `${path}/release`, { lines: [{ sku, quantity: 1 }] });
    expect(part.data).toMatchObject({ status: "active", lines: [{ quantity: 2, released: 1 }] });
    // The checkout commits what is left.
    const committed = await stock.post(`/reservations${path}/commit`);
    expect(committed.data).toMatchObject({ status: "committed", lines: [{ committed: 1, released: 1 }] });
    expect((await call(own, "GET", path)).data.status).toBe("committed");
  });

  test("units are limited to each person and to each address, over all reservations and lines", async () => {
    const [one, two, three] = people;
    const sku = await stock.sku(100);
    const other = await stock.sku(100);
    const from = somewhere();
    expect((await hold(one, sku, 6, from)).body).toMatchObject({ code: "conflict", limit: 5, held: 0 });
    const first = await hold(one, sku, 3, from);
    const lines = [
      { sku, quantity: 1 },
      { sku: other, quantity: 2 },
    ];
    const refused = await call(one, "POST", "", { lines }, somewhere());
    expect(refused.body).toMatchObject({ status: 409, code: "conflict", limit: 5, held: 3 });
    expect((await hold(one, other, 2, from)).status).toBe(201);
    // Another person of the same network: 8 in all, and IPv6 counts by its network.
    expect((await hold(two, sku, 4, from)).body).toMatchObject({ limit: 8, held: 5 });
    expect((await hold(two, sku, 3, from)).status).toBe(201);
    expect((await hold(three, sku, 1, from)).status).toBe(409);
    expect((await hold(three, sku, 4, "2001:db8:1:2::1")).status).toBe(201);
    expect((await hold(two, sku, 2, "2001:db8:1:2:ffff::9")).status).toBe(201);
    // What is given back, committed or over is held no more.
    await call(one, "POST", `/${first.data.id}/release`);
    expect((await hold(one, sku, 3, somewhere())).status).toBe(201);
    expect((await hold(one, sku, 1, somewhere())).status).toBe(409);
    t.clock.advance(60_000);
    expect((await hold(one, sku, 5, from)).status).toBe(201);
    expect(await stock.differences()).toEqual([]);
  });

  test("what a checkout renews is held on, and what has ended is off the shopper's list", async () => {
    const [one] = people;
    const sku = await stock.sku(20);
    const kept = await hold(one, sku, 2);
    await hold(one, sku, 2);
    const week = 7 * 24 * 3600;
    expect((await stock.post(`/reservations/${kept.data.id}/renew`, { ttlSeconds: week })).status).toBe(200);
    const list = () =>
      shopperModel(t.deps.mongo.connection)
        .findById(personKey(one?.id ?? ""))
        .lean();
    expect((await list())?.expiresAt).toEqual(new Date(t.clock.now().getTime() + week * 1000));
    t.clock.advance(61_000);
    const shown = (await call(one, "GET", "")).data.map(({ id }: { id: string }) => id);
    expect(shown).toEqual([kept.data.id]);
    expect((await hold(one, sku, 4)).body).toMatchObject({ status: 409, limit: 5, held: 2 });
    const last = await hold(one, sku, 3);
    expect((await list())?.reservationIds).toEqual([kept.data.id, last.data.id]);
    await stock.post(`/reservations/${kept.data.id}/release`);
  });

  test("the time is limited; foreign fields, units and SKUs are refused", async () => {
    const [one] = people;
    const sku = await stock.sku(5);
    const send = (json: object) => call(one, "POST", "", json);
    const lines = [{ sku, quantity: 1 }];
    expect((await send({ lines, ttlSeconds: 61 })).body.errors[0]).toMatchObject({
      path: "ttlSeconds",
      code: "too_large",
    });
    expect((await send({ lines, ttlSeconds: 30 })).status).toBe(201);
    for (const json of [
      { lines: [{ sku, quantity: 1, locationId: stock.locationId }] },
      { lines, reference: "order" },
      { lines, shopperId: manager.id },
      { lines: [{ sku, quantity: 0 }] },
      {
        lines: [
          { sku, quantity: -5 },
          { sku, quantity: 6 },
        ],
      },
      { lines: [] },
    ])
      expect((await send(json)).status).toBe(422);
    const unknown = await send({ lines: [{ sku: "no such thing", quantity: 1 }] });
    expect([unknown.status, unknown.body.code]).toEqual([409, "insufficient_stock"]);
  });

  test("an API key is no shopper; a shop that does not want it has none", async () => {
    const [one] = people;
    const sku = await stock.sku(1);
    const key = await t.request("/auth/api-keys", {
      method: "POST",
      token: manager.accessToken,
      json: { name: "checkout", permissions: ["reservations:write"], password: manager.password },
    });
    expect(key.status).toBe(201);
    const { data } = (await key.json()) as { data: { key: string } };
    expect((await t.request(PATH, { token: data.key })).status).toBe(403);
    const limits = t.deps.config.shopperReservations;
    limits.on = false;
    try {
      expect((await hold(one, sku, 1)).status).toBe(404);
      expect((await call(one, "GET", "")).status).toBe(404);
    } finally {
      limits.on = true;
    }
  });

  test("many at once, in two processes, never pass a limit, and what is held is what the answers say", async () => {
    // Of goods that have no level in common, so that nothing but the limits keeps them apart.
    const skus = await Promise.all([1, 2, 3, 4].map(() => stock.sku(1000)));
    const second = createDeps(t.deps.config, silentLogger(), { clock: t.clock });
    await second.mongo.connection.asPromise();
    const from = [somewhere(), somewhere()];
    const attempts = fc.array(
      fc.record({
        person: fc.nat(2),
        place: fc.nat(1),
        units: fc.integer({ min: 1, max: 4 }),
        goods: fc.nat(3),
        far: fc.boolean(),
      }),
      { minLength: 8, maxLength: 16 },
    );
    try {
      await fc.assert(
        fc
          .asyncProperty(attempts, async (wanted) => {
            const answers = await Promise.all(
              wanted.map(({ person, place, units, goods, far }) => {
                const id = people[person]?.id ?? "";
                const actor: Actor = {
                  kind: "user",
                  callerId: `user:${id}`,
                  userId: id,
                  sessionId: "s",
                  permissions: new Set(),
                };
                const request = {
                  lines: [{ sku: skus[goods] ?? "", quantity: units }],
                  ttlSeconds: undefined,
                };
                return reserveForShopper(
                  far ? second : t.deps,
                  actor,
                  from[place] ?? "",
                  request,
                  async () => undefined,
                ).then(
                  () => units,
                  (error: { code?: string }) => {
                    // A limit, or too many at once; nothing else.
                    if (error.code !== "conflict" && error.code !== "service_unavailable") throw error;
                    return 0;
                  },
                );
              }),
            );
            const sumOf = (fits: (one: (typeof wanted)[number]) => boolean) =>
              wanted.reduce((sum, one, index) => sum + (fits(one) ? (answers[index] ?? 0) : 0), 0);
            for (const person of [0, 1, 2])
              expect(sumOf((one) => one.person === person)).toBeLessThanOrEqual(5);
            for (const place of [0, 1]) expect(sumOf((one) => one.place === place)).toBeLessThanOrEqual(8);
            const levels = await Promise.all(skus.map((sku) => stock.level(sku)));
            expect(levels.map(({ reserved }) => reserved)).toEqual(
              skus.map((_, index) => sumOf(({ goods }) => goods === index)),
            );
          })
          .beforeEach(async () => {
            t.clock.advance(61_000);
            await expireDue(t.deps);
          }),
        { numRuns: 3, endOnFailure: true },
      );
    } finally {
      await second.close();
    }
    expect(await stock.differences()).toEqual([]);
  });
});
