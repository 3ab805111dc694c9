/**
 * The drill of docs/operations.md: a shop is filled, backed up while it is written to, restored into an empty place, and
 * compared. With --long, since it starts programs and databases.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { appendFile, mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { MongoClient } from "mongodb";
import sharp from "sharp";
import { withConnection } from "../src/db/prisma";
import { withDatabase } from "./addresses";
import { type SignedInPerson, useTestApp } from "./app";
import { createDatabase, dropWorkerDatabases } from "./databases";
import { eventually, startProgram, startServer } from "./processes";
import { codeOf, enrolled } from "./second-factor";
import { createStock, type TestStock } from "./stock";

const t = useTestApp();
const name = `aizy_test_${process.pid}_restored`;
const restored = {
  databaseUrl: withDatabase(process.env.DATABASE_URL ?? "", name),
  mongodbUri: withDatabase(process.env.MONGODB_URI ?? "", name),
};
let folder: string;
let admin: SignedInPerson;
let secret: string;
let stock: TestStock;
let picture: string;
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

describe.skipIf(process.env.AIZY_LONG !== "1")("backup and restore", () => {
  /** SKUs that were acknowledged before the backup began, and those begun after it had ended. */
  const acknowledged: string[] = [];
  const late: string[] = [];

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "aizy-backup-"));
    await createDatabase(restored);
    admin = await t.signIn({ roles: ["admin"], name: 'Zoë O\'Hara\n\\ "quoted" \u{1f469}\u200d\u{1f4bb}' });
    ({ secret } = await enrolled(t, admin));
    stock = await createStock(t, admin);
    for (let n = 0; n < 40; n++) acknowledged.push(await stock.sku(20));
    const product = await t.deps.products.findBySku(acknowledged[0]?.toLowerCase() ?? "");
    picture = await upload(product?._id ?? "");
    await t.runner.runDue();
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
        const sku = acknowledged[writes++ % 40] ?? "";
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
    const wrong = await run("restore", [place("first")], { ...there(), DATA_KEY: other });
    expect([wrong.code, wrong.output]).toEqual([1, expect.stringContaining("DATA_KEY lacks v1")]);
    Bun.spawnSync(["cp", "-r", place("first"), place("broken")]);
    await appendFile(place("broken", "mysql.sql.gz"), "x");
    const broken = await run("restore", [place("broken")], there());
    expect([broken.code, broken.output]).toEqual([1, expect.stringContaining("not as it was written")]);
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
    expect([again.code, again.output]).toEqual([1, expect.stringContaining("empty place only")]);
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

  test("the server there lets people in, shows pictures, and its stock agrees with its movements", async () => {
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
  });
});
