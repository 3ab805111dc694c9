/**
 * What the gateway costs: the same calls through the official driver and the gateway, and straight through
 * SQL, in one run. `bun bench/gateway.ts [--quick] [--check]`; AIZY_LOCAL_POSTGRES names the PostgreSQL
 * (JSON: host, port, user, database). The gateway runs as a process of its own, as it does in use.
 * Goals: at least 0.5 of SQL for each call with 16 callers, a sorted page under 3 ms (median, one caller),
 * 200 connections served, memory flat. `--check` exits 1 when one is missed.
 */
import { readFileSync } from "node:fs";
import { serialize } from "bson";
import { type Collection, MongoClient } from "mongodb";
import { type PostgresAddress, PostgresConnection, type Statement } from "../local/gateway/postgres.ts";

const GOAL_RATIO = 0.5;
const GOAL_PAGE_MS = 3;
const GOAL_GROWTH_MB = 40;
const CALLERS = 16;
const DOCUMENTS = 100_000;
const PAGE = 20;
const DATABASE = "gateway_bench";

interface Item {
  _id: number;
  i: number;
  c: number;
  v?: number;
}

const quick = process.argv.includes("--quick");
const seconds = quick ? 2 : 5;
const rounds = quick ? 2 : 3;

async function throughput(callers: number, call: (index: number, caller: number) => Promise<unknown>) {
  let count = 0;
  const start = performance.now();
  const end = start + seconds * 1000;
  await Promise.all(
    Array.from({ length: callers }, async (_, caller) => {
      while (performance.now() < end) await call(count++, caller);
    }),
  );
  return (count / (performance.now() - start)) * 1000;
}

