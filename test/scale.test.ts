/**
 * docs/scale.md, held against the models and against every query that is sent: by each operation of the document, by
 * jobs and the sweep, and by each function of the stores. A new one fails here until its queries are in the page.
 */
import { beforeAll, describe, expect, test } from "bun:test";
import { readFile } from "node:fs/promises";
import type { Document } from "mongodb";
import { removeExpired } from "../src/analytics/jobs";
import { updatePopularity } from "../src/analytics/popularity";
import { rebuild } from "../src/analytics/rebuild";
import { settle } from "../src/analytics/settle";
import type { IdempotencyStore } from "../src/db/idempotency";
import { connectMySql } from "../src/db/prisma";
import { planHousekeeping } from "../src/housekeeping";
import type { LeasedJob } from "../src/jobs/jobs";
import { withOption } from "./addresses";
import { anEvent, sent, sentByServer } from "./analytics";
import { useTestApp } from "./app";
import { createWorld, type World } from "./contract/drive";
import { catalogue, reporting, stock } from "./contract/goods";
import { otherPeople, ownAccount, signingIn } from "./contract/people";
import { addedBy, columnsOf, fieldsOf, filtersOf } from "./queries";

// The driver tells of its commands where its address says so.
const t = useTestApp(
  ({ mongodbUri }) => ({
    mongodbUri: withOption(mongodbUri, "monitorCommands", "true"),
    shopperReservations: { on: true, units: 5, addressUnits: 8, minutes: 1 },
  }),
  ({ databaseUrl, databasePool }) => ({
    mysql: connectMySql(databaseUrl, databasePool, {
      tell: (statement) => {
        if (!statements.has(statement)) statements.set(statement, asking);
      },
    }),
  }),
);

const page = await readFile("docs/scale.md", "utf8");
/** The rows of the table under a heading, as texts of its cells. */
const rowsOf = (heading: string): string[][] => {
  const lines = page
    .slice(page.indexOf(`| ${heading} |`))
    .split("\n")
    .slice(2);
  const end = lines.findIndex((line) => !line.startsWith("|"));
  return lines.slice(0, end < 0 ? undefined : end).map((line) => line.split("|").map((cell) => cell.trim()));
};
const names = (cell = ""): string[] => [...cell.matchAll(/`([^`]+)`/g)].map(([, inside = ""]) => inside);
/** A query as the page and this test name it: its collection and the fields that it asks by, in no order. */
const queryOf = (collection: string, fields: string[]): string =>
  `${collection} by \`${[...new Set(fields)].toSorted().join(", ") || "nothing"}\``;
const queriesOf = (rows: string[][], column: number): string[] =>
  rows.flatMap((row) =>
    names(row[column]).map((fields) => queryOf(names(row[1])[0] ?? "", fields.split(", "))),
  );

/** The column by which each table is spread over the shards of a distributed MySQL. */
const SPREAD = new Map(
  rowsOf("tables | spread by").flatMap(([, tables, column]) =>
    names(tables).map((table) => [table, names(column)[0]] as const),
  ),
);
const OTHERWISE = rowsOf("table | asked by");
const SHARDED = rowsOf("collection | shard key");
const FAN_OUTS = rowsOf("collection | asked by");
/** The shard key of each sharded collection. */
const KEYS = new Map(
  SHARDED.map(([, name, key]) => [names(name)[0] ?? "", names(key)[0]?.split(", ") ?? []] as const),
);

const JOINS = ["$lookup", "$graphLookup", "$unionWith", "$merge", "$out"];

/** What was asked, each with who asked it first. */
const asked = new Map<string, string>();
const carried = new Set<string>();
/** The same of statements to MySQL. */
const statements = new Map<string, string>();
const faults = new Set<string>();
let asking = "a job";

