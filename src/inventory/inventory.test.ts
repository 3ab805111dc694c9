import { beforeAll, describe, expect, test } from "bun:test";
import { type SignedInPerson, useTestApp } from "../../test/app";
import { createStock, type TestStock } from "../../test/stock";
import { HOUR, MINUTE, SECOND } from "../lib/clock";
import { canonicalKey } from "../lib/text";
import { expireDue } from "./expiry";
import { levelModel, movementModel } from "./model";
import { MAX_LINES } from "./schema";
import { MAX_QUANTITY } from "./stock";

const t = useTestApp();
let manager: SignedInPerson;
let stock: TestStock;

beforeAll(async () => {
  manager = await t.signIn({ roles: ["manager"] });
  stock = await createStock(t, manager);
});

/** Moves the clock on; the access token has its own time. */
async function wait(milliseconds: number): Promise<void> {
  t.clock.advance(milliseconds);
  Object.assign(manager, await t.signIn({ roles: ["manager"] }));
}

describe("reservations", () => {
  test("hold stock, and each end happens once", async () => {
    const sku = await stock.sku(10);
    const made = await stock.reserve([{ sku, quantity: 4 }]);
    expect(made.status).toBe(201);
    expect(await stock.level(sku)).toMatchObject({ onHand: 10, reserved: 4, available: 6 });
    const { id } = made.data;
    expect((await stock.post(`/reservations/${id}/commit`)).status).toBe(200);
    expect(await stock.level(sku)).toMatchObject({ onHand: 6, reserved: 0, available: 6 });
    for (const end of ["commit", "release"]) {
      const again = await stock.post(`/reservations/${id}/${end}`);
      expect([again.status, again.body.reservationStatus]).toEqual([409, "committed"]);
    }
    expect(await stock.level(sku)).toMatchObject({ onHand: 6, reserved: 0, available: 6 });
    expect(await stock.differences()).toEqual([]);
  });

  test("end without a body, with an empty one, and not with one that says something", async () => {
    const sku = await stock.sku(3);
    const end = (id: string, body?: string) =>
      t.request(`/api/products/inventory/reservations/${id}/commit`, {
        method: "POST",
        token: manager.accessToken,
        ...(body === undefined ? {} : { body, headers: { "content-type": "application/json" } }),
      });
    const ids: string[] = [];
    for (let index = 0; index < 3; index++) ids.push((await stock.reserve([{ sku, quantity: 1 }])).data.id);
    const [first = "", second = "", third = ""] = ids;
    expect((await end(first)).status).toBe(200);
    expect((await end(second, "{}")).status).toBe(200);
    expect((await end(third, '{"quantity":1}')).status).toBe(422);
    expect((await end(third, "{")).status).toBe(400);
    expect(await stock.level(sku)).toMatchObject({ onHand: 1, reserved: 1 });
  });

  test("20 commits and releases of one at once: one of them wins", async () => {
    const sku = await stock.sku(10);
    const { id } = (await stock.reserve([{ sku, quantity: 4 }])).data;
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        stock.post(`/reservations/${id}/${index % 2 === 0 ? "commit" : "release"}`),
      ),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([200, ...Array(19).fill(409)]);
    expect(await stock.level(sku)).toMatchObject({ reserved: 0, sequence: 3 });
  });

  test("the same SKU twice in one request: 6 + 6 of 10 is 409 and nothing is reserved", async () => {
    const sku = await stock.sku(10);
    const answer = await stock.reserve([
      { sku, quantity: 6 },
      { sku, quantity: 6 },
    ]);
    expect([answer.status, answer.body.code]).toEqual([409, "insufficient_stock"]);
    expect(await stock.level(sku)).toMatchObject({ reserved: 0, available: 10, sequence: 1 });
    const fits = await stock.reserve([
      { sku, quantity: 6 },
      { sku: sku.toUpperCase(), quantity: 4 },
    ]);
    expect(fits.status).toBe(201);
  });

  test("three lines, the third short: none reserved", async () => {
    const skus = [await stock.sku(10), await stock.sku(10), await stock.sku(1)];
    const answer = await stock.reserve(skus.map((sku) => ({ sku, quantity: 2 })));
    expect([answer.status, answer.body.sku, answer.body.available]).toEqual([409, skus[2], 1]);
    for (const sku of skus) expect(await stock.level(sku)).toMatchObject({ reserved: 0, sequence: 1 });
  });

  test("a SKU that nobody stocks is not enough of it, not an error of ours", async () => {
    expect((await stock.reserve([{ sku: "never heard of", quantity: 1 }])).status).toBe(409);
    expect((await stock.reserve([{ sku: await stock.sku(), quantity: 1 }])).status).toBe(409);
  });

  test("spellings of one SKU are one SKU", async () => {
    const sku = await stock.sku(3);
    expect((await stock.reserve([{ sku: `  ${sku.toUpperCase()} `, quantity: 3 }])).status).toBe(201);
    expect((await stock.reserve([{ sku: sku.toLowerCase(), quantity: 1 }])).status).toBe(409);
  });

  test("expire by themselves after 15 minutes, also when nobody asks; renewing gives more time", async () => {
    const sku = await stock.sku(10);
    const [left, renewed] = [
      (await stock.reserve([{ sku, quantity: 4 }])).data,
      (await stock.reserve([{ sku, quantity: 5 }])).data,
    ];
    expect(Date.parse(left.expiresAt) - Date.parse(left.createdAt)).toBe(15 * MINUTE);
    await wait(14 * MINUTE);
    expect((await stock.post(`/reservations/${renewed.id}/renew`, { ttlSeconds: 600 })).status).toBe(200);
    await wait(MINUTE);
    // What the sweep of any process does.
    expect(await expireDue(t.deps)).toBeGreaterThanOrEqual(1);
    expect(await stock.level(sku)).toMatchObject({ onHand: 10, reserved: 5 });
    expect((await stock.get(`/reservations/${left.id}`)).data.status).toBe("expired");
    for (const end of ["commit", "release", "renew"]) {
      const answer = await stock.post(`/reservations/${left.id}/${end}`);
      expect([answer.status, answer.body.reservationStatus]).toEqual([409, "expired"]);
    }
    expect((await stock.post(`/reservations/${renewed.id}/commit`)).status).toBe(200);
    expect(await stock.differences()).toEqual([]);
  });

  test("what expired is on sale at once, before any sweep", async () => {
    const sku = await stock.sku(2);
    const { id } = (await stock.reserve([{ sku, quantity: 2 }], { ttlSeconds: 1 })).data;
    expect((await stock.reserve([{ sku, quantity: 1 }])).status).toBe(409);
    t.clock.advance(SECOND);
    expect((await stock.post(`/reservations/${id}/commit`)).status).toBe(409);
    expect((await stock.post(`/reservations/${id}/renew`)).status).toBe(409);
    expect((await stock.reserve([{ sku, quantity: 2 }])).status).toBe(201);
    expect(await stock.level(sku)).toMatchObject({ onHand: 2, reserved: 2 });
  });

  test("releasing after the time is up gives back once", async () => {
    const sku = await stock.sku(2);
    const { id } = (await stock.reserve([{ sku, quantity: 2 }], { ttlSeconds: 1 })).data;
    t.clock.advance(2 * SECOND);
    const [release] = await Promise.all([stock.post(`/reservations/${id}/release`), expireDue(t.deps)]);
    expect([200, 409]).toContain(release.status);
    expect(await stock.level(sku)).toMatchObject({ reserved: 0, sequence: 3 });
  });

  test("a list by status in pages, the newest first", async () => {
    const sku = await stock.sku(50);
    const ids: string[] = [];
    for (let index = 0; index < 5; index++) ids.push((await stock.reserve([{ sku, quantity: 1 }])).data.id);
    const first = await stock.get("/reservations?limit=3");
    expect(first.data.map(({ id }: { id: string }) => id)).toEqual(ids.slice(2).reverse());
    const next = await stock.get(`/reservations?limit=3&cursor=${first.body.page.nextCursor}`);
    expect(next.data.map(({ id }: { id: string }) => id).slice(0, 2)).toEqual(ids.slice(0, 2).reverse());
    const foreign = await stock.get(`/reservations?status=expired&cursor=${first.body.page.nextCursor}`);
    expect([foreign.status, foreign.body.code]).toEqual([400, "invalid_cursor"]);
  });

  test("what is not there is 404", async () => {
    const id = t.deps.random.id();
    for (const path of ["reservations", "levels", "locations"]) {
      expect((await stock.get(`/${path}/${id}`)).status).toBe(404);
      expect((await stock.get(`/${path}/nonsense`)).status).toBe(422);
    }
    for (const end of ["commit", "release", "renew"]) {
      expect((await stock.post(`/reservations/${id}/${end}`)).status).toBe(404);
    }
  });
});

