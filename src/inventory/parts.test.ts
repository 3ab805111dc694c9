/** Reservations that are committed and released in part, and goods that come back. */
import { beforeAll, describe, expect, test } from "bun:test";
import { type SignedInPerson, useTestApp } from "../../test/app";
import { createStock, type TestStock } from "../../test/stock";
import { SECOND } from "../lib/clock";
import { expireDue } from "./expiry";

const t = useTestApp();
let manager: SignedInPerson;
let stock: TestStock;

beforeAll(async () => {
  manager = await t.signIn({ roles: ["manager"] });
  stock = await createStock(t, manager);
});

const end = (id: string, how: "commit" | "release", ...lines: { sku: string; quantity: number }[]) =>
  stock.post(`/reservations/${id}/${how}`, lines.length === 0 ? {} : { lines });

describe("a reservation in part", () => {
  test("leaves and goes back line by line, and has ended when nothing is left", async () => {
    const [a, b] = [await stock.sku(10), await stock.sku(10)];
    const { id } = (
      await stock.reserve([
        { sku: a, quantity: 4 },
        { sku: b, quantity: 2 },
      ])
    ).data;
    const first = await end(id, "commit", { sku: a.toUpperCase(), quantity: 3 });
    expect(first).toMatchObject({
      status: 200,
      data: {
        status: "active",
        endedAt: null,
        lines: [
          { sku: a, quantity: 4, committed: 3, released: 0 },
          { sku: b, quantity: 2, committed: 0, released: 0 },
        ],
      },
    });
    expect(await stock.level(a)).toMatchObject({ onHand: 7, reserved: 1, available: 6 });
    expect((await end(id, "release", { sku: b, quantity: 2 })).data.status).toBe("active");
    expect(await stock.level(b)).toMatchObject({ onHand: 10, reserved: 0 });
    expect(await stock.differences()).toEqual([]);
    expect((await end(id, "release")).data).toMatchObject({
      status: "released",
      lines: [
        { committed: 3, released: 1 },
        { committed: 0, released: 2 },
      ],
    });
    expect(await stock.level(a)).toMatchObject({ onHand: 7, reserved: 0 });
    expect((await end(id, "commit")).body.reservationStatus).toBe("released");
    expect(await stock.differences()).toEqual([]);
  });

  test("never more than it holds, nor what is not in it; and nothing of a request that asks too much", async () => {
    const [a, b, other] = [await stock.sku(9), await stock.sku(9), await stock.sku(9)];
    const { id } = (
      await stock.reserve([
        { sku: a, quantity: 2 },
        { sku: b, quantity: 2 },
      ])
    ).data;
    const tooMuch = await end(id, "commit", { sku: b, quantity: 1 }, { sku: a, quantity: 3 });
    expect([tooMuch.status, tooMuch.body.code, tooMuch.body.sku, tooMuch.body.available]).toEqual([
      409,
      "conflict",
      a,
      2,
    ]);
    // The same SKU twice is counted together.
    expect((await end(id, "commit", { sku: a, quantity: 1 }, { sku: a, quantity: 2 })).status).toBe(409);
    const foreign = await end(id, "release", { sku: other, quantity: 1 });
    expect([foreign.status, foreign.body.errors[0].path]).toEqual([422, "lines.0.sku"]);
    expect((await stock.post(`/reservations/${id}/commit`, { lines: [] })).status).toBe(422);
    expect(
      (await stock.post(`/reservations/${id}/commit`, { lines: [{ sku: a, quantity: 0 }] })).status,
    ).toBe(422);
    expect(await stock.level(b)).toMatchObject({ onHand: 9, reserved: 2 });
  });

  test("what is left goes back when its time is up", async () => {
    const sku = await stock.sku(5);
    const { id } = (await stock.reserve([{ sku, quantity: 4 }], { ttlSeconds: 60 })).data;
    await end(id, "commit", { sku, quantity: 1 });
    t.clock.advance(60 * SECOND);
    await expireDue(t.deps);
    expect((await stock.get(`/reservations/${id}`)).data).toMatchObject({
      status: "expired",
      lines: [{ quantity: 4, committed: 1, released: 3 }],
    });
    expect(await stock.level(sku)).toMatchObject({ onHand: 4, reserved: 0 });
    expect(await stock.differences()).toEqual([]);
  });

  test("20 commits of one unit each, of ten at once: ten of them win", async () => {
    const [a, b] = [await stock.sku(20), await stock.sku(20)];
    const { id } = (
      await stock.reserve([
        { sku: a, quantity: 5 },
        { sku: b, quantity: 5 },
      ])
    ).data;
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, n) =>
        end(id, n % 3 === 0 ? "release" : "commit", { sku: n % 2 ? a : b, quantity: 1 }),
      ),
    );
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(10);
    const { data } = await stock.get(`/reservations/${id}`);
    expect(data.status).not.toBe("active");
    for (const [index, sku] of [a, b].entries()) {
      expect(data.lines[index].committed + data.lines[index].released).toBe(5);
      expect(await stock.level(sku)).toMatchObject({ onHand: 20 - data.lines[index].committed, reserved: 0 });
    }
    expect(await stock.differences()).toEqual([]);
  });

  test("the same key again commits nothing more", async () => {
    const sku = await stock.sku(5);
    const { id } = (await stock.reserve([{ sku, quantity: 4 }])).data;
    const once = () =>
      stock.post(
        `/reservations/${id}/commit`,
        { lines: [{ sku, quantity: 1 }] },
        { "idempotency-key": `part-${id}` },
      );
    expect((await once()).data).toEqual((await once()).data);
    expect(await stock.level(sku)).toMatchObject({ onHand: 4, reserved: 3 });
  });
});

