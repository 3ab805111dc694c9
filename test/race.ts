/**
 * bun run race [ROUNDS] — two server processes on databases of their own, 200 concurrent reservations of the
 * last 10 units, over and over (50 times unless told otherwise): each time exactly 10 succeed, 190 get 409,
 * and the ledger agrees. Ends with 1 at the first round that does not. A 503, as a change of MongoDB's leader may
 * cause, is asked again with the same Idempotency-Key.
 */

import { hc } from "hono/client";
import { seed } from "../prisma/seed";
import type { AppType } from "../src/app";
import { readCommandLine } from "../src/cli";
import { COMMANDS } from "../src/commands";
import { parseConfig } from "../src/config";
import { isUnavailable } from "../src/db/unavailable";
import { verifySku } from "../src/inventory/verify";
import { silentLogger } from "../src/telemetry/log";
import { createDeps } from "../src/wire";
import { insist } from "./app";
import { dropWorkerDatabases, openWorkerDatabases } from "./databases";
import { eventually, type ServerProcess, startServer } from "./processes";

const CALLERS = 200;
const UNITS = 10;
/** How long one call is repeated, in milliseconds: a hang guard, far above an election. */
const PATIENCE = 60_000;

export class RaceFailed extends Error {
  override readonly name = "RaceFailed";
}

/** What two racing servers need to be asked. */
interface Racers {
  servers: ServerProcess[];
  token: string;
}

/** Sends one change with a key until it is known what became of it. */
async function call(base: string, token: string, path: string, json: unknown) {
  const key = crypto.randomUUID();
  for (const deadline = performance.now() + PATIENCE; ; ) {
    const response = await fetch(`${base}/api/products${path}`, {
      method: "POST",
      headers: {
        authorization: `Bearer ${token}`,
        "content-type": "application/json",
        "idempotency-key": key,
      },
      body: JSON.stringify(json),
    });
    // biome-ignore lint/suspicious/noExplicitAny: answers of several routes, and refusals.
    const body = (await response.json()) as any;
    const unknown = response.status === 503 || body.code === "idempotency_in_flight";
    if (!unknown || performance.now() > deadline) return { status: response.status, body };
    await Bun.sleep(Number(response.headers.get("retry-after")) * 1000);
  }
}

/** Asks the databases again while they are away. */
async function whenThere<T>(ask: () => Promise<T>): Promise<T> {
  for (const deadline = performance.now() + PATIENCE; ; await Bun.sleep(250)) {
    try {
      return await ask();
    } catch (error) {
      if (!isUnavailable(error) || performance.now() > deadline) throw error;
    }
  }
}

async function setUp({ servers, token }: Racers, locationId: string, sku: string): Promise<void> {
  const [first] = servers;
  if (!first) throw new RaceFailed("no server");
  const product = await call(first.address, token, "", { name: sku, variants: [{ sku, price: 100 }] });
  const stock = await call(first.address, token, "/inventory/adjust", {
    sku,
    locationId,
    delta: UNITS,
    kind: "receive",
    reason: "race",
  });
  if (product.status !== 201 || stock.status !== 200) {
    throw new RaceFailed(`no stock: ${JSON.stringify([product.body, stock.body])}`);
  }
}

/** One race. @throws RaceFailed when it ends in any other way than it must */
async function race(racers: Racers, locationId: string, round: number): Promise<void> {
  const sku = `RACE-${round}`;
  await setUp(racers, locationId, sku);
  const answers = await Promise.all(
    Array.from({ length: CALLERS }, (_, index) =>
      call(
        racers.servers[index % racers.servers.length]?.address ?? "",
        racers.token,
        "/inventory/reservations",
        {
          lines: [{ sku, quantity: 1 }],
        },
      ),
    ),
  );
  const won = answers.filter(({ status }) => status === 201);
  const lost = answers.filter(({ status, body }) => status === 409 && body.code === "insufficient_stock");
  if (won.length !== UNITS || lost.length !== CALLERS - UNITS) {
    const others = answers.filter((answer) => !won.includes(answer) && !lost.includes(answer));
    throw new RaceFailed(
      `round ${round}: ${won.length} got a unit, ${lost.length} were refused, others: ${JSON.stringify(others.slice(0, 3))}`,
    );
  }
  if (new Set(won.map(({ body }) => body.data.id)).size !== UNITS) {
    throw new RaceFailed(`round ${round}: two got the same reservation`);
  }
}