describe("input", () => {
  const NOT_QUANTITIES = [0, -1, 1.5, 2 ** 53, "1e9", "1", null, true, [[1]], {}, MAX_QUANTITY + 1, -0];

  test.each(NOT_QUANTITIES)("quantity %p is 422 everywhere", async (quantity) => {
    const sku = await stock.sku(10);
    const to = await stock.location();
    const { locationId } = stock;
    const answers = [
      await stock.post("/reservations", { lines: [{ sku, quantity }] }),
      await stock.post("/reservations", {
        lines: [
          { sku, quantity: 1 },
          { sku, quantity },
        ],
      }),
      await stock.post("/transfers", {
        fromLocationId: locationId,
        toLocationId: to,
        lines: [{ sku, quantity }],
      }),
      ...(quantity === -1
        ? []
        : [await stock.post("/adjust", { sku, locationId, delta: quantity, reason: "x" })]),
      ...(Object.is(quantity, 0) || Object.is(quantity, -0)
        ? []
        : [await stock.post("/set", { sku, locationId, expected: 10, quantity, reason: "x" })]),
      await stock.post("/reservations", { lines: [{ sku, quantity: 1 }], ttlSeconds: quantity }),
    ];
    for (const { status, body } of answers) expect([status, body.code]).toEqual([422, "invalid_input"]);
    expect(await stock.level(sku)).toMatchObject({ onHand: 10, reserved: 0, sequence: 1 });
  });

  test("raw JSON that a lax parser would take: 1e400, 1E9 as text, doubled keys, deep nesting", async () => {
    const sku = await stock.sku(10);
    for (const quantity of ["1e400", '"1E9"', "-1e-400", "9007199254740993", "1.0000000000000002"]) {
      const response = await t.request("/api/products/inventory/reservations", {
        method: "POST",
        token: manager.accessToken,
        headers: { "content-type": "application/json" },
        body: `{"lines":[{"sku":"${sku}","quantity":${quantity}}]}`,
      });
      expect([quantity, response.status]).toEqual([quantity, 422]);
    }
    const operator = await stock.post("/reservations", { lines: [{ sku: { $ne: "" }, quantity: 1 }] });
    expect(operator.status).toBe(422);
    expect((await stock.get("/levels?sku[$ne]=x")).status).toBe(422);
    expect((await stock.get("/movements?levelId[$gt]=")).status).toBe(422);
    expect(await stock.level(sku)).toMatchObject({ sequence: 1 });
  });

  test("no lines, too many lines, unknown keys, an unknown location, kinds with the wrong sign", async () => {
    const sku = await stock.sku(10);
    const { locationId } = stock;
    const line = { sku, quantity: 1 };
    const base = { sku, locationId, reason: "x" };
    const nowhere = t.deps.random.id();
    const answers = [
      await stock.post("/reservations", { lines: [] }),
      await stock.post("/reservations", { lines: Array(MAX_LINES + 1).fill(line) }),
      await stock.post("/reservations", { lines: [line], expiresAt: "2099-01-01" }),
      await stock.post("/reservations", { lines: [{ ...line, locationId: nowhere }] }),
      await stock.post("/adjust", { ...base, delta: 5, kind: "sell" }),
      await stock.post("/adjust", { ...base, delta: -5, kind: "receive" }),
      await stock.post("/adjust", { ...base, delta: 5, kind: "reserve" }),
      await stock.post("/adjust", { sku, locationId, delta: 5 }),
      await stock.post("/adjust", { ...base, locationId: nowhere, delta: 5 }),
      await stock.post("/adjust", { ...base, sku: "no such SKU", delta: 5 }),
      await stock.post("/transfers", { fromLocationId: locationId, toLocationId: locationId, lines: [line] }),
      await stock.post("/transfers", { fromLocationId: locationId, toLocationId: nowhere, lines: [line] }),
    ];
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 422));
    expect(await stock.level(sku)).toMatchObject({ onHand: 10, reserved: 0, sequence: 1 });
  });

  test("a level never holds more than can be counted exactly", async () => {
    const sku = await stock.sku(1);
    const { locationId } = stock;
    const { id } = await stock.level(sku);
    await t.deps.mongo.connection
      .collection<{ _id: string }>("stockLevels")
      .updateOne({ _id: id }, { $set: { onHand: 1_000_000_000_000, available: 1_000_000_000_000 } });
    expect((await stock.post("/adjust", { sku, locationId, delta: 1, reason: "x" })).status).toBe(422);
    await stock.post("/verify/repair", { sku });
    expect(await stock.level(sku)).toMatchObject({ onHand: 1 });
  });

  test("who may: nobody without signing in, no customer, and reading is not writing", async () => {
    const customer = await t.signIn();
    const calls: [string, string][] = [
      ["GET", "/levels"],
      ["GET", "/locations"],
      ["GET", "/low-stock"],
      ["GET", "/movements"],
      ["GET", "/reservations"],
      ["GET", "/verify"],
      ["POST", "/adjust"],
      ["POST", "/set"],
      ["POST", "/transfers"],
      ["POST", "/reservations"],
      ["POST", "/locations"],
      ["POST", "/levels"],
      ["POST", "/verify/repair"],
      ["POST", `/reservations/${t.deps.random.id()}/commit`],
    ];
    for (const [method, path] of calls) {
      const url = `/api/products/inventory${path}`;
      const body = method === "POST" ? { json: {} } : {};
      expect((await t.request(url, { method, ...body })).status).toBe(401);
      expect((await t.request(url, { method, token: customer.accessToken, ...body })).status).toBe(403);
    }
  });
});

