import { afterAll, afterEach, describe, expect, test } from "bun:test";
import { createServer } from "node:net";
import { networkInterfaces } from "node:os";
import { freePort } from "../../local/processes";
import { withConnection } from "../../src/db/prisma";
import { eventually, type ServerProcess, startProgram, startServer, uncaught } from "../processes";
import { startProxy } from "../proxy";

const mysql = await startProxy(process.env.DATABASE_URL ?? "");
const mongo = await startProxy(process.env.MONGODB_URI ?? "");
const through = {
  DATABASE_URL: mysql.url(process.env.DATABASE_URL ?? ""),
  MONGODB_URI: mongo.url(process.env.MONGODB_URI ?? ""),
};
/** Servers of one test. */
const started = new Set<ServerProcess>();
const serve = async (env: Record<string, string>) => {
  const server = await startServer(env);
  started.add(server);
  return server;
};
/** A server behind the proxies that tests hand on to each other, as long as it lives. */
let standing: ServerProcess | undefined;
const serveAgain = async () => {
  standing ??= await startServer(through);
  await eventually(readyAs(standing, UP), "the start");
  return standing;
};
/** What `serveAgain` gives, for a test that ends it. */
const serveLast = async () => {
  const server = await serveAgain();
  started.add(server);
  standing = undefined;
  return server;
};
afterEach(async () => {
  await Promise.all([...started].map((server) => server.kill()));
  started.clear();
});
afterAll(async () => {
  await standing?.kill();
  await Promise.all([mysql.close(), mongo.close()]);
});

const ready = async (server: ServerProcess) => {
  const answer = await fetch(`${server.address}/health/ready`);
  const { why: _, ...parts } = ((await answer.json()) as { data: Record<string, unknown> }).data;
  return parts;
};
const readyAs = (server: ServerProcess, wanted: object) => async () =>
  Bun.deepEquals(await ready(server), wanted);
const UP = { status: "up", mysql: "up", mongodb: "up", jobs: "up", server: "up" };

describe("a database that is down", () => {
  test("MongoDB at the start and again later: ready says 503 and which, and recovers by itself", async () => {
    await mongo.stop();
    await standing?.kill();
    standing = await startServer(through);
    const server = standing;
    expect(await ready(server)).toEqual({ ...UP, status: "down", mongodb: "down" });
    expect((await fetch(`${server.address}/health/ready`)).status).toBe(503);
    expect((await fetch(`${server.address}/health/live`)).status).toBe(200);
    const refused = await fetch(`${server.address}/api/products`);
    expect(refused.status).toBe(503);
    expect(refused.headers.get("retry-after")).toMatch(/^\d+$/);
    expect(await refused.json()).toMatchObject({ code: "service_unavailable" });

    await mongo.start();
    await eventually(readyAs(server, UP), "recovery from a late MongoDB");
    expect((await fetch(`${server.address}/api/products`)).status).toBe(200);

    await mongo.stop();
    await eventually(
      readyAs(server, { ...UP, status: "down", mongodb: "down" }),
      "noticing that MongoDB went away",
    );
    await mongo.start();
    await eventually(readyAs(server, UP), "recovery from a MongoDB that went away");
    expect((await fetch(`${server.address}/api/products`)).status).toBe(200);
  }, 120_000);

  test("MySQL later: ready says 503 and which, and recovers by itself", async () => {
    const server = await serveAgain();
    await mysql.stop();
    await eventually(
      readyAs(server, { ...UP, status: "down", mysql: "down" }),
      "noticing that MySQL went away",
    );
    const login = await fetch(`${server.address}/auth/login`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ email: "a@example.com", password: "a long password" }),
    });
    expect(login.status).toBe(503);
    await mysql.start();
    await eventually(readyAs(server, UP), "recovery from a MySQL that went away");
  }, 120_000);

  test("a MySQL that takes no writes: sign-in is 503 within seconds and then at once, reads go on, ready says it", async () => {
    const server = await serveAgain();
    const signIn = async () => {
      const began = performance.now();
      const answer = await fetch(`${server.address}/auth/login`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ email: "a@example.com", password: "a long password" }),
      });
      expect(answer.status).toBe(503);
      expect(answer.headers.get("retry-after")).toMatch(/^\d+$/);
      return performance.now() - began;
    };
    const tables = ["users", "rate_limits", "sessions", "roles"].map((name) => `${name} READ`);
    await withConnection(process.env.DATABASE_URL ?? "", async (connection) => {
      await connection.query(`LOCK TABLES ${tables.join(", ")}`);
      // It takes two to three seconds.
      expect(await signIn()).toBeLessThan(10_000);
      await eventually(async () => {
        await signIn();
        return (await ready(server)).mysql === "read_only";
      }, "knowing that MySQL takes no writes");
      const times: number[] = [];
      for (let n = 0; n < 5; n++) times.push(await signIn());
      // Not one of them waits for a lock.
      expect(Math.min(...times)).toBeLessThan(1500);
      expect((await fetch(`${server.address}/api/products`)).status).toBe(200);
      await connection.query("UNLOCK TABLES");
    });
    await eventually(readyAs(server, UP), "the return of writes");
  }, 120_000);

  test("a database that hangs does not hang ready", async () => {
    const server = await serveAgain();
    mongo.pause();
    try {
      expect(await ready(server)).toEqual({ ...UP, status: "down", mongodb: "down" });
    } finally {
      mongo.resume();
    }
    await eventually(readyAs(server, UP), "recovery from a MongoDB that hung");
  }, 120_000);
});

