/**
 * Databases for a command: the ones that the environment names, or else those of this checkout, started when
 * they do not run yet.
 */
import { existsSync } from "node:fs";
import { mkdir, open } from "node:fs/promises";
import { createConnection, type Socket } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { dockerAnswers } from "./docker";
import type { Answer, Database, Report } from "./engine";
import { CACHE, CHECKOUT, DATA, supervisorSocket } from "./paths";
import { localSecrets } from "./secrets";

/** What a command adds to its environment, and how it says that it is done. */
export interface Joined {
  env: Record<string, string>;
  /** Where the databases come from, in words. */
  from: string;
  /** Of the administrator that `bin/dev` makes; empty in production. */
  adminPassword: string;
  leave(): void;
}

/** What a machine has; given to `chooseWay` so that it can be tried without the machine. */
export interface Machine {
  docker: boolean;
  root: boolean;
  debian: boolean;
  linux: boolean;
}

/** No database is available; the message names every way to get one. */
export class NoDatabases extends Error {
  override readonly name = "NoDatabases";
}

/**
 * How to run the databases that were not given: Docker before Debian's packages.
 * @throws NoDatabases when neither is possible
 */
export function chooseWay(machine: Machine, missing: Database[]): "docker" | "debian" {
  if (machine.docker) return "docker";
  if (machine.linux && machine.debian && machine.root) return "debian";
  const names = missing.map((name) => (name === "mysql" ? "MySQL" : "MongoDB")).join(" and ");
  const why = !machine.linux || !machine.debian ? "this is not a Debian-like system" : "you are not root";
  throw new NoDatabases(
    [
      `The backend needs ${names}, and none can be started here. There are three ways to have them:`,
      "  1. Name running servers:  DATABASE_URL=mysql://user:password@host:3306/aizy_users",
      "                            MONGODB_URI=mongodb://host:27017/aizy?replicaSet=rs0   (in .env or the environment)",
      "  2. Start a Docker engine: then compose.yaml provides both (no engine answers now)",
      `  3. On Debian or a derivative, as root: both come from Debian's packages (${why})`,
    ].join("\n"),
  );
}

async function thisMachine(): Promise<Machine> {
  return {
    docker: await dockerAnswers(),
    root: process.getuid?.() === 0,
    debian: existsSync("/etc/debian_version"),
    linux: process.platform === "linux",
  };
}

const connect = (): Promise<Socket | undefined> =>
  new Promise((resolve) => {
    const socket = createConnection(supervisorSocket());
    socket.once("connect", () => resolve(socket));
    socket.once("error", () => resolve(undefined));
  });

/** A connection to the supervisor, which is started when none runs. */
async function reachSupervisor(need: Database[]): Promise<Socket> {
  let way: "docker" | "debian" | undefined;
  await mkdir(join(DATA, "logs"), { recursive: true });
  await mkdir(CACHE, { recursive: true });
  for (const deadline = Date.now() + 60_000; Date.now() < deadline; ) {
    const socket = await connect();
    if (socket) return socket;
    way ??= chooseWay(await thisMachine(), need);
    const log = await open(join(DATA, "logs", "supervisor.log"), "a");
    // Fails at once when another one holds the lock: it is starting, or stopping, and is asked again.
    const child = Bun.spawn(
      [
        "setsid",
        "flock",
        "--nonblock",
        "--no-fork",
        join(DATA, "supervisor.lock"),
        process.execPath,
        join(CHECKOUT, "local/supervisor.ts"),
        way,
      ],
      { cwd: CHECKOUT, stdin: "ignore", stdout: log.fd, stderr: log.fd },
    );
    child.unref();
    await log.close();
    for (let wait = 0; wait < 60 && child.exitCode === null; wait++) {
      await Bun.sleep(25);
      const early = await connect();
      if (early) return early;
    }
  }
  throw new Error("The local databases could not be reached within 60 s; see .data/logs/supervisor.log.");
}

/** Asks the supervisor and waits for the addresses. */
async function askSupervisor(
  socket: Socket,
  need: Database[],
  report: Report,
): Promise<Record<string, string>> {
  socket.write(`${JSON.stringify({ need })}\n`);
  for await (const line of createInterface(socket)) {
    const answer = JSON.parse(line) as Answer;
    if ("progress" in answer) report(answer.progress);
    else if ("ready" in answer) return answer.ready;
    else throw new Error(answer.failed);
  }
  throw new Error(
    "The local databases stopped while they were starting; see .data/logs/supervisor.log. Try again.",
  );
}

/**
 * What the environment lacks for a command that needs the databases: their addresses and, outside production,
 * the secrets of this checkout. Given values are never changed.
 * @throws NoDatabases, or Error with what to do
 */
export async function joinDatabases(report: Report = () => {}): Promise<Joined> {
  const given = (name: string) => Boolean(process.env[name]);
  // In production nothing is made up: parseConfig says what is missing.
  if (process.env.NODE_ENV === "production") {
    return { env: {}, from: "the environment", adminPassword: "", leave: () => {} };
  }
  const { JWT_SECRET, DATA_KEY, SEED_ADMIN_PASSWORD } = localSecrets();
  const adminPassword = process.env.SEED_ADMIN_PASSWORD || SEED_ADMIN_PASSWORD;
  const secrets = Object.fromEntries(
    Object.entries({ JWT_SECRET, DATA_KEY }).filter(([name]) => !given(name)),
  );
  const need: Database[] = [];
  if (!given("DATABASE_URL")) need.push("mysql");
  if (!given("MONGODB_URI")) need.push("mongodb");
  if (need.length === 0) {
    return { env: secrets, from: "DATABASE_URL and MONGODB_URI", adminPassword, leave: () => {} };
  }

  const socket = await reachSupervisor(need);
  const env = await askSupervisor(socket, need, report);
  // The connection holds the databases; it must not hold the command.
  socket.unref();
  const own = [process.env.AIZY_OWN_DATABASES, env.DATABASE_URL, env.MONGODB_URI].filter(Boolean).join(" ");
  return {
    env: {
      ...secrets,
      ...env,
      // Which addresses are this checkout's own: their data may be erased without a question (src/db/confirm.ts).
      AIZY_OWN_DATABASES: own,
      // Nobody else's database gets an administrator without being asked for one.
      ...(need.includes("mysql") ? { SEED_ADMIN_PASSWORD: adminPassword } : {}),
    },
    from: need.length === 2 ? "this machine" : "this machine and the environment",
    adminPassword,
    leave: () => socket.destroy(),
  };
}