describe("adjust, set, transfer", () => {
  test("adjust takes what is there and not reserved, and writes why", async () => {
    const sku = await stock.sku(10);
    const { locationId } = stock;
    await stock.reserve([{ sku, quantity: 4 }]);
    const tooMuch = await stock.post("/adjust", { sku, locationId, delta: -7, reason: "broken" });
    expect([tooMuch.status, tooMuch.body.available]).toEqual([409, 6]);
    const taken = await stock.post("/adjust", {
      sku,
      locationId,
      delta: -6,
      reason: "broken",
      reference: "report 7",
    });
    expect(taken.data.level).toMatchObject({ onHand: 4, reserved: 4, available: 0 });
    expect(taken.data.movement).toMatchObject({
      kind: "adjust",
      sequence: 3,
      change: { onHand: -6, reserved: 0 },
      before: { onHand: 10, reserved: 4 },
      after: { onHand: 4, reserved: 4 },
      reason: "broken",
      reference: "report 7",
      actorId: `user:${manager.id}`,
    });
  });

  test("set needs the expected quantity: 409 with the current one when stale", async () => {
    const sku = await stock.sku(10);
    const { locationId } = stock;
    const set = (expected: number, quantity: number) =>
      stock.post("/set", { sku, locationId, expected, quantity, reason: "count" });
    const stale = await set(9, 5);
    expect([stale.status, stale.body.code, stale.body.currentQuantity]).toEqual([
      409,
      "version_conflict",
      10,
    ]);
    expect((await set(10, 10)).data).toMatchObject({ movement: null, level: { sequence: 1 } });
    expect((await set(10, 0)).data.movement).toMatchObject({ change: { onHand: -10, reserved: 0 } });
    expect((await set(0, 8)).status).toBe(200);
    await stock.reserve([{ sku, quantity: 5 }]);
    expect([(await set(8, 4)).status, (await set(8, 5)).status]).toEqual([409, 200]);
    const fresh = await stock.sku();
    const first = { sku: fresh, locationId, expected: 0, quantity: 3, reason: "count" };
    expect((await stock.post("/set", first)).status).toBe(200);
  });

  test("50 sets from the same quantity at once: one wins", async () => {
    const sku = await stock.sku(10);
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, index) =>
        stock.post("/set", {
          sku,
          locationId: stock.locationId,
          expected: 10,
          quantity: 11 + index,
          reason: "count",
        }),
      ),
    );
    expect(answers.filter(({ status }) => status === 200).length).toBe(1);
    expect(answers.filter(({ status }) => status === 409).length).toBe(49);
  });

  test("50 first adjustments of a SKU at once make one level", async () => {
    const sku = await stock.sku();
    const { locationId } = stock;
    const answers = await Promise.all(
      Array.from({ length: 50 }, () => stock.post("/adjust", { sku, locationId, delta: 1, reason: "x" })),
    );
    expect(answers.every(({ status }) => status === 200)).toBe(true);
    expect(await stock.level(sku)).toMatchObject({ onHand: 50, sequence: 50 });
  });

  test("transfers move every line or none, out and in under one id", async () => {
    const [a, b] = [await stock.sku(10), await stock.sku(1)];
    const to = await stock.location();
    const body = (quantity: number) => ({
      fromLocationId: stock.locationId,
      toLocationId: to,
      lines: [
        { sku: a, quantity: 4 },
        { sku: b, quantity },
      ],
    });
    expect((await stock.post("/transfers", body(2))).status).toBe(409);
    expect(await stock.level(a)).toMatchObject({ onHand: 10, sequence: 1 });
    const moved = await stock.post("/transfers", body(1));
    expect(moved.status).toBe(201);
    expect(moved.data.movements.map((one: { transferId: string }) => one.transferId)).toEqual(
      Array(4).fill(moved.data.id),
    );
    expect([await stock.level(a), await stock.level(a, to)]).toMatchObject([{ onHand: 6 }, { onHand: 4 }]);
    expect(await stock.differences()).toEqual([]);
  });

  test("transfers in both directions at once: no deadlock, nothing lost", async () => {
    const sku = await stock.sku(50);
    const other = await stock.location();
    await stock.post("/adjust", { sku, locationId: other, delta: 50, reason: "x" });
    const answers = await Promise.all(
      Array.from({ length: 60 }, (_, index) => {
        const [fromLocationId, toLocationId] =
          index % 2 === 0 ? [stock.locationId, other] : [other, stock.locationId];
        return stock.post("/transfers", { fromLocationId, toLocationId, lines: [{ sku, quantity: 1 }] });
      }),
    );
    expect(answers.every(({ status }) => status === 201)).toBe(true);
    expect([await stock.level(sku), await stock.level(sku, other)]).toMatchObject([
      { onHand: 50 },
      { onHand: 50 },
    ]);
  });
});