describe("a server that cannot start ends with 1 and says what to do", () => {
  const failing = async (env: Record<string, string | undefined>) => {
    const began = performance.now();
    const program = startProgram(["src/index.ts"], { PORT: "0", ...env });
    const code = await program.ended();
    return { code, output: program.output(), ms: performance.now() - began };
  };

  test("a wrong MySQL password and a closed port are told apart", async () => {
    const wrong = new URL(process.env.DATABASE_URL ?? "");
    wrong.password = "not the password";
    // A user without a password cannot have a wrong one: then the user is one that does not exist.
    if (new URL(process.env.DATABASE_URL ?? "").password === "") wrong.username = "nobody_has_this_name";
    const password = await failing({ DATABASE_URL: wrong.href });
    expect(password.code).toBe(1);
    expect(password.output).toContain("wrong password or no such user. Check DATABASE_URL.");
    expect(password.output).not.toContain("not the password");

    const closed = new URL(process.env.DATABASE_URL ?? "");
    closed.port = "1";
    const port = await failing({ DATABASE_URL: closed.href });
    expect(port.code).toBe(1);
    expect(port.output).toContain("MySQL does not answer at");
    expect(port.output).toContain("ECONNREFUSED");
  }, 60_000);

  test("a MySQL that accepts and says nothing is reported as well", async () => {
    const silent = createServer(() => {});
    const port = await new Promise<number>((resolve) => {
      silent.listen(0, "127.0.0.1", () => resolve((silent.address() as { port: number }).port));
    });
    const url = new URL(process.env.DATABASE_URL ?? "");
    url.hostname = "127.0.0.1";
    url.port = String(port);
    const { code, output } = await failing({ DATABASE_URL: url.href });
    silent.close();
    expect(code).toBe(1);
    expect(output).toContain("MySQL does not answer at");
  }, 60_000);

  test("a database that does not exist", async () => {
    const url = new URL(process.env.DATABASE_URL ?? "");
    url.pathname = "/aizy_nowhere";
    const { code, output } = await failing({ DATABASE_URL: url.href });
    expect(code).toBe(1);
    expect(output).toContain('has no database "aizy_nowhere"');
  }, 60_000);

  test("a port that is taken", async () => {
    const server = await serveAgain();
    const { code, output } = await failing({ PORT: new URL(server.address).port });
    expect(code).toBe(1);
    expect(output).toContain("is taken. Stop what listens there, or choose another: PORT=");
  }, 60_000);

  test("a folder for files that cannot be written to", async () => {
    for (const folder of ["/dev/null/files", "/proc/files"]) {
      const { code, output } = await failing({ STORAGE_DIR: folder });
      expect(code).toBe(1);
      expect(output).toContain("STORAGE_DIR: nothing can be written there (E");
      expect(output).not.toMatch(/^\s+at |^\d+ \| /m);
    }
  }, 60_000);

  test("an address that this machine does not have, alone and with WEB_CONCURRENCY", async () => {
    for (const more of [{}, { WEB_CONCURRENCY: "2" }]) {
      const { code, output } = await failing({ HOST: "192.0.2.1", ...more });
      expect(code).toBe(1);
      expect(output).toContain('HOST: this machine has no address "192.0.2.1"');
      expect(output).not.toMatch(/^\s+at |^\d+ \| /m);
    }
  }, 60_000);

  test("values that only show when they are used: each named, by servers and scripts, without source code", async () => {
    const bad = { MONGODB_URI: `${process.env.MONGODB_URI}&nonsense=1`, TRUSTED_PROXIES: "" };
    for (const [file, env, name] of [
      ["src/index.ts", bad, "MONGODB_URI"],
      ["prisma/seed.ts", bad, "MONGODB_URI"],
      ["src/analytics/rebuild.cli.ts", { ...bad, TRUSTED_PROXIES: "10.0.0.0/99" }, "TRUSTED_PROXIES"],
      ["src/db/migrate.ts", bad, "MONGODB_URI"],
    ] as const) {
      const program = startProgram([file], env);
      expect([file, await program.ended()]).toEqual([file, 1]);
      expect(program.output()).toContain(`${name}: `);
      expect(program.output()).not.toMatch(/^\s+at |^\d+ \| /m);
    }
  }, 60_000);

  test("every problem of the configuration at once, with variable and fix", async () => {
    const { code, output } = await failing({
      DATABASE_URL: "postgres://x",
      MONGODB_URI: "",
      JWT_SECRET: "short",
      PORT: "many",
    });
    expect(code).toBe(1);
    for (const variable of ["DATABASE_URL", "MONGODB_URI", "JWT_SECRET", "PORT"])
      expect(output).toContain(`${variable}: `);
    expect(output).not.toContain("short");
  }, 60_000);
});

