/**
 * MySQL and MongoDB on a Debian-like machine as root: MySQL and DocumentDB from Debian's packages, in a root
 * of their own (`root.ts`), the gateway (`gateway/`) in front of DocumentDB, the data in `.data/`.
 *
 * Each server runs as an unprivileged user in namespaces of its own. In that of the mounts its data folder is
 * mounted into the root. In that of the processes it is the first one, so the kernel ends all the others, such
 * as PostgreSQL's backends, as soon as it ends, however it ends. It ends with this process (`setpriv
 * --pdeathsig`, set again after the change of user, which clears it).
 */
import { existsSync } from "node:fs";
import { chmod, chown, mkdir, open, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import mariadb from "mariadb";
import type { Engine, Report } from "./engine";
import { type Gateway, POSTGRES_SETTINGS, startGateway } from "./gateway/index";
import { DATA } from "./paths";
import { freePort } from "./processes";
import { prepareRoot } from "./root";
import type { Secrets } from "./secrets";

/** User and group of both servers: `postgres` in the root, which MySQL shares. */
const SERVER_USER = 101;
/** Where a data folder appears inside the root. */
const INSIDE = "/mnt";
/** Longest wait for a server that starts: it may have to recover from a crash. */
const START_LIMIT = 90_000;
const STOP_LIMIT = 20_000;
const POSTGRES = "/usr/lib/postgresql/18/bin";

/**
 * Runs a command inside the root with a data folder mounted at `/mnt`.
 * @param lock a file that stays locked until the command and every process that it started are gone
 */
async function inside(
  root: string,
  data: string,
  name: string,
  command: string[],
  lock?: string,
): Promise<Bun.Subprocess> {
  const logFile = join(DATA, "logs", `${name}.log`);
  await mkdir(join(DATA, "logs"), { recursive: true });
  const log = await open(logFile, "w");
  const user = String(SERVER_USER);
  const script =
    'mount --bind "$1" "$2/mnt" && root=$2 && shift 2 && ' +
    `exec chroot "$root" /usr/bin/setpriv --reuid ${user} --regid ${user} --clear-groups --pdeathsig KILL -- "$@"`;
  const words = [
    ...["setpriv", "--pdeathsig", "KILL"],
    ...(lock === undefined ? [] : ["flock", "--no-fork", "--nonblock", lock]),
    ...["unshare", "--mount", "--propagation", "private", "--ipc", "--pid", "--fork", "--kill-child"],
    ...["sh", "-c", script, "sh", data, root],
  ];
  try {
    return Bun.spawn(
      [...words, ...command],
      // A process group of its own: Ctrl-C in a terminal must not reach it before the commands that use it end.
      {
        stdin: "ignore",
        stdout: log.fd,
        stderr: log.fd,
        env: { PATH: "/usr/sbin:/usr/bin", LC_ALL: "C.UTF-8" },
        detached: true,
      },
    );
  } finally {
    await log.close();
  }
}

/**
 * Waits until a server that was killed is gone, so that its port and its files are free again.
 * @throws Error when it still runs after a while
 */
async function untilGone(name: string, lock: string): Promise<void> {
  const wait = ["flock", "--wait", String(STOP_LIMIT / 1000), lock, "true"];
  if ((await Bun.spawn(wait, { stdin: "ignore", stdout: "ignore", stderr: "ignore" }).exited) === 0) return;
  throw new Error(`Another ${name} still uses ${lock}. End it, then try again.`);
}

/** Ends a server in good order; with SIGKILL when that takes too long. */
async function stopServer(server: Bun.Subprocess, signal: "SIGINT" | "SIGTERM"): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return;
  // To its process group: `unshare`, which waits for the server, lets both signals pass by.
  process.kill(-server.pid, signal);
  const timer = setTimeout(() => server.kill("SIGKILL"), STOP_LIMIT);
  await server.exited;
  clearTimeout(timer);
}

/** The end of a server's log, for the message of a failure. */
async function lastLines(name: string): Promise<string> {
  const text = await readFile(join(DATA, "logs", `${name}.log`), "utf8").catch(() => "");
  return text
    .trim()
    .split("\n")
    .slice(-6)
    .map((line) => `  ${line}`)
    .join("\n");
}