describe("Idempotency-Key", () => {
  test("a retried call never moves stock twice, whatever it is", async () => {
    const sku = await stock.sku(100);
    const { locationId } = stock;
    const to = await stock.location();
    const { id } = (await stock.reserve([{ sku, quantity: 1 }])).data;
    const other = (await stock.reserve([{ sku, quantity: 1 }])).data.id;
    const damaged = await stock.sku(5);
    await levelModel(t.deps.mongo.connection).updateOne(
      { skuKey: canonicalKey(damaged) },
      { $set: { onHand: 9, available: 9 } },
    );
    const calls: [string, unknown][] = [
      ["/adjust", { sku, locationId, delta: -3, reason: "x" }],
      ["/set", { sku, locationId, expected: 97, quantity: 90, reason: "x" }],
      ["/transfers", { fromLocationId: locationId, toLocationId: to, lines: [{ sku, quantity: 2 }] }],
      ["/reservations", { lines: [{ sku, quantity: 5 }] }],
      [`/reservations/${id}/renew`, { ttlSeconds: 60 }],
      [`/reservations/${id}/commit`, {}],
      [`/reservations/${other}/release`, {}],
      ["/levels", { sku: await stock.sku(), locationId }],
      ["/locations", { code: "ONCE", name: "Once" }],
      ["/verify/repair", { sku: damaged }],
    ];
    for (const [index, [path, body]] of calls.entries()) {
      const key = { "idempotency-key": `each-${index}` };
      const answers = await Promise.all(Array.from({ length: 8 }, () => stock.post(path, body, key)));
      const done = answers.filter(({ status }) => status < 300);
      expect(done.length).toBeGreaterThanOrEqual(1);
      expect(
        answers
          .filter(({ status }) => status >= 300)
          .every(({ body }) => body.code === "idempotency_in_flight"),
      ).toBe(true);
      const again = await stock.post(path, body, key);
      expect([again.headers.get("idempotency-replayed"), again.body]).toEqual(["true", done[0]?.body]);
      for (const answer of done) expect(answer.body).toEqual(again.body);
    }
    expect(await stock.level(sku)).toMatchObject({ onHand: 87, reserved: 5 });
    expect(await stock.level(damaged)).toMatchObject({ onHand: 5, sequence: 2 });
    const reused = await stock.post(
      "/adjust",
      { sku, locationId, delta: -4, reason: "x" },
      { "idempotency-key": "each-0" },
    );
    expect([reused.status, reused.body.code]).toEqual([422, "idempotency_key_reused"]);
    expect(await stock.differences()).toEqual([]);
  });

  test("a refusal is the answer of its key too", async () => {
    const sku = await stock.sku(1);
    const first = await stock.reserve([{ sku, quantity: 2 }], { key: "refused" });
    await stock.post("/adjust", { sku, locationId: stock.locationId, delta: 5, reason: "came" });
    const again = await stock.reserve([{ sku, quantity: 2 }], { key: "refused" });
    expect([first.status, again.status, again.body.code]).toEqual([409, 409, "insufficient_stock"]);
    expect((await stock.reserve([{ sku, quantity: 2 }], { key: "another" })).status).toBe(201);
  });

  test("many keys in one transaction are recorded each for itself", async () => {
    const sku = await stock.sku(30);
    const make = () =>
      Promise.all(
        Array.from({ length: 40 }, (_, index) =>
          stock.reserve([{ sku, quantity: 1 }], { key: `many-${index}` }),
        ),
      );
    const first = await make();
    const second = await make();
    expect(first.filter(({ status }) => status === 201).length).toBe(30);
    expect(second.map(({ status, data }) => [status, data?.id])).toEqual(
      first.map(({ status, data }) => [status, data?.id]),
    );
    expect(await stock.level(sku)).toMatchObject({ reserved: 30, sequence: 31 });
  });
});

