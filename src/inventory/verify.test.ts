import { beforeAll, describe, expect, test } from "bun:test";
import { type SignedInPerson, useTestApp } from "../../test/app";
import { documentsRead, type Explainable } from "../../test/explain";
import { eventually, startProgram, startServer } from "../../test/processes";
import { createStock, type TestStock } from "../../test/stock";
import { canonicalKey } from "../lib/text";
import type { Difference } from "./answers";
import { type LevelDocument, levelModel, movementModel, reservationModel } from "./model";
import { verifyAll, verifySku } from "./verify";

const t = useTestApp();
let manager: SignedInPerson;
let stock: TestStock;

beforeAll(async () => {
  manager = await t.signIn({ roles: ["manager"] });
  stock = await createStock(t, manager);
});

const Level = () => levelModel(t.deps.mongo.connection);
const Movement = () => movementModel(t.deps.mongo.connection);
const Reservation = () => reservationModel(t.deps.mongo.connection);

/** A SKU with a history of six entries: 10 came, 2 + 3 were reserved, 2 sold, 1 came back, 1 reserved. */
async function history(): Promise<{ sku: string; level: LevelDocument; living: string }> {
  const sku = await stock.sku(10);
  const first = (await stock.reserve([{ sku, quantity: 2 }])).data.id;
  const living = (await stock.reserve([{ sku, quantity: 3 }])).data.id;
  await stock.post(`/reservations/${first}/commit`);
  await stock.post("/adjust", {
    sku,
    locationId: stock.locationId,
    delta: 1,
    kind: "return",
    reason: "came back",
  });
  await stock.reserve([{ sku, quantity: 1 }]);
  const level = await Level()
    .findOne({ skuKey: canonicalKey(sku) })
    .lean();
  if (!level) throw new Error("no level");
  expect(level).toMatchObject({ onHand: 9, reserved: 4, sequence: 6 });
  return { sku, level, living };
}

const historyOf = (level: LevelDocument) =>
  Movement().find({ levelId: level._id }).sort({ sequence: 1 }).lean();

