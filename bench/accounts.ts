/**
 * Accounts: sign-ins a second with the times of a plain route of the same process meanwhile, refreshes a
 * second, guarded reads a second and what one costs in round trips to MySQL.
 * `bun run bench accounts [--quick] [--check]`, on databases of its own beside those that the environment names.
 */

import { createApp } from "../src/app";
import { parseConfig } from "../src/config";
import { silentLogger } from "../src/telemetry/log";
import { ensureRoles } from "../src/users/roles/ensure";
import type { Deps } from "../src/wire";
import { createDeps } from "../src/wire";
import { startServer } from "../test/processes";
import {
  addPerson,
  type Goal,
  type Load,
  load,
  onThrowAwayDatabases,
  options,
  percentile,
  reportGoals,
} from "./lib";

const SECONDS = options.quick ? 5 : 20;
const ACCOUNTS = 64;
const CALLERS = 8;
const PASSWORD = "a password of benchmarks";
/** How often the plain route is asked while people sign in, in milliseconds. */
const PROBE_EVERY = 10;

const emailOf = (index: number) => `bench-${index % ACCOUNTS}@example.com`;

async function fill(deps: Deps): Promise<void> {
  await ensureRoles(deps);
  const hashedPassword = await deps.passwords.hash(PASSWORD);
  for (let index = 0; index < ACCOUNTS; index++) {
    await addPerson(deps, { email: emailOf(index), name: "Bench", hashedPassword, role: "manager" });
  }
}

/** Statements that one guarded read sends, counted by MySQL on the application's only connection. */
async function roundTrips(): Promise<number> {
  const config = { ...parseConfig(process.env), databasePool: 1 };
  const deps = createDeps(config, silentLogger());
  try {
    await deps.mongo.connection.asPromise();
    const app = createApp(deps);
    const { accessToken } = await signIn((path, init) => Promise.resolve(app.request(path, init)), 0);
    const headers = { authorization: `Bearer ${accessToken}` };
    const read = () => app.request("/api/products/inventory/locations", { headers });
    const asked = async () => {
      const [row] = await deps.mysql.on().$queryRaw<
        { Value: string }[]
      >`SHOW SESSION STATUS LIKE 'Questions'`;
      return Number(row?.Value);
    };
    if ((await read()).status !== 200) throw new Error("the guarded read was refused");
    const before = await asked();
    for (let i = 0; i < 100; i++) await read();
    return ((await asked()) - before - 1) / 100;
  } finally {
    await deps.close();
  }
}

type Send = (path: string, init: RequestInit) => Promise<Response>;

async function post(send: Send, path: string, body: unknown) {
  const answer = await send(path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  if (answer.status !== 200) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  return (await answer.json()).data as { accessToken: string; refreshToken: string };
}
const signIn = (send: Send, index: number) =>
  post(send, "/auth/login", { email: emailOf(index), password: PASSWORD });

const say = (what: string, { perSecond, p50, p99, count }: Load) =>
  console.log(
    `${what.padEnd(16)} ${perSecond.toFixed(0)} a second, p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms (${count})`,
  );

process.env.NODE_ENV = "test";
process.exitCode = await onThrowAwayDatabases(async () => {
  const deps = createDeps(parseConfig(process.env), silentLogger());
  await fill(deps);
  await deps.close();
  const trips = await roundTrips();
  const server = await startServer({ LOG_LEVEL: "info" });
  const send: Send = (path, init) => fetch(`${server.address}${path}`, init);
  try {
    await load(CALLERS, 1, (index) => signIn(send, index));

    const plain: number[] = [];
    let probing = true;
    const probe = (async () => {
      while (probing) {
        const start = performance.now();
        await (await send("/health/live", {})).text();
        plain.push(performance.now() - start);
        await Bun.sleep(PROBE_EVERY);
      }
    })();
    const signIns = await load(CALLERS, SECONDS, (index) => signIn(send, index));
    probing = false;
    await probe;

    const families = await Promise.all(Array.from({ length: CALLERS }, (_, index) => signIn(send, index)));
    const refreshes = await load(CALLERS, SECONDS, async () => {
      // Each caller has a family to itself meanwhile: two would soon replay an old token.
      const own = families.pop();
      if (!own) throw new Error("more callers than families");
      families.push(await post(send, "/auth/refresh", { refreshToken: own.refreshToken }));
    });
    const headers = { authorization: `Bearer ${families[0]?.accessToken}` };
    const reads = await load(CALLERS, SECONDS, async () => {
      const answer = await send("/api/products/inventory/locations", { headers });
      if (answer.status !== 200) throw new Error(`guarded read: ${answer.status}`);
      await answer.arrayBuffer();
    });

    say("sign-ins", signIns);
    console.log(
      `  plain route meanwhile: p50 ${percentile(plain, 0.5).toFixed(1)} ms, p99 ${percentile(plain, 0.99).toFixed(1)} ms (${plain.length})`,
    );
    say("refreshes", refreshes);
    say("guarded reads", reads);
    const goals: Goal[] = [
      { name: "sign-ins", measured: signIns.perSecond, unit: "a second", goal: [">=", 40] },
      {
        name: "plain route while people sign in, p99",
        measured: percentile(plain, 0.99),
        unit: "ms",
        goal: ["<=", 8],
      },
      { name: "refreshes", measured: refreshes.perSecond, unit: "a second", goal: [">=", 300] },
      { name: "round trips to MySQL of a guarded read", measured: trips, unit: "", goal: ["<=", 1] },
    ];
    return reportGoals(goals);
  } finally {
    await server.kill("SIGTERM");
  }
});