describe("locations", () => {
  test("are made, read, changed with If-Match, and deleted while they never had a level", async () => {
    const made = await stock.post("/locations", { code: "Štore-1", name: "Store", priority: 5 });
    expect([made.status, made.data.version]).toEqual([201, 1]);
    expect((await stock.post("/locations", { code: "ŠTORE-1 ", name: "Store" })).body.code).toBe(
      "already_exists",
    );
    const path = `/locations/${made.data.id}`;
    const read = await stock.get(path);
    expect(read.headers.get("etag")).toBe('"v1"');
    expect((await stock.patch(path, { name: "Shop" }, "")).status).toBe(428);
    expect((await stock.patch(path, { name: "Shop" }, 9)).status).toBe(412);
    expect((await stock.patch(path, {}, 1)).status).toBe(422);
    const changed = await stock.patch(path, { name: "Shop" }, 1);
    expect([changed.status, changed.data.name, changed.headers.get("etag")]).toEqual([200, "Shop", '"v2"']);
    const remove = (tag: string) =>
      t.request(`/api/products/inventory${path}`, {
        method: "DELETE",
        token: manager.accessToken,
        headers: { "if-match": tag },
      });
    const sku = await stock.sku(1, made.data.id);
    expect((await remove('"v1"')).status).toBe(412);
    const used = await remove('"v2"');
    expect([used.status, ((await used.json()) as { code: string }).code]).toEqual([409, "conflict"]);
    expect(await stock.level(sku, made.data.id)).toMatchObject({ onHand: 1 });
    const empty = await stock.location();
    const gone = await t.request(`/api/products/inventory/locations/${empty}`, {
      method: "DELETE",
      token: manager.accessToken,
      headers: { "if-match": "*" },
    });
    expect(gone.status).toBe(204);
  });

  test("deleting one against its first stock: never a level without a location", async () => {
    for (let round = 0; round < 8; round++) {
      const [locationId, sku] = [await stock.location(), await stock.sku()];
      const [filled, deleted] = await Promise.all([
        stock.post("/adjust", { sku, locationId, delta: 1, reason: "x" }),
        t.request(`/api/products/inventory/locations/${locationId}`, {
          method: "DELETE",
          token: manager.accessToken,
          headers: { "if-match": "*" },
        }),
      ]);
      const outcome = [filled.status, deleted.status].join();
      expect(["200,409", "422,204"]).toContain(outcome);
      expect((await stock.level(sku, locationId)) !== undefined).toBe(filled.status === 200);
    }
  });

  test("a reservation takes from the first by priority that has enough, and splits when none has", async () => {
    const [second, first, third] = [
      await stock.location(20),
      await stock.location(10),
      await stock.location(30),
    ];
    const sku = await stock.sku(3, first);
    for (const [locationId, delta] of [
      [second, 5],
      [third, 9],
    ] as const) {
      await stock.post("/adjust", { sku, locationId, delta, reason: "x" });
    }
    const take = async (quantity: number) => {
      const { data, status } = await stock.reserve([{ sku, quantity }]);
      return status === 201
        ? data.lines[0].allocations.map((part: { locationId: string; quantity: number }) => [
            part.locationId,
            part.quantity,
          ])
        : status;
    };
    expect(await take(2)).toEqual([[first, 2]]);
    expect(await take(4)).toEqual([[second, 4]]);
    expect(await take(9)).toEqual([[third, 9]]);
    expect(await take(2)).toEqual([
      [first, 1],
      [second, 1],
    ]);
    expect(await take(1)).toBe(409);
  });

  test("a line that names its location goes first, wherever it stands", async () => {
    const [first, second] = [await stock.location(1), await stock.location(2)];
    const sku = await stock.sku(5, first);
    await stock.post("/adjust", { sku, locationId: second, delta: 5, reason: "x" });
    const answer = await stock.reserve([
      { sku, quantity: 5 },
      { sku, quantity: 5, locationId: first },
    ]);
    expect(answer.status).toBe(201);
    expect(
      answer.data.lines.map(
        (line: { allocations: { locationId: string }[] }) => line.allocations[0]?.locationId,
      ),
    ).toEqual([second, first]);
  });

  test("nothing is reserved from an inactive one; what was reserved may still leave", async () => {
    const closing = await stock.location(0);
    const sku = await stock.sku(5, closing);
    const { id } = (await stock.reserve([{ sku, quantity: 2 }])).data;
    expect((await stock.patch(`/locations/${closing}`, { active: false }, 1)).status).toBe(200);
    expect((await stock.reserve([{ sku, quantity: 1 }])).status).toBe(409);
    expect((await stock.reserve([{ sku, quantity: 1, locationId: closing }])).body.code).toBe("conflict");
    expect((await stock.post(`/reservations/${id}/commit`)).status).toBe(200);
  });
});