function note(name: string, command: Document): void {
  const collection: string = command[name];
  const key = KEYS.get(collection);
  const [first = ""] = key ?? [];
  for (const stage of name === "aggregate" ? (command.pipeline as Document[]) : []) {
    const join = JOINS.find((one) => one in stage);
    if (join)
      faults.add(`${collection} is asked with ${join} by ${asking}: this test cannot tell of which shards`);
  }
  if (key === undefined) return;
  for (const filter of filtersOf(name, command)) {
    const fields = fieldsOf(filter, first);
    const query = queryOf(collection, fields);
    if (!asked.has(query)) asked.set(query, asking);
    // A prefix of the key names the shards; a hashed key is one field.
    if (fields.includes(first)) carried.add(query);
  }
  for (const added of addedBy(name, command)) {
    const missing = key.filter((field) => added[field] === undefined);
    if (missing.length > 0) faults.add(`${collection} gets a document without \`${missing}\` from ${asking}`);
  }
}

const uncalled = new Set<string>();
/** Has a store, and the stores in it, note which of its functions are called. */
function watch(name: string, store: object): void {
  for (const [key, member] of Object.entries(store)) {
    const path = `${name}.${key}`;
    if (typeof member === "function") {
      uncalled.add(path);
      Object.assign(store, {
        [key]: (...words: unknown[]) => {
          uncalled.delete(path);
          return member(...words);
        },
      });
    } else if (typeof member === "object" && member !== null) watch(path, member);
  }
}

/** Everything that is done with a key, in turn: claimed, met again when it is long over, answered both ways, freed. */
async function useKey<Tx>(
  store: IdempotencyStore<Tx>,
  transaction: (work: (tx: Tx) => Promise<void>) => Promise<void>,
): Promise<void> {
  const now = t.clock.now();
  const key = { callerId: "user:none", key: "k", hash: new Uint8Array(32), leaseToken: "l", now };
  const answer = { status: 200, body: null };
  const late = { ...key, now: new Date(now.getTime() + 1e9) };
  await store.claim(key);
  await transaction((tx) => store.complete(key, answer, tx));
  await store.claim(late);
  await store.complete(late, answer);
  await store.release(key);
}

