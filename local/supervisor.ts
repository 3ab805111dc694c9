/**
 * One process per checkout that owns its local databases. Commands (`bin/dev`, `bin/test`, every script)
 * connect to its socket, say which databases they need, get the addresses, and hold the connection for as
 * long as they use them. When the last one is gone, however it ended, the databases stop in good order.
 *
 * It runs under `flock`, so there is one at a time; the lock dies with the process, so a crash leaves none.
 */
import { rmSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { createInterface } from "node:readline";
import { debianEngine } from "./debian";
import { dockerEngine } from "./docker";
import type { Answer, Database, Report, Request, Running } from "./engine";
import { supervisorSocket } from "./paths";
import { localSecrets } from "./secrets";

/** How long the databases wait for the next command, so that one after the other does not restart them. */
const LINGER = 3000;

async function supervise(way: "docker" | "debian"): Promise<void> {
  const holders = new Set<Socket>();
  const send = (socket: Socket, answer: Answer) => void socket.write(`${JSON.stringify(answer)}\n`);
  let lastProgress = "";
  const report: Report = (line) => {
    lastProgress = line;
    for (const socket of holders) send(socket, { progress: line });
  };
  const secrets = localSecrets();
  const engine = way === "docker" ? dockerEngine(secrets, report) : debianEngine(secrets, report);

  let inTheMaking = 0;
  const running = new Map<Database, Promise<Running>>();
  const keep = (database: Database, starting: Promise<Running>): Promise<Running> => {
    running.set(database, starting);
    inTheMaking++;
    void starting.catch(() => {}).then(() => inTheMaking--);
    starting.then(
      ({ children, stop }) => {
        for (const child of children) {
          void child.exited.then(() => {
            if (stopping !== undefined || running.get(database) !== starting) return;
            console.log(
              `${database} ended by itself (${child.signalCode ?? child.exitCode}); starting it again`,
            );
            // Those that use it find it at the same address: what listens there, such as the gateway, goes first.
            void keep(
              database,
              stop().then(() => engine[database]()),
            );
          });
        }
      },
      (error: Error) => {
        console.log(`${database}: ${error.message}`);
        running.delete(database);
      },
    );
    return starting;
  };
  const start = (database: Database): Promise<Running> =>
    running.get(database) ?? keep(database, engine[database]());

  let stopping: Promise<void> | undefined;
  let linger: ReturnType<typeof setTimeout> | undefined;
  const stop = (): Promise<void> => {
    stopping ??= (async () => {
      rmSync(supervisorSocket(), { force: true });
      server.close();
      await Promise.all(
        [...running.values()].map(async (database) => {
          const started = await database.catch(() => undefined); // Its command was told why.
          await started?.stop();
        }),
      );
      process.exit(0);
    })();
    return stopping;
  };
  const left = (socket: Socket) => {
    holders.delete(socket);
    if (holders.size > 0) return;
    clearTimeout(linger);
    linger = setTimeout(() => void stop(), LINGER);
  };

  const server = createServer((socket) => {
    if (stopping) return void socket.destroy();
    clearTimeout(linger);
    holders.add(socket);
    socket.on("error", () => {}); // It is followed by close.
    socket.once("close", () => left(socket));
    if (inTheMaking > 0) send(socket, { progress: lastProgress });
    createInterface(socket).on("line", async (line) => {
      const { need } = JSON.parse(line) as Request;
      try {
        const databases = await Promise.all(need.map(start));
        send(socket, { ready: Object.assign({}, ...databases.map(({ env }) => env)) });
      } catch (error) {
        send(socket, { failed: (error as Error).message });
      }
    });
  });
  rmSync(supervisorSocket(), { force: true }); // Of one that was killed: the lock says that none runs.
  server.listen(supervisorSocket());
  linger = setTimeout(() => void stop(), LINGER * 3); // Nobody came.
  process.on("SIGTERM", () => void stop());
  process.on("SIGINT", () => void stop());
}

if (import.meta.main) await supervise(process.argv[2] === "docker" ? "docker" : "debian");