describe("levels", () => {
  test("are made with settings, which have an ETag of their own that sales do not change", async () => {
    const sku = await stock.sku();
    const { locationId } = stock;
    const settings = { safetyThreshold: 3, backorder: "allow", backorderLimit: 5 };
    const made = await stock.post("/levels", { sku, locationId, ...settings });
    expect([made.status, made.data]).toMatchObject([201, { onHand: 0, sequence: 0, low: true, ...settings }]);
    expect((await stock.post("/levels", { sku, locationId })).body.code).toBe("already_exists");
    const path = `/levels/${made.data.id}`;
    await stock.post("/adjust", { sku, locationId, delta: 2, reason: "x" });
    expect((await stock.get(path)).headers.get("etag")).toBe('"v1"');
    expect((await stock.patch(path, { safetyThreshold: 1 }, "")).status).toBe(428);
    const changed = await stock.patch(path, { safetyThreshold: 1 }, 1);
    expect([changed.status, changed.data]).toMatchObject([
      200,
      { low: false, onHand: 2, sequence: 1, version: 2 },
    ]);
    expect((await stock.patch(path, { safetyThreshold: 2 }, 1)).status).toBe(412);
    expect((await stock.patch(path, { backorder: "deny" }, 2)).data).toMatchObject({ backorderLimit: null });
    expect((await stock.patch(path, { backorderLimit: 2 }, 3)).status).toBe(422);
  });

  test("backorders promise what is not there, up to their limit, and leave before the goods come", async () => {
    const sku = await stock.sku(2);
    const { locationId } = stock;
    const { id } = await stock.level(sku);
    expect((await stock.reserve([{ sku, quantity: 3 }])).status).toBe(409);
    await stock.patch(`/levels/${id}`, { backorder: "allow", backorderLimit: 4 }, 1);
    expect((await stock.reserve([{ sku, quantity: 7 }])).status).toBe(409);
    const made = await stock.reserve([{ sku, quantity: 5 }]);
    expect([made.status, await stock.level(sku)]).toMatchObject([201, { available: -3 }]);
    expect((await stock.reserve([{ sku, quantity: 2 }])).status).toBe(409);
    expect((await stock.reserve([{ sku, quantity: 1 }])).status).toBe(201);
    // A promise is no licence to take away what is not there.
    expect((await stock.post("/adjust", { sku, locationId, delta: -1, reason: "x" })).status).toBe(409);
    expect((await stock.post(`/reservations/${made.data.id}/commit`)).status).toBe(200);
    expect(await stock.level(sku)).toMatchObject({ onHand: -3, reserved: 1, available: -4 });
    await stock.post("/adjust", { sku, locationId, delta: 10, kind: "receive", reason: "came" });
    expect(await stock.level(sku)).toMatchObject({ onHand: 7, reserved: 1, available: 6 });
    expect(await stock.differences()).toEqual([]);
  });

  test("in pages by SKU, of a location, and low ones; each page reads no more than it shows", async () => {
    const location = await stock.location();
    const skus: string[] = [];
    for (let index = 0; index < 7; index++) {
      const sku = await stock.sku(index + 1, location);
      skus.push(sku);
      const { id } = await stock.level(sku, location);
      await stock.patch(`/levels/${id}`, { safetyThreshold: 3 }, 1);
    }
    const walk = async (path: string) => {
      const seen: string[] = [];
      for (let cursor = ""; ; ) {
        const { data, body } = await stock.get(`${path}&limit=2${cursor}`);
        seen.push(...data.map((level: { sku: string }) => level.sku));
        if (!body.page.hasMore) return seen;
        cursor = `&cursor=${body.page.nextCursor}`;
      }
    };
    expect(await walk(`/levels?locationId=${location}`)).toEqual(skus);
    expect(await walk(`/low-stock?locationId=${location}`)).toEqual(skus.slice(0, 3));
    const all = await walk("/low-stock?");
    expect(all.filter((sku) => skus.includes(sku))).toEqual(skus.slice(0, 3));
  });

  test("people are told once an hour that a level is low, and not when it has recovered", async () => {
    const sku = await stock.sku(10);
    const { locationId } = stock;
    const { id } = await stock.level(sku);
    await stock.patch(`/levels/${id}`, { safetyThreshold: 4 }, 1);
    const told = () =>
      t.mails.filter(({ subject, to }) => subject.includes(sku) && to === manager.email).length;
    const adjust = (delta: number) => stock.post("/adjust", { sku, locationId, delta, reason: "x" });
    await adjust(-5);
    await t.runner.runDue();
    expect(told()).toBe(0);
    await adjust(-1);
    await t.runner.runDue();
    expect(told()).toBe(1);
    for (const delta of [5, -5, 5, -5]) await adjust(delta);
    await t.runner.runDue();
    expect(told()).toBe(1);
    const { email } = manager;
    await wait(HOUR);
    await t.runner.runDue();
    expect(t.mails.filter((mail) => mail.subject.includes(sku) && mail.to === email).length).toBe(2);
    await adjust(5);
    await wait(2 * HOUR);
    await adjust(-5);
    await adjust(5);
    await t.runner.runDue();
    expect(t.mails.filter((mail) => mail.subject.includes(sku) && mail.to === email).length).toBe(2);
  });
});