describe("where a server listens", () => {
  /** The addresses of this machine, its own excepted, on which a server's port answers. */
  const reachable = async (server: ServerProcess) => {
    const { port } = new URL(server.address);
    const outside = Object.values(networkInterfaces())
      .flatMap((addresses) => addresses ?? [])
      .filter(({ family, internal }) => family === "IPv4" && !internal)
      .map(({ address }) => address);
    const answers = ["127.0.0.2", ...outside].map((address) =>
      fetch(`http://${address}:${port}/health/live`).then(
        ({ ok }) => ok,
        () => false,
      ),
    );
    return new Set(await Promise.all(answers));
  };

  test("development on this machine alone, unless HOST says otherwise", async () => {
    const server = await serve({ NODE_ENV: "development" });
    expect((await fetch(`${server.address}/health/live`)).status).toBe(200);
    expect(await reachable(server)).toEqual(new Set([false]));
    const open = await serve({ NODE_ENV: "development", HOST: "0.0.0.0" });
    expect(await reachable(open)).toEqual(new Set([true]));
  }, 60_000);

  test("production on every network, and its frontend passes CORS and the check of the origin alike", async () => {
    const server = await serve({
      NODE_ENV: "production",
      APP_URL: "https://shop.test",
      CORS_ORIGINS: "https://admin.test",
      SMTP_URL: "smtp://127.0.0.1:2525",
      MAIL_FROM: "no-reply@shop.test",
    });
    expect(await reachable(server)).toEqual(new Set([true]));
    for (const [origin, allowed] of [
      ["https://shop.test", true],
      ["https://admin.test", true],
      ["http://localhost:3000", false],
    ] as const) {
      const answer = await fetch(`${server.address}/auth/login`, {
        method: "POST",
        headers: { origin, "content-type": "application/json" },
        body: JSON.stringify({ email: "nobody@example.com", password: "a long password" }),
      });
      expect([origin, answer.status]).toEqual([origin, allowed ? 401 : 403]);
      expect(answer.headers.get("access-control-allow-origin")).toBe(allowed ? origin : null);
    }
  }, 60_000);
});

