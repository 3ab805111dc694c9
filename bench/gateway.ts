/**
 * What the gateway costs, in one run: `bun run bench gateway [--quick] [--check]`, on the local engine.
 *
 * The ratio compares equals: bare frames of MongoDB's protocol to the gateway, and bare frames of PostgreSQL's
 * to the engine, 16 callers each, prepared on both sides, answers not decoded. Beside it stand the calls as an
 * application makes them: the official driver through the gateway, the usual SQL client (`postgres`) without,
 * documents decoded. The gateway runs as a process of its own, as it does in use.
 *
 * Goals: at least 0.5 of SQL for each call, a sorted page under 3 ms (median, one caller), 200 connections
 * served, memory flat. `--check` exits 1 when one is missed.
 */
import { readFileSync } from "node:fs";
import { deserialize, serialize } from "bson";
import { type Collection, MongoClient } from "mongodb";
import postgres from "postgres";
import { type PostgresAddress, PostgresConnection, type Statement } from "../local/gateway/postgres.ts";
import { FrameReader } from "../local/gateway/wire.ts";

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

/** A bare connection to the gateway: one request at a time, answers not decoded. */
async function dial(port: number): Promise<(body: Record<string, unknown>) => Promise<Buffer>> {
  const frames = new FrameReader();
  let answered: (frame: Buffer) => void = () => {};
  const socket = await Bun.connect({
    hostname: "127.0.0.1",
    port,
    socket: {
      data(_, chunk) {
        for (const frame of frames.push(chunk)) answered(frame);
      },
    },
  });
  return (body) =>
    new Promise((resolve) => {
      answered = resolve;
      const content = serialize({ ...body, $db: DATABASE });
      const frame = Buffer.alloc(21 + content.length);
      frame.writeInt32LE(frame.length, 0);
      frame.writeInt32LE(2013, 12);
      frame.set(content, 21);
      socket.write(frame);
    });
}

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
    const direct = postgres({
      host: address.host,
      port: address.port,
      user: address.user,
      database: address.database,
      max: CALLERS,
      onnotice: () => {},
    });
    const straight = async (call: "find" | "update", spec: Record<string, unknown>) => {
      const bson = Buffer.from(serialize(spec));
      const rows =
        call === "find"
          ? await direct`select cursorpage::bytea as answer from documentdb_api.find_cursor_first_page(${DATABASE}, ${bson}::bytea::documentdb_core.bson)`
          : await direct`select p_result::bytea as answer from documentdb_api.update(${DATABASE}, ${bson}::bytea::documentdb_core.bson)`;
      return deserialize(rows[0]?.answer as Buffer);
    };
    const wires = await Promise.all(Array.from({ length: CALLERS }, () => dial(Number(new URL(uri).port))));
    const wire = async (caller: number, spec: Record<string, unknown>) => wires[caller]?.(spec);
    const bare = (statement: Statement, caller: number, spec: Record<string, unknown>) =>
      (connections[caller] as PostgresConnection).execute(statement, [
        DATABASE,
        Buffer.from(serialize(spec)),
      ]);
    const findOne = (index: number) => ({
      find: "items",
      filter: { _id: idOf(index) },
      limit: 1,
      singleBatch: true,
    });
    const page = (index: number) => ({
      find: "items",
      filter: { c: index % 20 },
      sort: { i: -1, _id: 1 },
      limit: PAGE,
    });
    const update = (index: number) => ({
      update: "items",
      updates: [{ q: { _id: idOf(index) }, u: { $inc: { v: 1 } } }],
    });
    const calls = [
      {
        name: "findOne by _id",
        gateway: (index: number) => items.findOne({ _id: idOf(index) }),
        sql: (index: number) => straight("find", findOne(index)),
        wire: (index: number, caller: number) => wire(caller, findOne(index)),
        bare: (index: number, caller: number) => bare(sql.find, caller, findOne(index)),
      },
      {
        name: `sorted page of ${PAGE}`,
        gateway: (index: number) =>
          items
            .find({ c: index % 20 })
            .sort({ i: -1, _id: 1 })
            .limit(PAGE)
            .toArray(),
        sql: (index: number) => straight("find", page(index)),
        wire: (index: number, caller: number) => wire(caller, page(index)),
        bare: (index: number, caller: number) => bare(sql.find, caller, page(index)),
      },
      {
        name: "updateOne by _id",
        gateway: (index: number) => items.updateOne({ _id: idOf(index) }, { $inc: { v: 1 } }),
        sql: (index: number) => straight("update", update(index)),
        wire: (index: number, caller: number) => wire(caller, update(index)),
        bare: (index: number, caller: number) => bare(sql.update, caller, update(index)),
      },
    ];
    console.log(
      `${CALLERS} callers, ${rounds} rounds of ${seconds} s, operations a second (median of rounds)`,
    );
    console.log(
      "call                   gateway       SQL   ratio   goal          driver via gateway   postgres via SQL",
    );
    for (const call of calls) {
      const rates: Record<"wire" | "bare" | "gateway" | "sql", number[]> = {
        wire: [],
        bare: [],
        gateway: [],
        sql: [],
      };
      for (let round = 0; round < rounds; round++) {
        for (const way of ["wire", "bare", "gateway", "sql"] as const) {
          rates[way].push(await throughput(CALLERS, call[way]));
        }
      }
      const rate = (way: keyof typeof rates, width: number) => median(rates[way]).toFixed(0).padStart(width);
      const ratio = median(rates.wire) / median(rates.bare);
      if (ratio < GOAL_RATIO) missed++;
      console.log(
        `${call.name.padEnd(20)} ${rate("wire", 9)} ${rate("bare", 9)} ${ratio.toFixed(2).padStart(7)}   ` +
          `≥ ${GOAL_RATIO} ${ratio < GOAL_RATIO ? "MISSED" : "ok    "} ${rate("gateway", 21)} ${rate("sql", 18)}`,
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
    await direct.end();

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