const median = (values: number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;

function residentMegabytes(pid: number): number {
  const line = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  return Number(line?.[1] ?? 0) / 1024;
}

const sql = {
  find: {
    name: "bench_find",
    sql: "select cursorpage, continuation from documentdb_api.find_cursor_first_page($1, $2)",
  },
  update: { name: "bench_update", sql: "select p_result, p_success from documentdb_api.update($1, $2)" },
} satisfies Record<string, Statement>;

const idOf = (index: number): number => ((index * 7919) % DOCUMENTS) + 1;

async function load(items: Collection<Item>): Promise<void> {
  if ((await items.estimatedDocumentCount()) === DOCUMENTS) return;
  await items.drop();
  for (let from = 0; from < DOCUMENTS; from += 5000) {
    await items.insertMany(
      Array.from({ length: 5000 }, (_, k) => ({ _id: from + k + 1, i: from + k + 1, c: (from + k) % 20 })),
      { ordered: false },
    );
  }
  await items.createIndex({ i: 1, _id: 1 });
  await items.createIndex({ c: 1, i: -1, _id: 1 });
}

async function main(): Promise<number> {
  const named = process.env.AIZY_LOCAL_POSTGRES;
  if (named === undefined) {
    console.error("AIZY_LOCAL_POSTGRES is not set: this benchmark measures the local engine only.");
    return 2;
  }
  const address = JSON.parse(named) as PostgresAddress;
  const gateway = Bun.spawn(
    [
      process.execPath,
      `${import.meta.dir}/../local/gateway/main.ts`,
      "--postgres",
      address.host,
      "--postgres-port",
      String(address.port),
      "--user",
      address.user,
      "--database",
      address.database,
    ],
    { stdout: "pipe", stderr: "inherit" },
  );
  let missed = 0;
  try {
    const { value } = await gateway.stdout.getReader().read();
    const uri = new TextDecoder().decode(value).trim();
    const client = await new MongoClient(uri, { maxPoolSize: CALLERS }).connect();
    const items = client.db(DATABASE).collection<Item>("items");
    await load(items);
    const connections = await Promise.all(
      Array.from({ length: CALLERS }, () => PostgresConnection.open(address)),
    );
    const straight = (statement: Statement, caller: number, spec: Record<string, unknown>) =>
      (connections[caller] as PostgresConnection).execute(statement, [
        DATABASE,
        Buffer.from(serialize(spec)),
      ]);
    const calls = [
      {
        name: "findOne by _id",
        gateway: (index: number) => items.findOne({ _id: idOf(index) }),
        sql: (index: number, caller: number) =>
          straight(sql.find, caller, {
            find: "items",
            filter: { _id: idOf(index) },
            limit: 1,
            singleBatch: true,
          }),
      },
      {
        name: `sorted page of ${PAGE}`,
        gateway: (index: number) =>
          items
            .find({ c: index % 20 })
            .sort({ i: -1, _id: 1 })
            .limit(PAGE)
            .toArray(),
        sql: (index: number, caller: number) =>
          straight(sql.find, caller, {
            find: "items",
            filter: { c: index % 20 },
            sort: { i: -1, _id: 1 },
            limit: PAGE,
          }),
      },
      {
        name: "updateOne by _id",
        gateway: (index: number) => items.updateOne({ _id: idOf(index) }, { $inc: { v: 1 } }),
        sql: (index: number, caller: number) =>
          straight(sql.update, caller, {
            update: "items",
            updates: [{ q: { _id: idOf(index) }, u: { $inc: { v: 1 } } }],
          }),
      },
    ];
    console.log(
      `${CALLERS} callers, ${rounds} rounds of ${seconds} s, operations a second (median of rounds)`,
    );
    console.log("call                  gateway      SQL   ratio   goal");
    for (const call of calls) {
      const through: number[] = [];
      const direct: number[] = [];
      for (let round = 0; round < rounds; round++) {
        through.push(await throughput(CALLERS, call.gateway));
        direct.push(await throughput(CALLERS, call.sql));
      }
      const ratio = median(through) / median(direct);
      if (ratio < GOAL_RATIO) missed++;
      console.log(
        `${call.name.padEnd(20)} ${median(through).toFixed(0).padStart(8)} ${median(direct).toFixed(0).padStart(8)} ${ratio.toFixed(2).padStart(7)}  ≥ ${GOAL_RATIO} ${ratio < GOAL_RATIO ? "MISSED" : "ok"}`,
      );
    }
    const times: number[] = [];
    for (let index = 0; index < 500; index++) {
      const start = performance.now();
      await calls[1]?.gateway(index);
      times.push(performance.now() - start);
    }
    if (median(times) >= GOAL_PAGE_MS) missed++;
    console.log(
      `sorted page, one caller: median ${median(times).toFixed(2)} ms, 99 % under ${times.toSorted((a, b) => a - b)[494]?.toFixed(2)} ms (goal: under ${GOAL_PAGE_MS} ms)`,
    );
    for (const connection of connections) connection.close();

    const crowd = await new MongoClient(uri, { maxPoolSize: 200, minPoolSize: 200 }).connect();
    const crowdItems = crowd.db(DATABASE).collection<Item>("items");
    const busy = (index: number) =>
      index % 3 === 0
        ? crowdItems.updateOne({ _id: idOf(index) }, { $inc: { v: 1 } })
        : crowdItems
            .find({ c: index % 20 })
            .sort({ i: -1, _id: 1 })
            .limit(PAGE)
            .toArray();
    await throughput(200, busy);
    const before = residentMegabytes(gateway.pid);
    const rates: number[] = [];
    for (let round = 0; round < (quick ? 2 : 6); round++) rates.push(await throughput(200, busy));
    const after = residentMegabytes(gateway.pid);
    if (after - before > GOAL_GROWTH_MB) missed++;
    console.log(
      `200 connections: ${median(rates).toFixed(0)} operations a second; gateway's memory ${before.toFixed(0)} MB before, ${after.toFixed(0)} MB after (goal: growth under ${GOAL_GROWTH_MB} MB)`,
    );
    await crowd.close();
    await client.close();
  } finally {
    gateway.kill();
    await gateway.exited;
  }
  console.log(missed === 0 ? "all goals met" : `${missed} goals missed`);
  return process.argv.includes("--check") && missed > 0 ? 1 : 0;
}

process.exit(await main());
