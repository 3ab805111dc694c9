/**
 * Stock: reservations a second on one hot SKU and on 10,000 SKUs with 64 callers, how long the slowest take,
 * how often a transaction had to be repeated, and how long it takes to recompute 10,000 levels from 1 million
 * movements. `bun run bench stock [--quick] [--check]`.
 */

import { seedAdministrator } from "../prisma/seed";
import { createApp } from "../src/app";
import { parseConfig } from "../src/config";
import type { LevelDocument, MovementDocument } from "../src/inventory/model";
import { reserve } from "../src/inventory/reservations";
import { verifyAll } from "../src/inventory/verify";
import type { Actor } from "../src/lib/actor";
import { canonicalKey } from "../src/lib/text";
import { buildProduct } from "../src/products/build";
import { MAX_VARIANTS } from "../src/products/fields";
import { silentLogger } from "../src/telemetry/log";
import { ensureRoles } from "../src/users/roles/ensure";
import type { Deps } from "../src/wire";
import { createDeps } from "../src/wire";
import { type Goal, load, onThrowAwayDatabases, options, reportGoals } from "./lib";

const CALLERS = 64;
const SECONDS = options.quick ? 4 : 15;
const SKUS = options.quick ? 1000 : 10_000;
const MOVEMENTS_PER_SKU = 100;
/** Documents sent with one insert. */
const CHUNK = 5000;
const ACTOR: Actor = {
  kind: "user",
  callerId: "user:bench",
  userId: "bench",
  sessionId: null,
  permissions: new Set(),
};
const noRecord = async () => undefined;

const skuOf = (index: number) => `BENCH-${index}`;

/** The option by which this program starts itself as a second process. */
const SECOND = "--second-process";

/** Levels with a history: goods came, then were sold one by one. */
async function fill(deps: Deps, locationId: string): Promise<void> {
  const now = deps.clock.now();
  const levels = deps.mongo.connection.collection<LevelDocument>("stockLevels");
  const movements = deps.mongo.connection.collection<MovementDocument>("stockMovements");
  let waiting: MovementDocument[] = [];
  for (let from = 0; from < SKUS; from += CHUNK) {
    const made: LevelDocument[] = [];
    for (let index = from; index < Math.min(SKUS, from + CHUNK); index++) {
      const sku = skuOf(index);
      const level = {
        _id: deps.random.id(),
        sku,
        skuKey: canonicalKey(sku),
        locationId,
        onHand: 0,
        reserved: 0,
        sequence: 0,
        createdAt: now,
        updatedAt: now,
      };
      for (let sequence = 1; sequence <= MOVEMENTS_PER_SKU; sequence++) {
        const change = sequence === 1 ? 1_000_000 : -1;
        const before = { onHand: level.onHand, reserved: 0 };
        level.onHand += change;
        level.sequence = sequence;
        waiting.push({
          _id: deps.random.id(),
          levelId: level._id,
          sequence,
          sku,
          skuKey: level.skuKey,
          locationId,
          kind: sequence === 1 ? "receive" : "sell",
          onHand: change,
          reserved: 0,
          before,
          after: { onHand: level.onHand, reserved: 0 },
          reason: null,
          reference: null,
          reservationId: null,
          transferId: null,
          actorId: "system",
          createdAt: now,
        });
      }
      if (waiting.length >= CHUNK) {
        await movements.insertMany(waiting, { ordered: false });
        waiting = [];
      }
      made.push({
        ...level,
        available: level.onHand,
        safetyThreshold: null,
        backorder: "deny",
        backorderLimit: null,
        low: false,
        lowNoticeAt: null,
        version: 1,
      });
    }
    await levels.insertMany(made, { ordered: false });
  }
  await sell(deps);
  if (waiting.length > 0) await movements.insertMany(waiting, { ordered: false });
}

/** Only what an active product has is reserved. */
async function sell(deps: Deps): Promise<void> {
  for (let from = 0; from < SKUS; from += MAX_VARIANTS) {
    const skus = Array.from({ length: Math.min(MAX_VARIANTS, SKUS - from) }, (_, index) =>
      skuOf(from + index),
    );
    const variants = skus.map((sku) => ({ sku, price: 100 }));
    const product = buildProduct(deps, deps.random.id(), { name: `Bench ${from}`, variants }, []);
    await deps.products.create([product]);
  }
}

const reserveOne = (deps: Deps, sku: string) =>
  reserve(deps, ACTOR, { lines: [{ sku, quantity: 1 }], ttlSeconds: 900, reference: null }, noRecord);

async function measure(
  deps: Deps,
  name: string,
  callers: number,
  call: (index: number) => Promise<unknown>,
): Promise<{ perSecond: number; p99: number; retries: number }> {
  const before = deps.stock.stats();
  const { perSecond, p50, p99, count } = await load(callers, SECONDS, call);
  const { attempts, transactions } = deps.stock.stats();
  const retries = (attempts - before.attempts - (transactions - before.transactions)) / count;
  console.log(
    `${name}: ${perSecond.toFixed(0)} reservations a second, median ${p50.toFixed(1)} ms, 99 % under ${p99.toFixed(1)} ms, ` +
      `${(count / (transactions - before.transactions)).toFixed(1)} in a transaction, ${retries.toFixed(3)} retries per success`,
  );
  return { perSecond, p99, retries };
}