describe("verify reports and repair corrects, without touching what is written:", () => {
  const damages: {
    what: string;
    problem: Difference["problem"];
    damage(made: { level: LevelDocument; living: string }): Promise<void>;
    after: { onHand: number; reserved: number };
  }[] = [
    {
      what: "a level that someone edited",
      problem: "quantity",
      damage: async ({ level }) => {
        await Level().updateOne({ _id: level._id }, { $set: { onHand: 50, available: 46 } });
      },
      after: { onHand: 9, reserved: 4 },
    },
    {
      what: "a reserved quantity that someone edited",
      problem: "quantity",
      damage: async ({ level }) => {
        await Level().updateOne({ _id: level._id }, { $set: { reserved: 0, available: 9 } });
      },
      after: { onHand: 9, reserved: 4 },
    },
    {
      what: "availability that does not follow from the two",
      problem: "reservations",
      damage: async ({ level }) => {
        await Level().updateOne({ _id: level._id }, { $set: { available: 99 } });
      },
      after: { onHand: 9, reserved: 4 },
    },
    {
      what: "an entry lost from the middle",
      problem: "quantity",
      damage: async ({ level }) => {
        await Movement().deleteOne({ levelId: level._id, sequence: 4 });
      },
      after: { onHand: 9, reserved: 4 },
    },
    {
      what: "an entry of nothing lost: only the count tells",
      problem: "sequence",
      damage: async ({ level }) => {
        await Movement().deleteOne({ levelId: level._id, sequence: 5 });
        await Movement().updateOne({ levelId: level._id, sequence: 1 }, { $inc: { onHand: 1 } });
      },
      after: { onHand: 9, reserved: 4 },
    },
    {
      what: "the last entry lost, an adjustment",
      problem: "quantity",
      damage: async ({ level }) => {
        await Level().updateOne({ _id: level._id }, { $set: { onHand: 7, available: 3, sequence: 7 } });
      },
      after: { onHand: 9, reserved: 4 },
    },
    {
      what: "a level put back from a backup, behind its entries",
      problem: "quantity",
      damage: async ({ level }) => {
        await Level().updateOne(
          { _id: level._id },
          { $set: { onHand: 10, reserved: 2, available: 8, sequence: 2 } },
        );
      },
      after: { onHand: 9, reserved: 4 },
    },
    {
      what: "an entry that someone edited",
      problem: "quantity",
      damage: async ({ level }) => {
        await Movement().updateOne({ levelId: level._id, sequence: 1 }, { $set: { onHand: 1000 } });
      },
      after: { onHand: 9, reserved: 4 },
    },
    {
      what: "a reservation that vanished",
      problem: "reservations",
      damage: async ({ living }) => {
        await Reservation().deleteOne({ _id: living });
      },
      after: { onHand: 9, reserved: 1 },
    },
    {
      what: "a whole history lost",
      problem: "quantity",
      damage: async ({ level }) => {
        await Movement().deleteMany({ levelId: level._id });
      },
      after: { onHand: 9, reserved: 4 },
    },
  ];

  test.each(damages)("$what", async ({ problem, damage, after }) => {
    const made = await history();
    expect((await verifySku(t.deps, made.sku)).differences).toEqual([]);
    await damage(made);
    const before = await historyOf(made.level);
    const { body } = await stock.get(`/verify?sku=${made.sku}`);
    expect(body.data.differences).toMatchObject([
      { levelId: made.level._id, sku: made.sku, locationId: stock.locationId, problem },
    ]);
    const repaired = await stock.post("/verify/repair", { sku: made.sku });
    expect([repaired.status, repaired.data.movements.length]).toEqual([200, 1]);
    expect(repaired.data.movements[0]).toMatchObject({
      kind: "adjust",
      actorId: `user:${manager.id}`,
      after,
    });
    expect(await stock.level(made.sku)).toMatchObject({ ...after, available: after.onHand - after.reserved });
    const now = await historyOf(made.level);
    expect(now.slice(0, -1)).toEqual(before);
    expect((await verifySku(t.deps, made.sku)).differences).toEqual([]);
    expect((await stock.post("/verify/repair", { sku: made.sku })).data.movements).toEqual([]);
    // It sells as before.
    expect((await stock.reserve([{ sku: made.sku, quantity: 1 }])).status).toBe(201);
    expect((await verifySku(t.deps, made.sku)).differences).toEqual([]);
    await stock.post("/verify/repair", { sku: made.sku });
  });

  test("a level behind its entries refuses to sell until it is repaired, rather than number them twice", async () => {
    const { sku, level } = await history();
    await Level().updateOne({ _id: level._id }, { $set: { sequence: 2 } });
    expect((await stock.reserve([{ sku, quantity: 1 }])).status).toBe(503);
    await stock.post("/verify/repair", { sku });
    expect((await stock.reserve([{ sku, quantity: 1 }])).status).toBe(201);
  });

  test("a repair that changes availability reaches inStock", async () => {
    const sku = await stock.sku(3);
    await Level().updateOne({ skuKey: canonicalKey(sku) }, { $set: { onHand: 0, available: 0 } });
    await t.deps.mongo.connection
      .collection("products")
      .updateOne({ skuKeys: canonicalKey(sku) }, { $set: { inStock: false } });
    await stock.post("/verify/repair", { sku });
    await t.keeper.round();
    expect((await t.deps.products.findBySku(canonicalKey(sku)))?.inStock).toBe(true);
  });
});

test("verify finds no difference while sales go on, again and again", async () => {
  const skus = await Promise.all(Array.from({ length: 6 }, () => stock.sku(100_000)));
  let selling = true;
  let sales = 0;
  const sellers = Promise.all(
    Array.from({ length: 12 }, async (_, seller) => {
      while (selling) {
        const lines = [
          { sku: skus[seller % 6] ?? "", quantity: 1 },
          { sku: skus[(seller + 1) % 6] ?? "", quantity: 2 },
        ];
        const { data, status } = await stock.reserve(lines);
        if (status !== 201) throw new Error(`a sale failed: ${status}`);
        await stock.post(`/reservations/${data.id}/${seller % 2 === 0 ? "commit" : "release"}`);
        sales++;
      }
    }),
  );
  for (let round = 0; round < 12; round++) expect((await verifyAll(t.deps)).differences).toEqual([]);
  selling = false;
  await sellers;
  expect(sales).toBeGreaterThan(0);
  expect((await verifyAll(t.deps)).differences).toEqual([]);
}, 60_000);

