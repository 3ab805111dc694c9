import { beforeAll, describe, expect, test } from "bun:test";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { type SignedInPerson, useTestApp } from "../../../test/app";
import { around } from "../../../test/interleave";
import { eventually, startServer } from "../../../test/processes";
import { DAY, HOUR, MINUTE } from "../../lib/clock";
import type { ProductResponse } from "../answers";
import type { BulkResponse } from "./schema";
import { watchBulk } from "./watch";

const t = useTestApp();
let manager: SignedInPerson;
beforeAll(async () => {
  manager = await t.signIn({ roles: ["manager"] });
});

const PATH = "/api/products/import";
const NDJSON = "application/x-ndjson";
const send = (
  body: BodyInit | null,
  { type = NDJSON, query = "", headers = {} as Record<string, string>, token = manager.accessToken } = {},
) =>
  t.request(`${PATH}${query}`, {
    method: "POST",
    body,
    token,
    headers: { ...(type === "" ? {} : { "content-type": type }), ...headers },
    duplex: "half",
  } as never);
const dataOf = async (answer: Response, status = 200): Promise<BulkResponse> => {
  if (answer.status !== status) throw new Error(`${answer.status} ${await answer.text()}`);
  return ((await answer.json()) as { data: BulkResponse }).data;
};
const read = async (kind: "import" | "export", id: string) =>
  dataOf(await t.request(`/api/products/${kind}/${id}`, { token: manager.accessToken }));
const exportAll = async (json: object) =>
  dataOf(await t.request("/api/products/export", { method: "POST", json, token: manager.accessToken }), 202);
const get = (path: string | null) => t.request(path ?? "", { token: manager.accessToken });
/** Every file that storage holds. */
const files = async () =>
  (await readdir(t.deps.config.storageDir, { recursive: true, withFileTypes: true }).catch(() => []))
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
const lines = (name: string, count: number) =>
  Array.from({ length: count }, (_, n) =>
    JSON.stringify({ sku: `${name}-${n}`, name: `${name} ${n}`, price: 1 }),
  ).join("\n");