/** Calls of the API by someone who may change stock, each with a key of its own. */
async function apiCaller(deps: Deps): Promise<(sku: string) => Promise<void>> {
  const app = createApp(deps);
  const [email, password] = ["bench@example.com", "a password of benchmarks"];
  await ensureRoles(deps);
  await seedAdministrator(deps, email, password);
  const login = await app.request("/auth/login", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ email, password }),
  });
  const { data } = (await login.json()) as { data: { accessToken: string } };
  return async (sku) => {
    const response = await app.request("/api/products/inventory/reservations", {
      method: "POST",
      headers: {
        authorization: `Bearer ${data.accessToken}`,
        "content-type": "application/json",
        "idempotency-key": deps.random.id(),
      },
      body: JSON.stringify({ lines: [{ sku, quantity: 1 }] }),
    });
    if (response.status !== 201) throw new Error(`${response.status} ${await response.text()}`);
  };
}

const openDeps = (): Deps =>
  createDeps(
    parseConfig({ ...process.env, LOG_LEVEL: "silent", SMTP_URL: "smtp://localhost:1" }),
    silentLogger(),
  );

/** Half the callers of one hot SKU, in a process of their own; prints what it measured as JSON. */
async function runSecond(): Promise<number> {
  const deps = openDeps();
  try {
    await deps.mongo.connection.asPromise();
    const before = deps.stock.stats();
    const { perSecond, p99, count } = await load(CALLERS / 2, SECONDS, () => reserveOne(deps, skuOf(0)));
    const { attempts, transactions } = deps.stock.stats();
    const retries = (attempts - before.attempts - (transactions - before.transactions)) / count;
    console.log(JSON.stringify({ perSecond, p99, retries }));
    return 0;
  } finally {
    await deps.close();
  }
}

async function run(): Promise<number> {
  const deps = openDeps();
  try {
    await deps.mongo.connection.asPromise();
    const now = deps.clock.now();
    const locationId = deps.random.id();
    await deps.mongo.transaction((tx) =>
      deps.inventory.createLocation(
        {
          _id: locationId,
          code: "BENCH",
          codeKey: "bench",
          name: "Bench",
          priority: 1,
          active: true,
          levelCount: SKUS,
          version: 1,
          createdAt: now,
          updatedAt: now,
        },
        tx,
      ),
    );
    const filling = performance.now();
    await fill(deps, locationId);
    console.log(
      `${SKUS} levels with ${SKUS * MOVEMENTS_PER_SKU} movements made in ${((performance.now() - filling) / 1000).toFixed(0)} s; ${CALLERS} callers, ${SECONDS} s each`,
    );

    const started = performance.now();
    const { levels, movements, differences } = await verifyAll(deps);
    const seconds = (performance.now() - started) / 1000;
    console.log(
      `verify: ${levels} levels, ${movements} movements, ${differences.length} differences in ${seconds.toFixed(1)} s`,
    );
    const hot = await measure(deps, "one hot SKU", CALLERS, () => reserveOne(deps, skuOf(0)));
    const anySku = (index: number) => skuOf((index * 7919) % SKUS);
    const many = await measure(deps, `${SKUS} SKUs`, CALLERS, (index) => reserveOne(deps, anySku(index)));
    const call = await apiCaller(deps);
    const api = await measure(deps, `${SKUS} SKUs by the API, each with a key`, CALLERS, (index) =>
      call(anySku(index)),
    );
    const child = Bun.spawn([process.execPath, import.meta.path, SECOND, ...process.argv.slice(2)], {
      env: { ...process.env },
      stdout: "pipe",
      stderr: "inherit",
    });
    const [half, printed] = await Promise.all([
      measure(deps, "one hot SKU, this of two processes", CALLERS / 2, () => reserveOne(deps, skuOf(0))),
      new Response(child.stdout).text(),
    ]);
    const second = JSON.parse(printed) as typeof half;
    console.log(
      `the other: ${second.perSecond.toFixed(0)} a second, 99 % under ${second.p99.toFixed(1)} ms, ${second.retries.toFixed(3)} retries per success`,
    );
    const after = await verifyAll(deps);
    const goals: Goal[] = [
      { name: "one hot SKU", measured: hot.perSecond, unit: "reservations/s", goal: [">=", 300] },
      { name: "one hot SKU, 99 %", measured: hot.p99, unit: "ms", goal: ["<=", 500] },
      { name: "one hot SKU, retries per success", measured: hot.retries, unit: "", goal: ["<=", 0.1] },
      { name: `${SKUS} SKUs`, measured: many.perSecond, unit: "reservations/s", goal: [">=", 300] },
      { name: `${SKUS} SKUs, 99 %`, measured: many.p99, unit: "ms", goal: ["<=", 500] },
      { name: `${SKUS} SKUs, retries per success`, measured: many.retries, unit: "", goal: ["<=", 0.1] },
      { name: "by the API with keys", measured: api.perSecond, unit: "reservations/s", goal: [">=", 50] },
      {
        name: "one hot SKU over two processes",
        measured: half.perSecond + second.perSecond,
        unit: "reservations/s",
        goal: [">=", 200],
      },
      {
        name: "one hot SKU over two processes, 99 %",
        measured: Math.max(half.p99, second.p99),
        unit: "ms",
        goal: ["<=", 2000],
      },
      {
        name: "one hot SKU over two processes, retries per success",
        measured: Math.max(half.retries, second.retries),
        unit: "",
        goal: ["<=", 0.5],
      },
      {
        name: `verify ${movements} movements`,
        measured: seconds,
        unit: "s",
        goal: ["<=", (30 * movements) / 1_000_000],
      },
      { name: "differences afterwards", measured: after.differences.length, unit: "", goal: ["<=", 0] },
    ];
    return reportGoals(goals);
  } finally {
    await deps.close();
  }
}

process.exit(await (process.argv.includes(SECOND) ? runSecond() : onThrowAwayDatabases(run)));
