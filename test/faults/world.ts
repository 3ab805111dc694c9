/** What faults are made on: server processes behind one port, and everything that they need, each part breakable. */
import {
  appendFileSync,
  existsSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import mariadb from "mariadb";
import { freePort } from "../../local/processes";
import { parseConfig } from "../../src/config";
import { checkMySql, mysqlOptions } from "../../src/db/prisma";
import { emailKey } from "../../src/lib/email";
import { createS3Storage } from "../../src/storage/s3";
import { silentLogger } from "../../src/telemetry/log";
import { ensureRoles } from "../../src/users/roles/ensure";
import { createDeps, type Deps } from "../../src/wire";
import { copyCheckout, newcomer, postgresOf, processesOf, startIn } from "../checkout";
import { openWorkerDatabases } from "../databases";
import { eventually, type Program, startProgram } from "../processes";
import { startProxy } from "../proxy";
import { redisPath, startRedisOn } from "../redis";
import { startSmtpServer } from "../smtp";
import { type Account, CALLERS, skuOf } from "./load";
import { startObjects } from "./objects";

/** Room for files and the log, in bytes. */
const ROOM = 256 * 1024 * 1024;
const FAKETIME = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu"]
  .map((folder) => join(folder, "faketime/libfaketime.so.1"))
  .find((path) => existsSync(path));

/** Databases of a copy of this checkout, which may be killed. */
async function ownDatabases() {
  const checkout = copyCheckout();
  const hold = async () => {
    const say = 'echo "at $MONGODB_URI $DATABASE_URL."; exec sleep 86400';
    const holder = startIn([process.execPath, "local/run.ts", "sh", "-c", say], checkout, newcomer());
    await holder.until(/^at .*\.$/m);
    const [, mongodbUri = "", databaseUrl = ""] = /^at (\S+) (\S+)\.$/m.exec(holder.output()) ?? [];
    return { holder, mongodbUri, databaseUrl };
  };
  let held = await hold();
  const pidOf = (pattern: RegExp) => {
    const line = processesOf(checkout).find((one) => pattern.test(one));
    if (line === undefined) throw new Error(`no process is like ${pattern}`);
    return Number.parseInt(line, 10);
  };
  const port = new URL(held.databaseUrl).port;
  return {
    ...held,
    pids: {
      mysql: () => [pidOf(new RegExp(`^\\s*\\d+\\s+\\S+\\s+/usr/sbin/mysqld .*--port=${port} `))],
      postgres: () => postgresOf(checkout).all.map(({ identity }) => Number.parseInt(identity, 10)),
      postmaster: () => [postgresOf(checkout).postmaster],
      gateway: () => [pidOf(/local\/supervisor\.ts/)],
    },
    /** Starts what was killed with the supervisor. */
    async again() {
      held.holder.child.kill("SIGKILL");
      await held.holder.end();
      held = await hold();
    },
    async end() {
      held.holder.child.kill("SIGTERM");
      await held.holder.end();
      await eventually(async () => processesOf(checkout).length === 0, "the end of the databases");
      await rm(checkout, { recursive: true });
    },
  };
}

async function makeAccounts(deps: Deps): Promise<Account[]> {
  await ensureRoles(deps);
  const now = deps.clock.now();
  const password = "a password of faults";
  const hashedPassword = await deps.passwords.hash(password);
  const accounts: Account[] = [];
  for (let number = 0; number < CALLERS; number++) {
    const email = `fault-${number}@example.com`;
    const made = { id: deps.random.id(), email, emailCanonical: emailKey(email), name: "Name 0", now };
    const { id } = await deps.users.findOrCreate(made);
    await deps.users.verify(id, { name: "Name 0", email, hashedPassword, now });
    await deps.roles.grantNamed(id, "manager", now);
    accounts.push({ email, password });
  }
  return accounts;
}

const signal = (pids: number[], name: NodeJS.Signals) => {
  for (const pid of pids) process.kill(pid, name);
};
const childrenOf = (pid: number): number[] =>
  Bun.spawnSync(["ps", "-o", "pid=", "--ppid", String(pid)])
    .stdout.toString()
    .split("\n")
    .map(Number)
    .filter(Boolean);

/** Sets everything up. `end` takes it down again. */
export async function createWorld() {
  const databases = await ownDatabases();
  const folder = await mkdtemp(join(tmpdir(), "aizy-faults-"));
  const end = async () => {
    await databases.end();
    Bun.spawnSync(["umount", folder]);
    await rm(folder, { recursive: true, force: true });
  };
  try {
    return await buildOn(databases, folder, end);
  } catch (error) {
    await end();
    throw error;
  }
}

async function buildOn(
  databases: Awaited<ReturnType<typeof ownDatabases>>,
  folder: string,
  end: () => Promise<void>,
) {
  const worker = await openWorkerDatabases(databases);
  if (Bun.spawnSync(["mount", "-t", "tmpfs", "-o", `size=${ROOM}`, "tmpfs", folder]).exitCode !== 0)
    throw new Error("no file system of its own could be mounted: it needs root");
  const deps = createDeps(
    {
      ...parseConfig({
        ...process.env,
        ...envOf(worker),
        NODE_ENV: "development",
        PASSWORD_MEMORY: undefined,
      }),
      storageDir: join(folder, "files"),
    },
    silentLogger(),
  );
  await deps.mongo.connection.asPromise();
  const accounts = await makeAccounts(deps);
  const [mysql, mongo] = [await startProxy(worker.databaseUrl), await startProxy(worker.mongodbUri)];
  const smtp = await startSmtpServer();
  const mail = await startProxy(smtp.url);
  const redisPort = await freePort();
  let redis = redisPath() ? await startRedisOn(redisPort) : undefined;
  const port = await freePort();
  const addressOf = (at: number) => `http://127.0.0.1:${at}`;
  const log = join(folder, "log");
  const clock = join(folder, "clock");
  writeFileSync(clock, "+0");
  let servers: { program: Program; address: string }[] = [];
  let locking: mariadb.Connection | undefined;
  const ready = ({ address }: { address: string }) =>
    fetch(`${address}/health/ready`, { keepalive: false }).then(
      ({ ok }) => ok,
      () => false,
    );
  const objects = startObjects();
  const s3 = await startProxy(objects.url);
  const onS3 = { region: "auto", bucket: "bucket", accessKeyId: "id", secretAccessKey: "a-secret-of-faults" };
  let storage = deps.storage;
  const clockFrom = (file: string) => ({
    LD_PRELOAD: FAKETIME ?? "",
    FAKETIME_TIMESTAMP_FILE: file,
    FAKETIME_NO_CACHE: "1",
    FAKETIME_DONT_FAKE_MONOTONIC: "1",
  });

  const world = {
    accounts,
    deps,
    databases,
    mysql,
    mongo,
    mail,
    hasRedis: redis !== undefined,
    hasClock: FAKETIME !== undefined,
    signal,
    s3,
    /** Every mail that the mail server received. */
    mails: smtp.mails,
    /** Where the servers of now listen. */
    addresses: () => servers.map(({ address }) => address),
    /** Where they keep their files. */
    storage: () => storage,
    /** Starts the first process, and with it the two that serve. */
    start(env: Record<string, string> = {}, at = port) {
      const program = startProgram(
        ["-c", 'exec "$0" src/index.ts >>"$1" 2>&1', process.execPath, log],
        {
          ...envOf({ databaseUrl: mysql.url(worker.databaseUrl), mongodbUri: mongo.url(worker.mongodbUri) }),
          NODE_ENV: "development",
          PORT: String(at),
          WEB_CONCURRENCY: "2",
          STORAGE_DIR: join(folder, "files"),
          SMTP_URL: mail.url(smtp.url),
          TRUSTED_PROXIES: "127.0.0.1",
          PASSWORD_MEMORY: undefined,
          ...(redis ? { REDIS_URL: `redis://127.0.0.1:${redisPort}` } : {}),
          ...env,
        },
        "sh",
      );
      servers = [
        ...servers.filter(({ address }) => !address.endsWith(`:${at}`)),
        { program, address: addressOf(at) },
      ];
    },
    ready: () =>
      eventually(async () => {
        if (servers.some(({ program }) => program.child.exitCode !== null))
          throw new Error(`a server ended:\n${readFileSync(log, "utf8").slice(-2000)}`);
        return (await Promise.all(servers.map(ready))).every(Boolean);
      }, "the servers"),
    /** With a clock that `setClock` moves. */
    startWithClock: () => world.start(clockFrom(clock)),
    /** Starts two that share nothing but the databases, one with another clock. */
    async startTwoClocks(offset: string) {
      const other = join(folder, "other-clock");
      writeFileSync(other, offset);
      world.start({ WEB_CONCURRENCY: "1" });
      world.start({ WEB_CONCURRENCY: "1", ...clockFrom(other) }, await freePort());
    },
    /** With their files in an S3 behind a proxy. */
    startOnS3() {
      storage = createS3Storage({ ...onS3, endpoint: objects.url });
      world.start({
        S3_ENDPOINT: `http://127.0.0.1:${s3.port}`,
        S3_REGION: onS3.region,
        S3_BUCKET: onS3.bucket,
        S3_ACCESS_KEY_ID: onS3.accessKeyId,
        S3_SECRET_ACCESS_KEY: onS3.secretAccessKey,
      });
    },
    setClock: (offset: string) => writeFileSync(clock, offset),
    async stop() {
      await Promise.all(servers.map(({ program }) => program.kill("SIGTERM")));
      servers = [];
      storage = deps.storage;
      truncateSync(log);
    },
    killFirst: () => servers[0]?.program.kill("SIGKILL"),
    killOne: () => signal(childrenOf(servers[0]?.program.child.pid ?? 0).slice(0, 1), "SIGKILL"),
    /** Fills the disk but for so many bytes; the log is on it too. */
    fillDisk(left: number) {
      const filler = join(folder, "filler");
      for (const size of [2 ** 20, 4096]) {
        try {
          for (;;) appendFileSync(filler, Buffer.alloc(size));
        } catch (error) {
          if ((error as { code?: string }).code !== "ENOSPC") throw error;
        }
      }
      truncateSync(filler, statSync(filler).size - left);
    },
    emptyDisk: () => rmSync(join(folder, "filler"), { force: true }),
    signalRedis: (name: NodeJS.Signals) => redis?.signal(name),
    async stopRedis() {
      await redis?.stop();
      redis = undefined;
    },
    async startRedis() {
      redis = await startRedisOn(redisPort);
    },
    /** Has MySQL take no writes, as while it is backed up by whoever locks everything. */
    async lockMySql() {
      locking = await mariadb.createConnection(mysqlOptions(worker.databaseUrl));
      await locking.query("FLUSH TABLES WITH READ LOCK");
    },
    async unlockMySql() {
      await locking?.end();
      locking = undefined;
    },
    mysqlAnswers: () =>
      eventually(
        () =>
          checkMySql(worker.databaseUrl).then(
            () => true,
            () => false,
          ),
        "MySQL",
      ),
    mongoAnswers: () =>
      eventually(
        () =>
          deps.mongo.ping().then(
            () => true,
            () => false,
          ),
        "MongoDB",
      ),
    async end() {
      await Promise.all(servers.map(({ program }) => program.kill("SIGTERM")));
      await deps.close();
      await redis?.stop();
      await Promise.all([mysql, mongo, mail, s3, smtp, objects].map((one) => one.close()));
      await end();
    },
  };
  return world;
}
export type World = Awaited<ReturnType<typeof createWorld>>;

const envOf = ({ databaseUrl, mongodbUri }: { databaseUrl: string; mongodbUri: string }) => ({
  DATABASE_URL: databaseUrl,
  MONGODB_URI: mongodbUri,
});

/** Makes a location and products of the callers' SKUs, through the API. @returns the location's id */
export async function makeStock({ addresses, accounts }: World, run: string): Promise<string> {
  const [address] = addresses();
  const call = async (path: string, json: unknown, token = "") => {
    const headers = { "content-type": "application/json", authorization: `Bearer ${token}` };
    const answer = await fetch(`${address}${path}`, { method: "POST", headers, body: JSON.stringify(json) });
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    return (await answer.json()).data;
  };
  const { accessToken } = await call("/auth/login", accounts[0]);
  const { id } = await call(
    "/api/products/inventory/locations",
    { code: run, name: run, priority: 1 },
    accessToken,
  );
  for (let number = 0; number < CALLERS; number++) {
    const sku = skuOf(run, number);
    await call("/api/products", { name: sku, variants: [{ sku, price: 100 }] }, accessToken);
  }
  return id;
}
