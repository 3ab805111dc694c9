/**
 * The drill of docs/operations.md: a shop is filled, backed up while it is written to, restored into an empty place, and
 * compared. With --long also a server there, and MySQL's own programs where MYSQL_PROGRAMS says how to run them.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { appendFile, cp, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { MongoClient } from "mongodb";
import sharp from "sharp";
import { FILE_LIST } from "../src/backup/file-list";
import { filesIn } from "../src/backup/files";
import { MANIFEST } from "../src/backup/manifest";
import { dumpMySql, openSnapshot } from "../src/backup/mysql.store";
import { withDeployLock } from "../src/db/deploy-lock";
import { mysqlOptions, withConnection } from "../src/db/prisma";
import { withDatabase } from "./addresses";
import { type SignedInPerson, useTestApp } from "./app";
import { createDatabase, dropWorkerDatabases } from "./databases";
import { eventually, startProgram, startServer } from "./processes";
import { codeOf, enrolled } from "./second-factor";
import { createStock, type TestStock } from "./stock";

const t = useTestApp();
const isLong = process.env.AIZY_LONG === "1";
/** SKUs that are made; the fewer, the sooner it is done. */
const SKUS = isLong ? 40 : 10;
/** What comes before `mysql` and `mysqldump`, such as `docker exec --interactive mysql`; `env` where they are at hand. */
const MYSQL_PROGRAMS = process.env.MYSQL_PROGRAMS?.split(" ");
/** Databases beside this worker's. */
const beside = (what: string) => {
  const name = `aizy_test_${process.pid}_${what}`;
  return {
    databaseUrl: withDatabase(process.env.DATABASE_URL ?? "", name),
    mongodbUri: withDatabase(process.env.MONGODB_URI ?? "", name),
  };
};
const restored = beside("restored");
let folder: string;
let admin: SignedInPerson;
let secret: string;
let stock: TestStock;
let picture: string;
/** One of its files, as the storage names it. */
let pictureFile: string;
const place = (...names: string[]) => join(folder, ...names);
const there = () => ({
  DATABASE_URL: restored.databaseUrl,
  MONGODB_URI: restored.mongodbUri,
  STORAGE_DIR: place("restored-files"),
});

async function run(program: "backup" | "restore", words: string[], env: Record<string, string> = {}) {
  const started = startProgram([`src/backup/${program}.cli.ts`, ...words], env);
  return { code: await started.ended(), output: started.output() };
}
const backUp = (to: string, env: Record<string, string>, ...words: string[]) =>
  run("backup", [place(to), ...words], env);

/** What a backup holds: a checksum of each table and collection, whatever order its documents were read in. */
async function contentOf(backup: string): Promise<Record<string, string>> {
  const digest = (parts: (string | Buffer)[]) => {
    const hash = createHash("sha256");
    for (const part of parts) hash.update(part);
    return hash.digest("hex");
  };
  const content: Record<string, string> = {};
  const sql = gunzipSync(await readFile(place(backup, "mysql.sql.gz"))).toString();
  for (const line of sql.split("\n")) {
    const table = /^INSERT INTO `(\w+)`/.exec(line)?.[1];
    if (table) content[table] = digest([content[table] ?? "", line]);
  }
  for (const file of await readdir(place(backup, "mongodb"))) {
    const bytes = gunzipSync(await readFile(place(backup, "mongodb", file)));
    const documents: Buffer[] = [];
    for (let at = 0; at < bytes.length; at += bytes.readInt32LE(at))
      documents.push(bytes.subarray(at, at + bytes.readInt32LE(at)));
    content[file] = digest(documents.sort(Buffer.compare));
  }
  return content;
}

/** @returns the address of a picture that was given to a product */
async function upload(productId: string): Promise<string> {
  const bytes = await sharp({ create: { width: 300, height: 200, channels: 3, background: "teal" } })
    .png()
    .toBuffer();
  const form = new FormData();
  form.set("file", new File([bytes], "teal.png", { type: "image/png" }));
  const path = `/api/products/${productId}/images`;
  const answer = await t.request(path, { method: "POST", body: form, token: admin.accessToken });
  if (answer.status !== 201) throw new Error(`no picture: ${await answer.text()}`);
  return `${path}/${(await answer.json()).data.id}/300.webp`;
}