describe("an import over HTTP", () => {
  test("is a job: its progress, its result, the refused rows as a file", async () => {
    const started = await dataOf(
      await send(`${lines("Job", 120)}\n{"name":"=1+1"}\nbad\n`, {
        headers: { "idempotency-key": "import-1" },
      }),
      202,
    );
    expect(started).toMatchObject({ kind: "import", format: "ndjson", status: "waiting", result: null });
    await t.runner.runDue();
    const done = await read("import", started.id);
    expect(done).toMatchObject({
      status: "done",
      result: { rows: 122, created: 120, updated: 0, unchanged: 0, failed: 2 },
      file: `${PATH}/${started.id}/faults`,
    });
    expect(done.progress.done).toBe(done.progress.total ?? -1);
    expect(done.result?.faults).toEqual([
      { row: 121, message: "price is needed for a new variant" },
      { row: 122, message: "is not valid JSON" },
    ]);
    const faults = await get(done.file);
    expect(faults.headers.get("content-type")).toBe("text/csv; charset=utf-8");
    expect(faults.headers.get("content-disposition")).toContain("attachment");
    expect(faults.headers.get("x-content-type-options")).toBe("nosniff");
    expect(await faults.text()).toBe(
      '"row","message"\r\n"121","price is needed for a new variant"\r\n"122","is not valid JSON"\r\n',
    );
    expect((await get(`/api/products/export/${started.id}`)).status).toBe(404);
  }, 60_000);

  test("the same key and file is the same job, and leaves one file; another file is 422", async () => {
    const headers = { "idempotency-key": "import-2" };
    const first = await dataOf(await send(lines("Once", 2), { headers }), 202);
    const before = await files();
    const again = await send(lines("Once", 2), { headers });
    expect(again.headers.get("idempotency-replayed")).toBe("true");
    expect((await dataOf(again, 202)).id).toBe(first.id);
    expect((await send(lines("Other", 2), { headers })).status).toBe(422);
    expect(await files()).toEqual(before);
    await t.runner.runDue();
  }, 60_000);

  test("a dry run and CSV", async () => {
    const csv = "sku,name,price\nDRY-1,Dry,1\n";
    const dry = await dataOf(await send(csv, { type: "text/csv", query: "?dryRun=true" }), 202);
    await t.runner.runDue();
    expect(await read("import", dry.id)).toMatchObject({
      dryRun: true,
      format: "csv",
      result: { created: 1 },
    });
    expect(await t.deps.products.findBySku("dry-1")).toBeNull();
  }, 60_000);

  test("what is refused leaves nothing behind", async () => {
    const before = await files();
    expect((await send("x", { type: "" })).status).toBe(415);
    expect((await send("x", { type: "application/json" })).status).toBe(415);
    expect((await send("")).status).toBe(422);
    expect((await send(null)).status).toBe(422);
    expect((await send("x", { query: "?dryRun=yes" })).status).toBe(422);
    expect((await send("x", { query: "?file=/etc/passwd" })).status).toBe(422);
    const customer = await t.signIn();
    expect((await send("x", { token: customer.accessToken })).status).toBe(403);
    for (const path of [PATH, "/api/products/export"]) {
      const id = t.deps.random.id();
      for (const more of ["", "/events", path === PATH ? "/faults" : "/file"]) {
        expect((await t.request(`${path}/${id}${more}`)).status).toBe(401);
        expect((await t.request(`${path}/${id}${more}`, { token: customer.accessToken })).status).toBe(403);
        expect((await get(`${path}/${id}${more}`)).status).toBe(404);
        expect((await get(`${path}/..%2fx${more}`)).status).toBe(422);
      }
    }
    expect(await files()).toEqual(before);
  }, 60_000);

  test("too large: by its length before it is read, and while it is read; broken off; not signed in", async () => {
    const before = await files();
    const endless = (fail = false) => {
      let read = 0;
      const body = new ReadableStream<Uint8Array>(
        {
          pull(controller) {
            read++;
            if (fail && read > 3) controller.error(new Error("the connection broke"));
            else controller.enqueue(new Uint8Array(1024 * 1024));
          },
        },
        { highWaterMark: 1 },
      );
      return { body, read: () => read };
    };
    const told = endless();
    expect((await send(told.body, { headers: { "content-length": "300000000" } })).status).toBe(413);
    expect(told.read()).toBeLessThanOrEqual(2);
    const stranger = endless();
    expect((await send(stranger.body, { token: "x" })).status).toBe(401);
    expect(stranger.read()).toBeLessThanOrEqual(2);
    const untold = endless();
    expect((await send(untold.body)).status).toBe(413);
    expect(untold.read()).toBeLessThanOrEqual(260);
    expect((await send(endless(true).body)).status).toBe(400);
    expect(await files()).toEqual(before);
  }, 60_000);

  test("a process that dies between the file and the record: a job removes the file", async () => {
    const before = await files();
    const undo = around(t.deps.bulk, "create", {
      before: () => {
        throw new Error("the process died here");
      },
    });
    const remove = around(t.deps.bulk, "findById", {
      before: () => {
        throw new Error("and does not come to clean up");
      },
    });
    expect((await send(lines("Dead", 1))).status).toBe(500);
    undo();
    remove();
    expect((await files()).length).toBeGreaterThan(before.length);
    t.clock.advance(7 * HOUR);
    await t.runner.runDue();
    expect(await files()).toEqual(before);
    manager = await t.signIn({ roles: ["manager"] });
  }, 60_000);

  test("the process is killed in the middle: another goes on, and each product is there once", async () => {
    const server = await startServer({ STORAGE_DIR: t.deps.config.storageDir });
    const count = 1500;
    const answer = await fetch(`${server.address}${PATH}`, {
      method: "POST",
      headers: { authorization: `Bearer ${manager.accessToken}`, "content-type": NDJSON },
      body: lines("Killed", count),
    });
    const { id } = await dataOf(answer, 202);
    const before = await t.deps.products.count();
    await eventually(
      async () => ((await read("import", id)).result?.created ?? 0) >= 300,
      "a part of the import",
    );
    await server.kill("SIGKILL");
    const half = await read("import", id);
    expect(half.status).toBe("running");
    expect(half.result?.created).toBeLessThan(count);
    // Its lease runs out.
    t.clock.advance(MINUTE);
    await t.runner.runDue();
    const done = await read("import", id);
    expect(done.status).toBe("done");
    const { created = 0, unchanged = 0, failed, rows } = done.result ?? {};
    expect([rows, failed, created + unchanged]).toEqual([count, 0, count]);
    // What was written and not yet recorded.
    expect(unchanged).toBeLessThanOrEqual(50);
    expect(await t.deps.products.count()).toBeGreaterThanOrEqual(before);
    expect(await t.deps.products.findBySku(`killed-${count - 1}`)).not.toBeNull();
    const skus = Array.from({ length: count }, (_, n) => `killed-${n}`);
    expect(await t.deps.products.findBySkus(skus)).toHaveLength(count);
  }, 120_000);
});