describe("docs/scale.md", () => {
  let world: World;
  beforeAll(async () => {
    watch("inventory", t.deps.inventory);
    watch("analytics", t.deps.analytics);
    const { users, roles, settings, emailChanges, exports, codes, sessions } = t.deps;
    const { apiKeys, audit, devices, mfa, passkeys } = t.deps;
    const people = {
      users,
      roles,
      settings,
      emailChanges,
      exports,
      codes,
      sessions,
      apiKeys,
      audit,
      devices,
    };
    for (const [name, store] of Object.entries({ ...people, mfa, passkeys })) watch(name, store);
    watch("idempotency", t.deps.idempotency);
    watch("jobs.mysql", t.deps.jobs.mysql);
    t.deps.mongo.connection
      .getClient()
      .on("commandStarted", ({ commandName, command }) => note(commandName, command));
    const { request } = t;
    t.request = async (path, init) => {
      asking = `${init?.method ?? "GET"} ${path.split("?")[0]}`;
      return request(path, init).finally(() => {
        asking = "a job";
      });
    };
    world = await createWorld(t, []);
  });

  for (const drive of [signingIn, ownAccount, otherPeople, catalogue, stock, reporting])
    test(drive.name, () => drive(world));

  test("what else is asked of people", async () => {
    const { users, roles, apiKeys, devices, mfa, jobs, idempotency, mysql, clock } = t.deps;
    asking = "a call of a store in this test";
    const [now, id, bytes] = [clock.now(), "none", new Uint8Array(32)];
    await users.walkWords({ terms: ["a"], notEmail: "a", limit: 1 });
    await users.rehash(id, "a", "b");
    await users.peopleWith("inventory:write", 1);
    await roles.byNames(["admin"]);
    await roles.ofUser(id);
    await roles.savePermissions([]);
    await roles.addPermissions("admin", []);
    await roles.ensureRole({ id, name: "admin", description: "", permissions: [], now });
    await apiKeys.findLive(id);
    await apiKeys.keepDigest(id, bytes);
    await apiKeys.keepHashKeys([bytes], now);
    await apiKeys.hashKeys();
    await apiKeys.touch(id, now, now);
    await devices.isForgotten(id);
    await mfa.reseal(id, "v0", { keyVersion: "v1", bytes });
    await mfa.countNotUnder("v1");
    await mfa.findBackupCode(id, "a");
    await jobs.mysql.renew({ id, fence: 1 } as LeasedJob, now);
    await jobs.mysql.forget(["none"], now);
    const address = { email: "nobody@example.com", emailCanonical: "nobody@example.com", now };
    await mysql.transaction(async (tx) => {
      await users.takeAddress(id, address, tx);
      await roles.grant(id, [], now, tx);
      await roles.revoke(id, [id], tx);
      await apiKeys.revokeAll([id], now, tx);
      await mfa.useBackupCode(id, now, tx);
    });
    await useKey(idempotency.mysql, (work) => mysql.transaction(work));
  });

  test("the sweep, and what else is asked of stock", async () => {
    const { inventory, idempotency, mongo, clock } = t.deps;
    asking = "the sweep";
    await t.keeper.round();
    asking = "a call of a store in this test";
    await inventory.findLocationByCode("none");
    await inventory.addSignals([]);
    const levels = await inventory.listLevels({ limit: 1 });
    const [movement, other] = await inventory.listMovements({ limit: 1 });
    const [level] = levels;
    if (!level || !movement || !other) throw new Error("no stock");
    const { skuKey, locationId } = level;
    for (const of of [
      {},
      { skuKey },
      { locationId },
      { low: true },
      { skuKey, locationId },
      { locationId, low: true },
    ])
      for (const after of [undefined, level]) await inventory.listLevels({ ...of, after, limit: 1 });
    const before = { id: movement._id, sequence: 9 };
    const { levelId } = movement;
    const renamed = { levelIds: [levelId], skuKeys: [skuKey] };
    for (const of of [{}, { skuKey }, { renamed }, { levelId }, { reservationId: "none" }])
      for (const from of [{}, { before }]) await inventory.listMovements({ ...of, ...from, limit: 1 });
    await inventory.listReservations({ status: "active", before: "z", limit: 1 });
    await inventory.hasLevels(Array.from({ length: 101 }, (_, index) => `sku ${index}`));
    const none = {
      createdLevels: [],
      changedLevels: [],
      movements: [],
      createdReservations: [],
      changedReservations: [],
      crossed: [],
      lowNotices: [],
    };
    await mongo.transaction(async (tx) => {
      await inventory.findMovement(movement._id, tx);
      await inventory.returnedOf(movement._id, tx);
      await inventory.lastMovement(levelId, tx);
      await inventory.sumMovements({ from: "a", to: "b" }, [levelId], tx);
      await inventory.holdLevels(skuKey, tx);
      await inventory.forgetEnded(["person none"], ["none"], tx);
      for (const made of [
        { movements: [movement] },
        { createdLevels: levels },
        { changedLevels: [{ from: level, to: level }] },
      ])
        await inventory.isWritten({ ...none, ...made }, tx);
      await inventory.renameSkus([{ from: skuKey, to: { sku: "Other", skuKey: "other" } }], clock.now(), tx);
    });
    await useKey(idempotency.mongo, (work) => mongo.transaction(work));
  });

  test("events, and the jobs of analytics", async () => {
    const at = (minutes: number) => new Date(t.clock.now().getTime() - minutes * 60_000).toISOString();
    const order = { event: "Order Completed", properties: { order_id: "o", total: 5, currency: "EUR" } };
    const events = [
      anEvent({ timestamp: at(9), properties: { product_id: "p", search_id: "s" } }),
      anEvent({ timestamp: at(8), ...order }),
      anEvent({ timestamp: at(8), event: "Order Completed", properties: { total: 5, currency: "EUR" } }),
      anEvent({ timestamp: at(7), userId: "ann" }),
      anEvent({ timestamp: at(6), anonymousId: undefined }),
    ];
    await sent(t, { batch: events });
    await sent(t, { batch: events });
    asking = "an event of a server";
    await sentByServer(t, {
      batch: [
        anEvent({ timestamp: at(1), ...order }),
        anEvent({ timestamp: at(5), ...order, anonymousId: "device-2" }),
      ],
    });
    asking = "settling";
    await settle(t.deps);
    asking = "a rebuild";
    await rebuild(t.deps);
    asking = "a call of a store in this test";
    const { analytics } = t.deps;
    const range = { from: new Date(0), to: t.clock.now() };
    const [session] = await analytics.sessions.list({ range, of: { bot: false }, after: null, limit: 1 });
    if (!session) throw new Error("no session");
    const { visitor, start, _id: id } = session;
    for (const of of [{ bot: false }, { visitor }])
      await analytics.sessions.list({ range, of, after: { start, id }, limit: 1 });
    for (const userId of [undefined, null, "ann"])
      for (const sequence of [0, 1])
        await analytics.events.list({ visitor, userId, range, after: { at: start, sequence, id }, limit: 1 });
    await analytics.events.count([range], 1);
    const mark = { _id: "quarter:2026-01-01T00:00:00.000Z", at: range.from, token: "token" };
    await analytics.rollups.claim(mark, "maker");
    await t.deps.mongo.transaction(async (tx) => {
      await analytics.rollups.release(mark, "maker", tx);
      for await (const _ of analytics.events.inBatches([range, range], tx));
      for await (const _ of analytics.sessions.started([range, range], tx));
    });
    asking = "a job of a day or an hour";
    await updatePopularity(t.deps);
    await planHousekeeping(t.deps);
    t.clock.advance(400 * 24 * 3_600_000);
    await removeExpired(t.deps);
    await world.work();
  });

  test("is held by calls of every function of the stores: call new ones above, so that their queries are seen", () => {
    expect([...uncalled]).toEqual([]);
  });

  test("has every query of a sharded collection with its key, and no other one", () => {
    const [withKey, fansOut] = [new Set(queriesOf(SHARDED, 4)), new Set(queriesOf(FAN_OUTS, 2))];
    for (const [query, by] of asked) {
      const [table, listed] = carried.has(query)
        ? ["the first", withKey]
        : ["the second, with the reason,", fansOut];
      if (!listed.delete(query))
        faults.add(`${query}, asked by ${by}, is not in docs/scale.md: add it to ${table} table of MongoDB`);
    }
    for (const query of [...withKey, ...fansOut])
      faults.add(`${query} is in docs/scale.md, and nothing here asks it`);
    expect([...faults]).toEqual([]);
  });

  test("has every query of MySQL that names neither what its table is spread by nor an index, and no other one", async () => {
    const asking = [...statements];
    const indexes = await t.deps.mysql.on().$queryRaw<{ name: string; first: string }[]>`
      SELECT TABLE_NAME AS name, COLUMN_NAME AS first FROM information_schema.STATISTICS
      WHERE TABLE_SCHEMA = DATABASE() AND SEQ_IN_INDEX = 1`;
    const firsts = Map.groupBy(indexes, ({ name }) => name);
    const [listed, seen] = [new Set(queriesOf(OTHERWISE, 2)), new Set<string>()];
    const wrong = new Set<string>();
    for (const [statement, by] of asking) {
      for (const { table, columns } of columnsOf(statement)) {
        if (!SPREAD.has(table)) wrong.add(`${table} is in no row of "tables | spread by" of docs/scale.md`);
        const usable = columns.filter((column) =>
          firsts.get(table)?.some(({ first }) => first === column.replace(" range", "")),
        );
        const column = SPREAD.get(table);
        // What lies on one shard needs an index alone.
        if (column === undefined ? usable.length > 0 : columns.includes(column)) continue;
        const query = queryOf(table, usable);
        seen.add(query);
        if (!listed.has(query))
          wrong.add(
            `${query}, asked by ${by}, is not in docs/scale.md: add it to the table of MySQL, with the reason`,
          );
      }
    }
    for (const query of listed.difference(seen))
      wrong.add(`${query} is in docs/scale.md, and nothing here asks it`);
    expect([...wrong]).toEqual([]);
  });

  test("each sharded collection is one of ours, and its unique indexes begin with its shard key", async () => {
    for (const [name, key] of KEYS) {
      const indexes = await t.deps.mongo.connection.collection(name).indexes();
      const unique = indexes.filter((index) => index.unique && index.name !== "_id_");
      for (const index of unique) {
        expect([name, Object.keys(index.key).slice(0, key.length)]).toEqual([name, key]);
      }
    }
  });
});
