import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import mariadb from "mariadb";
import { MongoClient } from "mongodb";
import { CHECKOUT, DATA } from "../local/paths";
import { freePort, lines } from "../local/processes";
import { mysqlOptions } from "../src/db/prisma";
import { databaseOf, withDatabase } from "./addresses";
import { buildImage, canCarryOut, type Image, readDockerfile } from "./dockerfile";
import { eventually } from "./processes";

const stages = readDockerfile(join(CHECKOUT, "Dockerfile"));
const manifest = JSON.parse(readFileSync(join(CHECKOUT, "package.json"), "utf8")) as {
  devDependencies: Record<string, string>;
};

describe("Dockerfile", () => {
  test("every stage begins with the Bun that package.json pins", () => {
    for (const { base } of stages) expect(base).toBe(`oven/bun:${manifest.devDependencies.bun}-slim`);
  });

  test("the last stage runs as a user that is not root, has a health check, and runs no package manager", () => {
    const last = stages.at(-1)?.instructions ?? [];
    const textOf = (name: string) => last.filter((one) => one.name === name).map(({ text }) => text);
    expect(textOf("USER")).toEqual([expect.stringMatching(/^[1-9]\d*(:[1-9]\d*)?$/)]);
    expect(textOf("HEALTHCHECK")).toHaveLength(1);
    expect(textOf("RUN").join("\n")).not.toMatch(/apt|npm|bun (install|add)|curl|wget/);
    for (const { name, text } of stages.flatMap(({ instructions }) => instructions)) {
      if (name === "RUN" && text.includes("install")) expect(text).toContain("--frozen-lockfile");
    }
  });
});