describe("a return", () => {
  const giveBack = (sku: string, delta: number, reverses: string, locationId = stock.locationId) =>
    stock.post("/adjust", { sku, locationId, delta, kind: "return", reason: "came back", reverses });
  const sold = async (sku: string, quantity: number): Promise<string> => {
    const { id } = (await stock.reserve([{ sku, quantity }])).data;
    await end(id, "commit");
    return (await stock.get(`/movements?reservationId=${id}`)).data.find(
      (movement: { kind: string }) => movement.kind === "sell",
    ).id;
  };

  test("names the sale that it reverses, and no more comes back than was sold", async () => {
    const sku = await stock.sku(10);
    const sale = await sold(sku, 3);
    const some = await giveBack(sku, 2, sale);
    expect(some).toMatchObject({ status: 200, data: { movement: { kind: "return", reverses: sale } } });
    const more = await giveBack(sku, 2, sale);
    expect([more.status, more.body.code, more.body.available]).toEqual([409, "conflict", 1]);
    expect((await giveBack(sku, 1, sale, await stock.location())).status).toBe(200);
    expect((await giveBack(sku, 1, sale)).status).toBe(409);
    expect(await stock.differences()).toEqual([]);
  });

  test("two of the last unit at once, to two locations: one of them", async () => {
    const sku = await stock.sku(10);
    const sale = await sold(sku, 1);
    const answers = await Promise.all(
      [stock.locationId, await stock.location()].map((at) => giveBack(sku, 1, sale, at)),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 409]);
  });

  test("reverses sales of its own SKU, and nothing else", async () => {
    const [sku, other] = [await stock.sku(10), await stock.sku(10)];
    const sale = await sold(sku, 1);
    const received = (await stock.get(`/movements?sku=${sku}`)).data.at(-1).id;
    for (const [of, id] of [
      [other, sale],
      [sku, received],
      [sku, crypto.randomUUID()],
    ] as const) {
      const answer = await giveBack(of, 1, id);
      expect([answer.status, answer.body.errors[0].path]).toEqual([422, "reverses"]);
    }
    const adjusted = { sku, locationId: stock.locationId, delta: 1, reason: "x", reverses: sale };
    expect((await stock.post("/adjust", adjusted)).status).toBe(422);
  });
});

describe("a checkout", () => {
  test("reserves, commits and releases with reservations:write, and does nothing else to stock", async () => {
    const sku = await stock.sku(5);
    const made = await t.request("/auth/api-keys", {
      method: "POST",
      token: manager.accessToken,
      json: { name: "checkout", permissions: ["reservations:write"], password: manager.password },
    });
    const { data } = (await made.json()) as { data: { key: string } };
    expect(made.status).toBe(201);
    const call = async (path: string, json?: unknown) =>
      (
        await t.request(`/api/products/inventory${path}`, {
          token: data.key,
          ...(json === undefined ? {} : { method: "POST", json }),
        })
      ).status;
    const { id } = (await stock.reserve([{ sku, quantity: 2 }])).data;
    expect(await call("/reservations", { lines: [{ sku, quantity: 1 }] })).toBe(201);
    expect(await call(`/reservations/${id}`)).toBe(200);
    expect(await call(`/reservations/${id}/renew`, { ttlSeconds: 60 })).toBe(200);
    expect(await call(`/reservations/${id}/commit`, { lines: [{ sku, quantity: 1 }] })).toBe(200);
    expect(await call(`/reservations/${id}/release`, {})).toBe(200);
    const { locationId } = stock;
    expect(await call("/adjust", { sku, locationId, delta: 1, reason: "x" })).toBe(403);
    expect(await call("/levels")).toBe(403);
    expect(await call("/movements")).toBe(403);
  });
});