describe("the events of a job", () => {
  test("tell its progress and its end", async () => {
    const { id } = await dataOf(await send(lines("Watched", 200)), 202);
    const answer = await get(`${PATH}/${id}/events`);
    expect(answer.headers.get("content-type")).toContain("text/event-stream");
    const [text] = await Promise.all([answer.text(), t.runner.runDue()]);
    const told = text
      .split("\n\n")
      .filter((message) => message.startsWith("event:"))
      .map((message) => {
        const [, event = "", data = ""] = /^event: (\w+)\ndata: (.*)$/.exec(message) ?? [];
        return { event, data: JSON.parse(data) as BulkResponse };
      });
    expect(told[0]).toMatchObject({ event: "progress", data: { id, status: "waiting" } });
    expect(told.at(-1)).toMatchObject({ event: "end", data: { status: "done", result: { created: 200 } } });
  }, 60_000);

  test("a silent one sends a heartbeat, and ends with its signal", async () => {
    const { id } = await dataOf(await send(lines("Silent", 1)), 202);
    const over = new AbortController();
    const seen: (string | undefined)[] = [];
    for await (const message of watchBulk(t.deps, "import", id, over.signal, { every: 1, heartbeat: 1 })) {
      seen.push(message?.event);
      if (seen.length === 3) over.abort();
    }
    expect(seen).toEqual(["progress", undefined, undefined]);
    await t.runner.runDue();
  });
});

describe("an export over HTTP", () => {
  test.each(["csv", "ndjson"] as const)(
    "%s: a job, a file, and an import of it changes nothing",
    async (format) => {
      const { id } = await exportAll({ format });
      expect((await get(`/api/products/export/${id}/file`)).status).toBe(409);
      await t.runner.runDue();
      const done = await read("export", id);
      const products = await t.deps.products.count();
      expect(done).toMatchObject({
        kind: "export",
        status: "done",
        progress: { done: products, total: products },
      });
      const answer = await get(done.file);
      expect(answer.headers.get("content-disposition")).toMatch(
        /^attachment; filename="products-[0-9-]{10}\.\w+"$/,
      );
      expect(answer.headers.get("x-content-type-options")).toBe("nosniff");
      const type = answer.headers.get("content-type") ?? "";
      const bytes = await answer.bytes();
      expect(bytes.length).toBe(Number(answer.headers.get("content-length")));
      const again = await dataOf(await send(bytes, { type }), 202);
      await t.runner.runDue();
      expect((await read("import", again.id)).result).toMatchObject({ unchanged: products, failed: 0 });
    },
    60_000,
  );

  test("of one status; unknown formats are refused", async () => {
    const made = await t.request("/api/products", {
      method: "POST",
      token: manager.accessToken,
      json: { name: "A draft", price: 1, status: "draft" },
    });
    const { slug } = ((await made.json()) as { data: ProductResponse }).data;
    const { id } = await exportAll({ format: "ndjson", status: "draft" });
    await t.runner.runDue();
    const text = await (await get((await read("export", id)).file)).text();
    expect(
      text
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line).slug),
    ).toEqual([slug]);
    for (const json of [{ format: "xlsx" }, {}, { format: "csv", path: "/tmp/x" }]) {
      const answer = await t.request("/api/products/export", {
        method: "POST",
        json,
        token: manager.accessToken,
      });
      expect(answer.status).toBe(422);
    }
  }, 60_000);

  test("after a week a job and its files are gone", async () => {
    const { id } = await exportAll({ format: "csv" });
    await t.runner.runDue();
    const { file } = await read("export", id);
    t.clock.advance(8 * DAY);
    await t.runner.runDue();
    manager = await t.signIn({ roles: ["manager"] });
    expect((await get(file)).status).toBe(404);
    expect((await get(`/api/products/export/${id}`)).status).toBe(404);
    expect(await files()).toEqual([]);
    expect(await t.deps.mongo.connection.collection("bulkFaults").countDocuments({})).toBe(0);
  }, 60_000);
});