describe("movements", () => {
  test("tell a level's whole story, in order, in pages", async () => {
    const sku = await stock.sku(10);
    const { locationId } = stock;
    const first = (await stock.reserve([{ sku, quantity: 2 }])).data;
    const second = (await stock.reserve([{ sku, quantity: 3 }])).data;
    const third = (await stock.reserve([{ sku, quantity: 1 }], { ttlSeconds: 1 })).data;
    await stock.post(`/reservations/${first.id}/commit`);
    await stock.post(`/reservations/${second.id}/release`);
    t.clock.advance(SECOND);
    await expireDue(t.deps);
    await stock.post("/adjust", { sku, locationId, delta: 1, kind: "return", reason: "came back" });
    const kinds: string[] = [];
    const chain: { sequence: number; before: unknown; after: unknown }[] = [];
    for (let cursor = ""; ; ) {
      const { data, body } = await stock.get(
        `/movements?sku=${encodeURIComponent(sku.toUpperCase())}&locationId=${locationId}&limit=3${cursor}`,
      );
      kinds.push(...data.map(({ kind }: { kind: string }) => kind));
      chain.push(...data);
      if (!body.page.hasMore) break;
      cursor = `&cursor=${body.page.nextCursor}`;
    }
    expect(kinds.reverse()).toEqual([
      "receive",
      "reserve",
      "reserve",
      "reserve",
      "sell",
      "release",
      "expire",
      "return",
    ]);
    chain.reverse();
    expect(chain.map(({ sequence }) => sequence)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    for (const [index, { before }] of chain.entries()) {
      if (index > 0) expect(before).toEqual(chain[index - 1]?.after);
    }
    const of = await stock.get(`/movements?reservationId=${third.id}`);
    expect(of.data.map(({ kind, actorId }: { kind: string; actorId: string }) => [kind, actorId])).toEqual([
      ["expire", "system"],
      ["reserve", `user:${manager.id}`],
    ]);
  });

  test("a doubled or lost entry cannot be written: level and sequence are unique", async () => {
    const sku = await stock.sku(10);
    const { id } = await stock.level(sku);
    const Movement = movementModel(t.deps.mongo.connection);
    const entry = await Movement.findOne({ levelId: id }).lean();
    const again = Movement.create([{ ...entry, _id: t.deps.random.id() }]).catch((error) => error.code);
    expect(await again).toBe(11000);
  });
});

describe("a product's stock", () => {
  const product = async (sku: string) => {
    const found = await t.deps.products.findBySku(sku.toLowerCase());
    // As one who edits: guests have a tag of the whole answer, so that they are not told that nothing has changed.
    const response = await t.request(`/api/products/${found?._id}`, { token: manager.accessToken });
    // biome-ignore lint/suspicious/noExplicitAny: a product's answer.
    const { data } = (await response.json()) as any;
    return { id: data.id as string, inStock: data.inStock, etag: response.headers.get("etag"), data };
  };

  test("inStock follows availability across zero at once, and never changes the product's ETag", async () => {
    const sku = await stock.sku();
    const { locationId } = stock;
    const before = await product(sku);
    expect(before.inStock).toBe(false);
    await stock.post("/adjust", { sku, locationId, delta: 2, reason: "x" });
    expect((await product(sku)).inStock).toBe(true);
    const { id } = (await stock.reserve([{ sku, quantity: 2 }])).data;
    expect((await product(sku)).inStock).toBe(false);
    await stock.post(`/reservations/${id}/release`);
    const after = await product(sku);
    expect([after.inStock, after.etag, after.data.updatedAt]).toEqual([
      true,
      before.etag,
      before.data.updatedAt,
    ]);
  });

  test("another variant or location in stock keeps it in stock; an inactive location does not", async () => {
    const other = await stock.location();
    const [a, b] = [`Two-${t.deps.random.id()}`, `Two-${t.deps.random.id()}`];
    await t.request("/api/products", {
      method: "POST",
      token: manager.accessToken,
      json: {
        name: "Two variants",
        variants: [
          { sku: a, price: 1 },
          { sku: b, price: 1 },
        ],
      },
    });
    const adjust = (sku: string, locationId: string, delta: number) =>
      stock.post("/adjust", { sku, locationId, delta, reason: "x" });
    await adjust(a, stock.locationId, 1);
    await adjust(b, other, 1);
    await adjust(a, stock.locationId, -1);
    expect((await product(a)).inStock).toBe(true);
    await stock.patch(`/locations/${other}`, { active: false }, 1);
    await t.keeper.round();
    expect((await product(a)).inStock).toBe(false);
    await stock.patch(`/locations/${other}`, { active: true }, 2);
    await t.keeper.round();
    expect((await product(a)).inStock).toBe(true);
  });

  test("two variants that cross zero at the same moment do not hide each other", async () => {
    for (let round = 0; round < 10; round++) {
      const skus = [`Both-${t.deps.random.id()}`, `Both-${t.deps.random.id()}`];
      await t.request("/api/products", {
        method: "POST",
        token: manager.accessToken,
        json: { name: "Both", variants: skus.map((sku) => ({ sku, price: 1 })) },
      });
      const adjust = (sku: string, delta: number) =>
        stock.post("/adjust", { sku, locationId: stock.locationId, delta, reason: "x" });
      await Promise.all(skus.map((sku) => adjust(sku, 1)));
      expect((await product(skus[0] ?? "")).inStock).toBe(true);
      await Promise.all(skus.map((sku) => adjust(sku, -1)));
      expect((await product(skus[0] ?? "")).inStock).toBe(false);
    }
  });

  test("a process that dies before it wrote inStock leaves a signal, and any other writes it", async () => {
    const sku = await stock.sku(1);
    // What the dead process left: the level and its signal committed, the product not yet written.
    await t.deps.mongo.connection
      .collection("products")
      .updateOne({ skuKeys: sku.toLowerCase() }, { $set: { inStock: false } });
    const signal = { _id: t.deps.random.id(), skuKey: sku.toLowerCase(), createdAt: t.clock.now() };
    await t.deps.inventory.addSignals([signal]);
    expect((await product(sku)).inStock).toBe(false);
    await t.keeper.round();
    expect((await product(sku)).inStock).toBe(true);
    expect(await t.deps.inventory.signals(10)).toEqual([]);
  });

  test("an edit of the product that began before a sale does not put the old inStock back", async () => {
    const sku = await stock.sku(1);
    const old = await t.deps.products.findBySku(sku.toLowerCase());
    if (!old) throw new Error("no product");
    await stock.reserve([{ sku, quantity: 1 }]);
    expect(await t.deps.products.replace({ ...old, name: "Renamed" }, old.version)).toBe(true);
    expect(await product(sku)).toMatchObject({ inStock: false, data: { name: "Renamed" } });
  });

  test("a product that takes over a SKU with stock is in stock within a round", async () => {
    const sku = await stock.sku(5);
    const key = sku.toLowerCase();
    await t.deps.mongo.connection.collection("products").deleteOne({ skuKeys: key });
    await t.request("/api/products", {
      method: "POST",
      token: manager.accessToken,
      json: { name: "Heir", variants: [{ sku, price: 1 }] },
    });
    await t.keeper.round();
    expect((await product(sku)).inStock).toBe(true);
  });

  test("/:id/inventory shows each variant's levels to those who may see them", async () => {
    const sku = await stock.sku(5);
    await stock.reserve([{ sku, quantity: 2 }]);
    const { id } = await product(sku);
    const path = `/api/products/${id}/inventory`;
    expect((await t.request(path)).status).toBe(401);
    const response = await t.request(path, { token: manager.accessToken });
    const { data } = (await response.json()) as { data: unknown };
    expect(data).toMatchObject({
      productId: id,
      inStock: true,
      variants: [{ sku, onHand: 5, reserved: 2, available: 3, levels: [{ locationId: stock.locationId }] }],
    });
    const nowhere = `/api/products/${t.deps.random.id()}/inventory`;
    expect((await t.request(nowhere, { token: manager.accessToken })).status).toBe(404);
  });
});