test("repair while sales go on: two at once write one entry, no sale is lost or counted twice", async () => {
  const [sku, other] = [await stock.sku(100_000), await stock.sku(100_000)];
  const level = await Level()
    .findOne({ skuKey: canonicalKey(sku) })
    .lean();
  let selling = true;
  let sold = 0;
  const sellers = Promise.all(
    Array.from({ length: 8 }, async () => {
      while (selling) {
        const lines = [
          { sku, quantity: 1 },
          { sku: other, quantity: 1 },
        ];
        const { data, status } = await stock.reserve(lines);
        if (status !== 201) throw new Error(`a sale failed: ${status}`);
        const ended = await stock.post(`/reservations/${data.id}/commit`);
        if (ended.status !== 200) throw new Error(`a sale did not end: ${ended.status}`);
        sold++;
      }
    }),
  );
  try {
    for (let round = 1; round <= 6; round++) {
      const before = sold;
      await eventually(async () => sold > before + 10, "sales");
      // An entry of a sale is lost from the middle; the level is right, its history is not.
      await Movement().findOneAndDelete({ levelId: level?._id, kind: "sell" }).sort({ sequence: 1 });
      if (round % 3 === 0) {
        const cli = startProgram(["src/inventory/verify.cli.ts", "--sku", sku, "--repair"]);
        expect([await cli.ended(), cli.output()]).toEqual([
          0,
          expect.stringContaining("1 correcting entries written"),
        ]);
      } else {
        const answers = await Promise.all([1, 2].map(() => stock.post("/verify/repair", { sku })));
        expect(answers.map(({ status }) => status)).toEqual([200, 200]);
        expect(answers.flatMap(({ data }) => data.movements).length).toBe(1);
      }
      expect((await verifySku(t.deps, sku)).differences).toEqual([]);
    }
  } finally {
    selling = false;
    await sellers;
  }
  for (const one of [sku, other])
    expect(await stock.level(one)).toMatchObject({ onHand: 100_000 - sold, reserved: 0 });
  expect(await stock.differences()).toEqual([]);
}, 180_000);

test("over HTTP everything is verified a page at a time", async () => {
  const seen = { levels: 0, movements: 0 };
  for (let cursor = ""; ; ) {
    const { body } = await stock.get(`/verify${cursor}`);
    seen.levels += body.data.levels;
    seen.movements += body.data.movements;
    if (!body.page.hasMore) break;
    cursor = `?cursor=${body.page.nextCursor}`;
  }
  expect(seen).toEqual({
    levels: await Level().countDocuments(),
    movements: await Movement().countDocuments(),
  });
  expect((await stock.get("/verify?cursor=AAAA")).status).toBe(400);
});

test("bun run stock:verify says what differs and ends with 1; --repair corrects it", async () => {
  const { sku, level } = await history();
  const cli = (...words: string[]) => startProgram(["src/inventory/verify.cli.ts", ...words]);
  const clean = cli();
  expect([await clean.ended(), clean.output()]).toEqual([0, expect.stringContaining(", 0 differences in ")]);
  await Level().updateOne({ _id: level._id }, { $inc: { onHand: 5, available: 5 } });
  const found = cli();
  expect([await found.ended(), found.output()]).toEqual([1, expect.stringContaining(`${sku} at `)]);
  const repaired = cli("--sku", sku, "--repair");
  expect([await repaired.ended(), repaired.output()]).toEqual([
    0,
    expect.stringContaining("1 correcting entries written"),
  ]);
  expect(await cli("--sku", sku).ended()).toBe(0);
  expect(await cli("--everything").ended()).toBe(2);
}, 60_000);