describe("the end of a server", () => {
  test("kill -9, then a new one on the same databases serves", async () => {
    const first = await serveLast();
    await first.kill("SIGKILL");
    await serveAgain();
  }, 60_000);

  test("SIGTERM: no new requests, those in flight finish, exit 0", async () => {
    const server = await serveLast();
    mongo.slow(700);
    const asked = mongo.sent((bytes) => bytes.includes("\0products\0"));
    const slow = fetch(`${server.address}/api/products`);
    await asked;
    server.child.kill("SIGTERM");
    await server.line(/stopping/);
    await eventually(
      () =>
        fetch(`${server.address}/health/live`).then(
          () => false,
          () => true,
        ),
      "refusing new connections",
    );
    expect((await slow).status).toBe(200);
    mongo.slow(0);
    expect(await server.ended()).toBe(0);
    expect(server.output()).toContain("stopped");
  }, 60_000);

  test.each(["thrown", "promise"] as const)(
    "an error that nobody caught (%s) is logged; requests in flight finish, exit 1",
    async (kind) => {
      const server = await serve({ ...through, ...uncaught(kind) });
      await eventually(readyAs(server, UP), "the start");
      mongo.slow(700);
      const asked = mongo.sent((bytes) => bytes.includes("\0products\0"));
      const slow = fetch(`${server.address}/api/products`);
      await asked;
      server.child.kill("SIGUSR2");
      expect((await slow).status).toBe(200);
      mongo.slow(0);
      expect(await server.ended()).toBe(1);
      expect(server.output()).toMatch(
        /"level":"fatal".*"message":"a test made this".*"msg":"an error that nobody caught"/,
      );
      expect(server.output()).toContain('"msg":"stopped"');
    },
    60_000,
  );

  test("an error that nobody caught while it stops makes it exit 1 too", async () => {
    const server = await serve({ ...through, ...uncaught("thrown") });
    await eventually(readyAs(server, UP), "the start");
    mongo.slow(700);
    const asked = mongo.sent((bytes) => bytes.includes("\0products\0"));
    const slow = fetch(`${server.address}/api/products`);
    await asked;
    server.child.kill("SIGTERM");
    await server.line(/stopping/);
    server.child.kill("SIGUSR2");
    expect((await slow).status).toBe(200);
    mongo.slow(0);
    expect(await server.ended()).toBe(1);
  }, 60_000);

  test("a log that cannot be written ends nobody's requests", async () => {
    const port = await freePort();
    const command = `exec "$0" src/index.ts >/dev/full`;
    const program = startProgram(["-c", command, process.execPath], { PORT: String(port) }, "sh");
    try {
      for (let request = 0; request < 5; request++) {
        await eventually(
          () =>
            fetch(`http://localhost:${port}/api/products`).then(
              ({ status }) => status === 200,
              (error) => {
                if (program.child.exitCode !== null) throw error;
                return false;
              },
            ),
          "an answer",
        );
      }
      program.child.kill("SIGTERM");
      expect(await program.ended()).toBe(0);
    } finally {
      await program.kill();
    }
  }, 60_000);
});