test("compose.yaml passes on every variable of .env.example", () => {
  const compose = readFileSync(join(CHECKOUT, "compose.yaml"), "utf8");
  const example = readFileSync(join(CHECKOUT, ".env.example"), "utf8");
  // Compose runs the databases itself, and reads the last one; the image says where files are.
  const own = ["DATABASE_URL", "MONGODB_URI", "STORAGE_DIR", "COMPOSE_PROFILES"];
  const names = [...example.matchAll(/^#? ?([A-Z][A-Z0-9_]+)=/gm)].map(([, name = ""]) => name);
  expect(names.length).toBeGreaterThan(20);
  expect(names.filter((name) => !own.includes(name) && !compose.includes(`\${${name}:`))).toEqual([]);
});

describe.skipIf(!canCarryOut(DATA))("what the Dockerfile makes (needs root on Linux, and overlays)", () => {
  // Not in the temporary folder, which may be an overlay itself.
  const folder = mkdtempSync(join(DATA, "container-"));
  const { DATABASE_URL = "", MONGODB_URI = "" } = process.env;
  const name = `${databaseOf(DATABASE_URL)}_container`;
  const settings = {
    DATABASE_URL: withDatabase(DATABASE_URL, name),
    MONGODB_URI: withDatabase(MONGODB_URI, name),
    JWT_SECRET: process.env.JWT_SECRET ?? "",
    DATA_KEY: process.env.DATA_KEY ?? "",
    SMTP_URL: "smtp://127.0.0.1:2525",
    MAIL_FROM: "Shop <no-reply@shop.test>",
    APP_URL: "https://shop.test",
    CORS_ORIGINS: "https://shop.test",
    SEED_ADMIN_PASSWORD: "a password of tests",
  };
  const admin = () =>
    mariadb.createConnection({ ...mysqlOptions(settings.DATABASE_URL), database: undefined });
  let image: Image;

  beforeAll(async () => {
    const connection = await admin();
    await connection.query(`CREATE DATABASE ${connection.escapeId(name)}`);
    await connection.end();
    image = await buildImage(CHECKOUT, folder, process.execPath);
  }, 300_000);
  afterAll(async () => {
    const connection = await admin();
    await connection.query(`DROP DATABASE IF EXISTS ${connection.escapeId(name)}`);
    await connection.end();
    const client = await MongoClient.connect(settings.MONGODB_URI);
    await client.db().dropDatabase();
    await client.close();
    rmSync(folder, { recursive: true, force: true });
  }, 60_000);

  /** Runs words in the image as its user, on a root that cannot be written to. */
  const run = (words: string[], env: Record<string, string> = {}) => {
    const given = { ...settings, ...env };
    const volume = join(folder, "volume");
    const child = Bun.spawn(image.run(words, { env: given, readOnly: true, volume }), {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
    let output = "";
    const collect = async (stream: ReadableStream<Uint8Array>) => {
      for await (const line of lines(stream)) output += `${line}\n`;
    };
    const done = Promise.all([collect(child.stdout), collect(child.stderr)]);
    return {
      child,
      output: () => output,
      ended: async () => {
        const code = await child.exited;
        await done;
        return code;
      },
    };
  };

  test("holds no build tools, no sources and no tests", () => {
    const app = join(image.changes, image.workdir);
    expect(readdirSync(app).sort()).toEqual(["dist", "licences", "node_modules", "package.json", "prisma"]);
    expect(JSON.parse(readFileSync(join(app, "dist/openapi.json"), "utf8"))).toHaveProperty("paths");
    expect(readFileSync(join(app, "licences/THIRD-PARTY-NOTICES"), "utf8")).toContain("mongoose");
    const { components } = JSON.parse(readFileSync(join(app, "licences/sbom.cdx.json"), "utf8"));
    expect(components.length).toBeGreaterThan(50);
    expect(readFileSync(join(app, "dist/src/backup/restore.cli.js"), "utf8")).not.toBe("");
    const modules = join(app, "node_modules");
    for (const name of ["typescript", "prisma", "@biomejs", "drizzle-kit", "mongodb-memory-server", "bun"]) {
      expect(existsSync(join(modules, name))).toBe(false);
    }
    for (const name of Object.keys(manifest.devDependencies)) {
      // What a dependency of the application needs itself may be there: bson and mongodb are Mongoose's.
      if (!["bson", "mongodb"].includes(name)) expect(existsSync(join(modules, name))).toBe(false);
    }
    const sizeOf = (path: string): number =>
      statSync(path).isDirectory()
        ? readdirSync(path).reduce((sum, name) => sum + sizeOf(join(path, name)), 0)
        : statSync(path).size;
    // In bytes: what comes on top of the base image. A package that doubles it should be noticed.
    expect(sizeOf(app)).toBeLessThan(200 * 1024 * 1024);
  });

  test("deploys, seeds, and answers as an unprivileged user on a root that is read-only", async () => {
    for (const step of ["dist/src/db/migrate.js", "dist/prisma/seed.js"]) {
      const program = run(["bun", step]);
      expect([await program.ended(), program.output()]).toEqual([0, expect.any(String)]);
    }
    const port = String(await freePort());
    const server = run(image.command, { PORT: port });
    try {
      const address = `http://127.0.0.1:${port}`;
      await eventually(async () => {
        if (server.child.exitCode !== null) throw new Error(server.output());
        return fetch(`${address}/health/ready`).then(
          ({ ok }) => ok,
          () => false,
        );
      }, "the container's answer");
      const { uid, capabilities } = identityOf(server.child.pid);
      expect(uid).toBe(1000);
      expect(capabilities).toBe(0n);
      // Nothing is on sale that nobody put there.
      const list = (await (await fetch(`${address}/api/products?limit=1`)).json()) as { data: unknown[] };
      expect(list.data).toEqual([]);
      expect((await fetch(`${address}/docs/swagger-ui.css`)).status).toBe(200);
      const signedIn = await fetch(`${address}/auth/login`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ email: "admin@aizy.local", password: settings.SEED_ADMIN_PASSWORD }),
      });
      expect(signedIn.status).toBe(200);
      server.child.kill("SIGTERM");
      expect(await server.ended()).toBe(0);
      expect(server.output()).toContain('"msg":"stopped"');
    } finally {
      server.child.kill("SIGKILL");
    }
  }, 120_000);

  test("its root cannot be written to, and without settings it names every one that is missing", async () => {
    const write = run(["sh", "-c", "touch /app/here || touch /home/here"]);
    expect(await write.ended()).not.toBe(0);
    const names = Object.keys(settings).filter((name) => name !== "SEED_ADMIN_PASSWORD");
    const bare = run(image.command, Object.fromEntries(names.map((name) => [name, ""])));
    expect(await bare.ended()).toBe(1);
    for (const name of names) expect(bare.output()).toContain(`${name}: is not set`);
  }, 60_000);
});

/** Who a process is, by the kernel's word. */
function identityOf(pid: number): { uid: number; capabilities: bigint } {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const field = (name: string) => new RegExp(`^${name}:\\s*(\\S+)`, "m").exec(status)?.[1] ?? "";
  return { uid: Number(field("Uid")), capabilities: BigInt(`0x${field("CapEff")}`) };
}
