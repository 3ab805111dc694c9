/** What callers are told while stored files are out of reach. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { createDiskStorage } from "../../src/storage/disk";
import { createS3Storage } from "../../src/storage/s3";
import type { Storage } from "../../src/storage/storage";
import { useTestApp } from "../app";

const t = useTestApp();
let folder: string;
let real: Storage;
let productId: string;
let picture: Uint8Array<ArrayBuffer>;
/** Takes connections and says nothing. */
const silent = Bun.listen({ hostname: "localhost", port: 0, socket: { data: () => undefined } });

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "aizy-away-"));
  real = t.deps.storage;
  const manager = await t.signIn({ roles: ["manager"] });
  const made = await t.client.api.products.$post({ json: { name: "Pictured", price: 100 } }, manager.auth);
  productId = ((await made.json()) as { data: { id: string } }).data.id;
  const drawing = sharp({ create: { width: 40, height: 40, channels: 3, background: "red" } });
  picture = new Uint8Array(await drawing.png().toBuffer());
});
afterAll(async () => {
  silent.stop(true);
  await rm(folder, { recursive: true });
});

const form = (fields: Record<string, string> = {}) => {
  const body = new FormData();
  body.set("file", new File([picture], "a.png"));
  for (const [name, value] of Object.entries(fields)) body.set(name, value);
  return body;
};
/** Every file below a folder. */
const filesIn = async (path: string) =>
  (await readdir(path, { recursive: true, withFileTypes: true }).catch(() => []))
    .filter((entry) => entry.isFile())
    .map(({ name }) => name);

const s3 = (port: number) =>
  createS3Storage({
    endpoint: `http://localhost:${port}`,
    region: "auto",
    bucket: "bucket",
    accessKeyId: "id",
    secretAccessKey: "a secret of tests",
  });

/** A folder of which each part that is written to is a file: nothing can be made there. */
async function spoiltFolder(): Promise<Storage> {
  for (const name of ["avatars", "images", "bulk"]) await writeFile(join(folder, name), "");
  return createDiskStorage(folder, t.deps.random);
}

test.each<[string, () => Storage | Promise<Storage>]>([
  ["an S3-compatible store refuses connections", () => s3(1)],
  ["an S3-compatible store says nothing", () => s3(silent.port)],
  ["a disk refuses to write", spoiltFolder],
])("%s: uploads are 503 with Retry-After, soon, and leave nothing", async (_, open) => {
  const person = await t.signIn({ roles: ["manager"] });
  const send = (method: string, path: string, body: BodyInit, headers = {}) =>
    t.request(path, { method, body, headers, token: person.accessToken });
  const uploads: [string, () => Promise<Response>][] = [
    ["avatar", () => send("PUT", "/api/users/me/avatar", form())],
    ["picture", () => send("POST", `/api/products/${productId}/images`, form({ alt: "Red" }))],
    [
      "import",
      () =>
        send("POST", "/api/products/import", JSON.stringify({ sku: "A", name: "A", price: 1 }), {
          "content-type": "application/x-ndjson",
        }),
    ],
  ];
  t.deps.storage = await open();
  try {
    for (const [what, upload] of uploads) {
      // Before three seconds; the guard is above what a busy machine adds.
      const answer = (await Promise.race([upload(), Bun.sleep(9000)])) as Response | undefined;
      expect([what, answer?.status, answer?.headers.get("retry-after")]).toEqual([what, 503, "5"]);
      expect(await answer?.json()).toMatchObject({ code: "service_unavailable" });
    }
  } finally {
    t.deps.storage = real;
  }
  expect((await t.deps.users.findById(person.id))?.avatarId).toBeNull();
  expect(await t.deps.pictures.ofProduct(productId)).toEqual([]);
  expect((await filesIn(folder)).filter((name) => !["avatars", "images", "bulk"].includes(name))).toEqual([]);
  // It is back: the same works.
  expect((await uploads[0]?.[1]())?.status).toBe(200);
});

test("a stored picture is 503 while the store is away, and there again afterwards", async () => {
  const person = await t.signIn();
  const set = { method: "PUT", body: form(), token: person.accessToken };
  const { data } = await (await t.request("/api/users/me/avatar", set)).json();
  const { pathname } = new URL(data.avatar.sources[0].url, "http://localhost");
  t.deps.storage = s3(silent.port);
  try {
    const answer = (await Promise.race([t.request(pathname), Bun.sleep(9000)])) as Response | undefined;
    expect([answer?.status, answer?.headers.get("retry-after")]).toEqual([503, "5"]);
  } finally {
    t.deps.storage = real;
  }
  expect((await t.request(pathname)).status).toBe(200);
});