/**
 * Runs the races on the databases that the environment names.
 * @param env added to the environment of the servers
 * @throws RaceFailed
 */
export async function runRaces(
  rounds: number,
  onRound: (round: number) => void = () => {},
  env: Record<string, string> = {},
): Promise<void> {
  const config = parseConfig({ ...process.env, LOG_LEVEL: "silent" });
  const deps = createDeps(config, silentLogger());
  const servers: ServerProcess[] = [];
  try {
    await deps.mongo.connection.asPromise();
    const password = "a password of races";
    const email = `race-${deps.random.id()}@example.com`;
    await seed(deps, { email, password });
    for (let index = 0; index < 2; index++) servers.push(await startServer({ LOG_LEVEL: "info", ...env }));
    const client = hc<AppType>(servers[0]?.address ?? "");
    const login = await insist(() => client.auth.login.$post({ json: { email, password } }));
    if (login.status !== 200) throw new RaceFailed(`not signed in: ${login.status} ${await login.text()}`);
    const racers = { servers, token: (await login.json()).data.accessToken };
    const location = await call(servers[0]?.address ?? "", racers.token, "/inventory/locations", {
      code: `RACE-${deps.random.id()}`,
      name: "Race",
    });
    if (location.status !== 201) throw new RaceFailed(`no location: ${JSON.stringify(location.body)}`);
    for (let round = 1; round <= rounds; round++) {
      await race(racers, location.body.data.id, round);
      const sku = `RACE-${round}`;
      const [level] = await whenThere(() => deps.inventory.levelsOf([sku.toLowerCase()]));
      const { differences, movements } = await whenThere(() => verifySku(deps, sku));
      const right =
        differences.length === 0 &&
        movements === UNITS + 1 &&
        level?.onHand === UNITS &&
        level.reserved === UNITS &&
        level.sequence === UNITS + 1;
      if (!right) {
        throw new RaceFailed(
          `round ${round}: the ledger does not agree: ${JSON.stringify({ level, movements, differences })}`,
        );
      }
      onRound(round);
    }
  } finally {
    await Promise.all(servers.map((server) => server.kill("SIGTERM")));
    await deps.close();
  }
}

async function main(): Promise<number> {
  const [given = "50"] = readCommandLine(COMMANDS.race).positionals;
  const rounds = Number(given);
  if (!Number.isInteger(rounds) || rounds < 1 || rounds > 100_000) {
    console.error(COMMANDS.race.usage);
    return 2;
  }
  const base = { databaseUrl: process.env.DATABASE_URL ?? "", mongodbUri: process.env.MONGODB_URI ?? "" };
  const worker = await openWorkerDatabases(base);
  Object.assign(process.env, {
    DATABASE_URL: worker.databaseUrl,
    MONGODB_URI: worker.mongodbUri,
    NODE_ENV: "development",
  });
  try {
    await runRaces(rounds, (round) => {
      if (round === 1 || round % 10 === 0 || round === rounds) console.log(`${round} of ${rounds}`);
    });
    console.log(
      `${rounds} races of ${CALLERS} reservations for ${UNITS} units over 2 processes: each time ${UNITS} × 201, ${CALLERS - UNITS} × 409, and the ledger agrees.`,
    );
    return 0;
  } catch (error) {
    console.error(error instanceof RaceFailed ? `FAILED ${error.message}` : error);
    return 1;
  } finally {
    // A leader that steps down refuses the drop.
    await eventually(
      () =>
        dropWorkerDatabases(worker).then(
          () => true,
          () => false,
        ),
      "the end of the databases",
    );
  }
}

if (import.meta.main) process.exit(await main());