/** Waits until `ready` holds. @throws Error with the end of the log when the server ends or takes too long */
async function untilReady(name: string, child: Bun.Subprocess, ready: () => Promise<boolean>): Promise<void> {
  for (const deadline = Date.now() + START_LIMIT; Date.now() < deadline; await Bun.sleep(30)) {
    if (await ready()) return;
    if (child.exitCode !== null || child.signalCode !== null) {
      throw new Error(`${name} did not start (log in .data/logs/${name}.log):\n${await lastLines(name)}`);
    }
  }
  child.kill("SIGKILL");
  throw new Error(`${name} did not answer within ${START_LIMIT / 1000} s:\n${await lastLines(name)}`);
}

/**
 * Makes a data folder beside its place and moves it there when it is whole, so that a run killed half-way
 * leaves nothing that looks like a database.
 */
async function initialised(
  folder: string,
  name: string,
  make: (draft: string) => Promise<Bun.Subprocess>,
): Promise<void> {
  if (existsSync(folder)) return;
  const draft = `${folder}.new`;
  await rm(draft, { recursive: true, force: true });
  await mkdir(draft, { recursive: true });
  await chown(draft, SERVER_USER, SERVER_USER);
  await chmod(draft, 0o700);
  if ((await (await make(draft)).exited) !== 0) {
    throw new Error(`${name} could not make its data folder:\n${await lastLines(name)}`);
  }
  await rename(draft, folder);
}

/**
 * The ports of the last run where nobody has taken them, so that a client's saved address stays good. One
 * call at a time: each writes the file.
 */
let lastPort: Promise<unknown> = Promise.resolve();
function port(name: string): Promise<number> {
  const next = lastPort.then(async () => {
    const file = join(DATA, "ports.json");
    const ports = JSON.parse(await readFile(file, "utf8").catch(() => "{}")) as Record<string, number>;
    const chosen = await freePort(ports[name]);
    if (ports[name] !== chosen) await writeFile(file, JSON.stringify({ ...ports, [name]: chosen }));
    return chosen;
  });
  lastPort = next.catch(() => undefined);
  return next;
}

async function startMySql(root: string, secrets: Secrets, report: Report) {
  const data = join(DATA, "mysql");
  const mysqld = (folder: string, flags: string[], lock?: string) => {
    const command = [
      "/usr/sbin/mysqld",
      "--no-defaults",
      `--datadir=${INSIDE}/data`,
      `--socket=${INSIDE}/mysql.sock`,
      `--pid-file=${INSIDE}/mysql.pid`,
      "--mysqlx=OFF",
      "--secure-file-priv=",
      "--disable-log-bin",
      // A crash of MySQL loses nothing; a power cut may lose the last second of a development database.
      "--innodb-flush-log-at-trx-commit=2",
      "--performance-schema=OFF",
      "--innodb-buffer-pool-size=128M",
      "--max-connections=500",
      "--character-set-server=utf8mb4",
      ...flags,
    ];
    return inside(root, folder, "mysql", command, lock);
  };
  await initialised(data, "mysql", async (draft) => {
    report("MySQL      making its data folder");
    return mysqld(draft, ["--initialize-insecure"]);
  });

  report("MySQL      starting");
  const password = secrets.MYSQL_PASSWORD;
  // Runs at every start before anybody is let in; the root user is left without a way in.
  await writeFile(
    join(data, "init.sql"),
    [
      "CREATE DATABASE IF NOT EXISTS aizy_users CHARACTER SET utf8mb4;",
      `CREATE USER IF NOT EXISTS 'aizy'@'127.0.0.1' IDENTIFIED BY '${password}';`,
      `ALTER USER 'aizy'@'127.0.0.1' IDENTIFIED BY '${password}';`,
      "GRANT ALL ON *.* TO 'aizy'@'127.0.0.1' WITH GRANT OPTION;",
      `ALTER USER 'root'@'localhost' IDENTIFIED BY '${password}';`,
      "",
    ].join("\n"),
  );
  await chown(join(data, "init.sql"), SERVER_USER, SERVER_USER);
  await chmod(join(data, "init.sql"), 0o600);
  const lock = join(data, "lock");
  await untilGone("mysql", lock);
  const tcp = await port("mysql");
  const flags = [
    "--bind-address=127.0.0.1",
    `--port=${tcp}`,
    "--skip-name-resolve",
    `--init-file=${INSIDE}/init.sql`,
  ];
  const child = await mysqld(data, flags, lock);
  await untilReady("mysql", child, async () => {
    try {
      const connection = await mariadb.createConnection({
        host: "127.0.0.1",
        port: tcp,
        user: "aizy",
        password,
        allowPublicKeyRetrieval: true,
        connectTimeout: 2000,
      });
      await connection.end();
      return true;
    } catch {
      return false; // It is asked again; if it never answers, the log says why.
    }
  });
  return {
    child,
    url: `mysql://aizy:${password}@127.0.0.1:${tcp}/aizy_users?allowPublicKeyRetrieval=true`,
    stop: () => stopServer(child, "SIGTERM"),
  };
}