test("continuous integration runs what the page tells people with compose.yaml", async () => {
  const page = await readFile("docs/operations.md", "utf8");
  const [, section = ""] = /^## Backup and restore\n(.*?)^## /ms.exec(page) ?? [];
  const [backup = "", restore = "", afresh = ""] = [...section.matchAll(/^```sh\n(.*?)^```/gms)].map(
    ([, commands = ""]) => commands.replace(/"?\/backups\/[^:\s]+( \+%F\)")?$/gm, "/backups/first"),
  );
  const { jobs } = Bun.YAML.parse(await readFile(".github/workflows/ci.yml", "utf8")) as {
    jobs: { container: { steps: { run?: string }[] } };
  };
  const run = jobs.container.steps.map((step) => step.run ?? "").join("");
  expect(restore).toContain("restore.cli.js");
  expect(run).toContain(backup + afresh + restore);
});

describe("backup and restore", () => {
  /** SKUs that were acknowledged before the backup began, and those begun after it had ended. */
  const acknowledged: string[] = [];
  const late: string[] = [];

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "aizy-backup-"));
    await createDatabase(restored);
    admin = await t.signIn({
      roles: ["admin"],
      name: 'Zoë O\'Hara\n\\ "quoted" \u{1f469}\u200d\u{1f4bb} \u2028\u2029',
    });
    ({ secret } = await enrolled(t, admin));
    stock = await createStock(t, admin);
    for (let n = 0; n < SKUS; n++) acknowledged.push(await stock.sku(20));
    const product = await t.deps.products.findBySku(acknowledged[0]?.toLowerCase() ?? "");
    picture = await upload(product?._id ?? "");
    await t.runner.runDue();
    for await (const file of filesIn(t.deps.config.storageDir)) pictureFile = file;
    // As a disk of its own has it, which is nobody's data.
    for (const storage of [t.deps.config.storageDir, place("restored-files")])
      await mkdir(join(storage, "lost+found"), { recursive: true });
  });
  afterAll(async () => {
    await dropWorkerDatabases(restored);
    await rm(folder, { recursive: true, force: true });
  });

  test("what was acknowledged before it is in it, nothing begun after it; one time in both databases", async () => {
    let ended = false;
    let writes = 0;
    const writer = async () => {
      while (!ended) {
        const sku = acknowledged[writes++ % SKUS] ?? "";
        const { status, data } = await stock.reserve([{ sku, quantity: 1 }], { key: `write-${writes}` });
        if (status === 201)
          await stock.post(`/reservations/${data.id}/${writes % 3 === 0 ? "commit" : "release"}`);
        const leaving = await t.signIn();
        const json = { password: leaving.password };
        await t.request("/api/users/me", { method: "DELETE", json, token: leaving.accessToken });
        await t.runner.runDue();
      }
    };
    const writers = [writer(), writer()];
    await eventually(async () => writes > 2, "the first writes");
    const made = await backUp("first", { STORAGE_DIR: t.deps.config.storageDir }, "--with-keys");
    ended = true;
    await Promise.all(writers);
    expect(made).toMatchObject({ code: 0 });
    late.push(await stock.sku(1));
  });

  test("everything in it is for its owner alone; keys only where they were asked for", async () => {
    const entries = await readdir(place("first"), { withFileTypes: true, recursive: true });
    for (const entry of entries) {
      const { mode } = await stat(join(entry.parentPath, entry.name));
      expect([entry.name, (mode & 0o077).toString(8)]).toEqual([entry.name, "0"]);
    }
    expect(await readFile(place("first", "keys.env"), "utf8")).toContain(`DATA_KEY=${process.env.DATA_KEY}`);
  });

  test("one that was changed is refused, with other secrets too, and nothing was written", async () => {
    const other = `v1:${Buffer.alloc(32, 9).toString("base64")}`;
    for (const what of ["broken", "spoilt"]) await cp(place("first"), place(what), { recursive: true });
    await appendFile(place("broken", "mysql.sql.gz"), "x");
    await appendFile(place("spoilt", "files", pictureFile), "x");
    const refused = (backup: string, env: Record<string, string> = {}) =>
      run("restore", [place(backup)], { ...there(), ...env });
    const outcomes = await Promise.all([
      refused("first", { DATA_KEY: other }),
      refused("broken"),
      refused("spoilt"),
    ]);
    for (const [n, reason] of [
      "DATA_KEY lacks v1",
      `mysql.sql.gz of ${place("broken")} is not as it was written`,
      `files/${pictureFile} of ${place("spoilt")} is not as it was written`,
    ].entries())
      expect([outcomes[n]?.code, outcomes[n]?.output]).toEqual([1, expect.stringContaining(reason)]);
  });

  test("ended by a signal, it leaves nothing; what a killed one leaves is named with what to do", async () => {
    const [begun, end] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const lock = withDeployLock(process.env.DATABASE_URL ?? "", () => {
      begun.resolve();
      return end.promise;
    });
    await begun.promise;
    try {
      const held = ["SIGTERM", "SIGKILL"] as const;
      await Promise.all(
        held.map(async (signal) => {
          const program = startProgram(["src/backup/backup.cli.ts", place(signal)], {
            STORAGE_DIR: t.deps.config.storageDir,
          });
          await program.line(/Waiting since/);
          expect(existsSync(place(`${signal}.part`))).toBe(true);
          await program.kill(signal);
          expect([signal, existsSync(place(`${signal}.part`))]).toEqual([signal, signal === "SIGKILL"]);
          if (signal !== "SIGKILL")
            expect(program.output()).toContain(`No backup was made: ended by ${signal}`);
        }),
      );
    } finally {
      end.resolve();
      await lock;
    }
    const again = await backUp("SIGKILL", { STORAGE_DIR: t.deps.config.storageDir });
    expect([again.code, again.output]).toEqual([
      1,
      expect.stringContaining(`If none runs, remove it (rm -r ${place("SIGKILL.part")})`),
    ]);
    expect(existsSync(place("SIGKILL.part"))).toBe(true);
  });

  test("restored, it is the same to the byte; a second restore finds the place taken", async () => {
    const done = await run("restore", [place("first")], there());
    expect(done).toMatchObject({ code: 0, output: expect.stringMatching(/[1-9]\d* erasures to repeat/) });
    expect(await backUp("second", there())).toMatchObject({ code: 0 });
    const [first, second] = [await contentOf("first"), await contentOf("second")];
    // Those erasures are new jobs.
    delete first.jobs;
    delete second.jobs;
    expect(second).toEqual(first);
    expect(Object.keys(first)).toEqual(expect.arrayContaining(["users", "totp_factors", "products.bson.gz"]));
    const again = await run("restore", [place("first")], there());
    expect([again.code, again.output]).toEqual([
      1,
      expect.stringMatching(/empty place only.*To start afresh/s),
    ]);
  });

  test("what MongoDB's jobs wrote to MySQL before it was read is there", async () => {
    const client = await MongoClient.connect(restored.mongodbUri);
    const jobs = await client
      .db()
      .collection("jobs")
      .find({ kind: "audit.record", status: "done" })
      .toArray();
    await client.close();
    const written = await withConnection(restored.databaseUrl, (connection) =>
      connection.query<{ id: string }[]>("SELECT id FROM audit_entries"),
    );
    const ids = new Set(written.map(({ id }) => id));
    expect(jobs.length).toBeGreaterThan(0);
    expect(jobs.filter(({ _id }) => !ids.has(String(_id)))).toEqual([]);
  });

  test.skipIf(!isLong)("of an earlier version, it is restored with a word about its files", async () => {
    await cp(place("first"), place("earlier"), { recursive: true });
    await rm(place("earlier", FILE_LIST));
    const manifest = JSON.parse(await readFile(place("earlier", MANIFEST), "utf8"));
    delete manifest.checksums[FILE_LIST];
    await writeFile(place("earlier", MANIFEST), JSON.stringify(manifest));
    const other = beside("earlier");
    await createDatabase(other);
    try {
      const done = await run("restore", [place("earlier")], {
        DATABASE_URL: other.databaseUrl,
        MONGODB_URI: other.mongodbUri,
        STORAGE_DIR: place("earlier-files"),
      });
      expect([done.code, done.output]).toEqual([0, expect.stringMatching(/earlier version.*cannot be told/)]);
      expect(await readFile(place("earlier-files", pictureFile))).toEqual(
        await readFile(join(t.deps.config.storageDir, pictureFile)),
      );
    } finally {
      await dropWorkerDatabases(other);
    }
  });

  test.skipIf(MYSQL_PROGRAMS === undefined)(
    "MySQL's own client reads the dump, and its mysqldump copies MySQL's half (needs MYSQL_PROGRAMS)",
    async () => {
      const [client, copy] = [beside("client"), beside("copy")];
      const words = (program: string, { databaseUrl }: typeof client, ...options: string[]) => {
        const { host, port, user, password, database } = mysqlOptions(databaseUrl);
        const where = ["--protocol=tcp", `--host=${host}`, `--port=${port}`, `--user=${user}`];
        return [
          ...(MYSQL_PROGRAMS ?? []),
          program,
          ...where,
          `--password=${password}`,
          ...options,
          `${database}`,
        ];
      };
      /** Runs one program with these bytes as its input. @returns its output */
      const piped = async (command: string[], input: Uint8Array) => {
        const child = Bun.spawn(command, { stdin: input, stdout: "pipe", stderr: "pipe" });
        const [output, errors] = await Promise.all([
          new Response(child.stdout).bytes(),
          new Response(child.stderr).text(),
        ]);
        expect([await child.exited, errors]).toEqual([0, expect.any(String)]);
        return output;
      };
      /** What MySQL's half of a backup of that database would be. */
      const tablesOf = async (databases: typeof client, what: string) => {
        await mkdir(place(what, "mongodb"), { recursive: true });
        await withConnection(databases.databaseUrl, async (connection) => {
          await openSnapshot(connection);
          await dumpMySql(connection, place(what, "mysql.sql.gz"));
        });
        return contentOf(what);
      };
      try {
        for (const databases of [client, copy]) await createDatabase(databases);
        const dump = gunzipSync(await readFile(place("first", "mysql.sql.gz")));
        await piped(words("mysql", client), dump);
        const wanted = await contentOf("first");
        for (const name of Object.keys(wanted)) if (name.endsWith(".gz")) delete wanted[name];
        expect(await tablesOf(client, "by-client")).toEqual(wanted);
        const options = ["--single-transaction", "--no-tablespaces", "--set-gtid-purged=OFF"];
        const copied = await piped(words("mysqldump", client, ...options), new Uint8Array());
        await piped(words("mysql", copy), copied);
        expect(await tablesOf(copy, "by-copy")).toEqual(wanted);
      } finally {
        for (const databases of [client, copy]) await dropWorkerDatabases(databases);
      }
    },
  );

  test.skipIf(!isLong)(
    "the server there lets people in, shows pictures, and its stock agrees with its movements",
    async () => {
      const verified = startProgram(["src/inventory/verify.cli.ts"], there());
      expect([await verified.ended(), verified.output()]).toMatchObject([0, expect.any(String)]);
      const server = await startServer(there());
      try {
        const post = async (path: string, json: unknown) => {
          const answer = await fetch(server.address + path, {
            method: "POST",
            headers: { "content-type": "application/json" },
            body: JSON.stringify(json),
          });
          return { status: answer.status, data: (await answer.json()).data };
        };
        const login = await post("/auth/login", { email: admin.email, password: admin.password });
        const { challenge } = login.data;
        const code = codeOf(secret, new Date(), 1);
        const signedIn = await post("/auth/mfa/challenge", { challenge, method: "totp", code });
        expect(signedIn.status).toBe(200);
        const read = async (path: string) => {
          const answer = await fetch(server.address + path, {
            headers: { authorization: `Bearer ${signedIn.data.accessToken}` },
          });
          return { status: answer.status, body: Buffer.from(await answer.arrayBuffer()) };
        };
        const me = await read("/api/users/me");
        expect(JSON.parse(me.body.toString()).data.name).toBe((await t.deps.users.findById(admin.id))?.name);
        for (const sku of acknowledged)
          expect((await read(`/api/products/inventory/levels?sku=${sku}`)).body.toString()).toContain(sku);
        expect((await read(`/api/products/inventory/levels?sku=${late[0]}`)).body.toString()).not.toContain(
          late[0],
        );
        const [before, after] = [await t.request(picture), await read(picture)];
        expect([before.status, after.status]).toEqual([200, 200]);
        expect(after.body.equals(Buffer.from(await before.arrayBuffer()))).toBe(true);
      } finally {
        await server.kill("SIGTERM");
      }
    },
  );
});