test("a page of a list reads no more documents than it shows, however many there are", async () => {
  const now = t.clock.now();
  const locationId = await stock.location();
  const levels = Array.from({ length: 2000 }, (_, index) => ({
    _id: t.deps.random.id(),
    sku: `Many-${index}`,
    skuKey: `many-${String(index).padStart(4, "0")}`,
    locationId,
    onHand: 0,
    reserved: 0,
    available: 0,
    sequence: 0,
    safetyThreshold: 0,
    backorder: "deny" as const,
    backorderLimit: null,
    low: true,
    lowNoticeAt: null,
    version: 1,
    createdAt: now,
    updatedAt: now,
  }));
  await Level().insertMany(levels);
  await Reservation().insertMany(
    levels.map(() => ({
      _id: t.deps.random.id(),
      status: "released" as const,
      lines: [],
      reference: null,
      actorId: "system",
      expiresAt: now,
      createdAt: now,
      updatedAt: now,
      endedAt: now,
    })),
  );
  const sku = await stock.sku(1);
  for (let index = 0; index < 30; index++) {
    await stock.post("/adjust", { sku, locationId: stock.locationId, delta: 1, reason: "x" });
  }
  const level = await Level()
    .findOne({ skuKey: canonicalKey(sku) })
    .lean();
  const after = { skuKey: { $gt: "many-0300" } };
  const bySku = { skuKey: 1, locationId: 1 } as const;
  const plans: Record<string, Explainable> = {
    levels: Level().find(after).sort(bySku),
    "the rest of a SKU": Level()
      .find({ skuKey: "many-0300", locationId: { $gt: "" } })
      .sort(bySku),
    "levels of a location": Level()
      .find({ locationId, ...after })
      .sort({ skuKey: 1 }),
    low: Level()
      .find({ low: true, ...after })
      .sort(bySku),
    "low of a location": Level()
      .find({ low: true, locationId, ...after })
      .sort({ skuKey: 1 }),
    "movements of a level": Movement().find({ levelId: level?._id }).sort({ sequence: -1 }),
    "movements of a SKU": Movement()
      .find({ skuKey: canonicalKey(sku) })
      .sort({ _id: -1 }),
    movements: Movement().find().sort({ _id: -1 }),
    reservations: Reservation().find({ status: "released" }).sort({ _id: -1 }),
  };
  for (const [name, query] of Object.entries(plans)) {
    // An engine may need statistics of what was just written, which it makes by itself.
    await eventually(
      async () => (await documentsRead(query, 11)) <= 2 * 11,
      `a page of "${name}" that reads a page`,
    );
  }
  await Level().deleteMany({ locationId });
}, 120_000);

test("a server by itself gives back what expired and keeps inStock no older than a second", async () => {
  const sku = await stock.sku(1);
  const server = await startServer();
  try {
    const api = `${server.address}/api/products`;
    const headers = { authorization: `Bearer ${manager.accessToken}`, "content-type": "application/json" };
    const product = await t.deps.products.findBySku(canonicalKey(sku));
    const inStock = async () =>
      ((await (await fetch(`${api}/${product?._id}`)).json()) as { data: { inStock: boolean } }).data.inStock;
    const made = await fetch(`${api}/inventory/reservations`, {
      method: "POST",
      headers,
      body: JSON.stringify({ lines: [{ sku, quantity: 1 }], ttlSeconds: 1 }),
    });
    expect([made.status, await inStock()]).toEqual([201, false]);
    await eventually(inStock, "what expired on sale again");
    expect(await stock.level(sku)).toMatchObject({ reserved: 0, sequence: 3 });
    // What a process that died has left behind.
    await t.deps.mongo.connection
      .collection<{ _id: string }>("products")
      .updateOne({ _id: product?._id ?? "" }, { $set: { inStock: false } });
    const signal = { _id: t.deps.random.id(), skuKey: canonicalKey(sku), createdAt: new Date() };
    await t.deps.inventory.addSignals([signal]);
    await eventually(inStock, "the signal of a dead process");
  } finally {
    await server.kill("SIGTERM");
  }
  expect(await stock.differences()).toEqual([]);
}, 90_000);