const psql = (root: string, data: string, tcp: number, database: string, sql: string) =>
  inside(root, data, "postgres-setup", [
    `${POSTGRES}/psql`,
    "-h",
    "127.0.0.1",
    "-p",
    String(tcp),
    "-U",
    "postgres",
    "-d",
    database,
    "-v",
    "ON_ERROR_STOP=1",
    "-Atqc",
    sql,
  ]);

async function startPostgres(root: string, report: Report) {
  const data = join(DATA, "postgres");
  await initialised(data, "postgres", (draft) => {
    report("MongoDB    making its data folder");
    return inside(root, draft, "postgres", [
      `${POSTGRES}/initdb`,
      "-D",
      `${INSIDE}/data`,
      "-U",
      "postgres",
      "-A",
      "trust",
      "--locale=C.UTF-8",
      "--encoding=UTF8",
      "--no-sync",
      "--no-instructions",
    ]);
  });

  report("MongoDB    starting");
  const lock = join(data, "lock");
  await untilGone("postgres", lock);
  const tcp = await port("postgres");
  const command = [
    `${POSTGRES}/postgres`,
    "-D",
    `${INSIDE}/data`,
    "-p",
    String(tcp),
    // DocumentDB's own index builder connects to 127.0.0.1: without TCP createIndexes waits for ever.
    "-c",
    "listen_addresses=127.0.0.1",
    "-c",
    `unix_socket_directories=${INSIDE}`,
    ...Object.entries(POSTGRES_SETTINGS).flatMap(([name, value]) => ["-c", `${name}=${value}`]),
  ];
  const child = await inside(root, data, "postgres", command, lock);
  const ask = async (sql: string) => (await (await psql(root, data, tcp, "postgres", sql)).exited) === 0;
  await untilReady("postgres", child, () => ask("SELECT 1"));
  const made = join(data, "extensions");
  if (!existsSync(made)) {
    if (
      !(await ask(
        "CREATE EXTENSION IF NOT EXISTS documentdb CASCADE; CREATE EXTENSION IF NOT EXISTS documentdb_extended_rum;",
      ))
    ) {
      throw new Error(`DocumentDB could not be set up:\n${await lastLines("postgres-setup")}`);
    }
    await writeFile(made, "");
  }
  // A socket's address holds 107 bytes; a checkout that lies deeper takes TCP.
  const host = Buffer.byteLength(join(data, `.s.PGSQL.${tcp}`)) <= 107 ? data : "127.0.0.1";
  // SIGTERM would wait for every client to leave.
  return { child, host, port: tcp, stop: () => stopServer(child, "SIGINT") };
}

/** The databases of a Debian-like machine. */
export function debianEngine(secrets: Secrets, report: Report): Engine {
  const root = () =>
    prepareRoot((share, what) => {
      report(
        `Databases  preparing them, once for this machine: ${String(Math.floor(share * 100)).padStart(2)} % ${what}`,
      );
    });
  return {
    async mysql() {
      const { child, url, stop } = await startMySql(await root(), secrets, report);
      return { env: { DATABASE_URL: url }, children: [child], stop };
    },
    async mongodb() {
      const postgres = await startPostgres(await root(), report);
      const address = { host: postgres.host, port: postgres.port, user: "postgres", database: "postgres" };
      const gateway: Gateway = await startGateway({
        port: await port("mongodb"),
        postgres: address,
        maxConnections: 200,
        log: (line) => console.log(`gateway: ${line}`),
      });
      return {
        env: { MONGODB_URI: gateway.uri("aizy"), AIZY_LOCAL_POSTGRES: JSON.stringify(address) },
        children: [postgres.child],
        stop: async () => {
          await gateway.stop();
          await postgres.stop();
        },
      };
    },
  };
}
