import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { createHash, createHmac } from "node:crypto";
import { mkdtemp, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../lib/clock";
import { createRandom } from "../lib/random";
import { createDiskStorage } from "./disk";
import { createS3Storage } from "./s3";
import { type Storage, StorageUnavailable } from "./storage";

const KEYS = { accessKeyId: "id", secretAccessKey: "a secret of tests" };

/** Characters that RFC 3986 does not leave alone are escaped, as the signature wants them. */
const encoded = (text: string) =>
  encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);

/** Whether a request is signed with our secret (AWS Signature Version 4, as its documentation describes it). */
function isSigned(request: Request): boolean {
  const authorization = request.headers.get("authorization") ?? "";
  const [, scope = "", names = "", signature = ""] =
    /^AWS4-HMAC-SHA256 Credential=id\/([^,]+), ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$/.exec(
      authorization,
    ) ?? [];
  const url = new URL(request.url);
  const query = [...url.searchParams]
    .map(([name, value]) => `${encoded(name)}=${encoded(value)}`)
    .sort()
    .join("&");
  const canonical = [
    request.method,
    url.pathname,
    query,
    ...names.split(";").map((name) => `${name}:${request.headers.get(name)?.trim()}`),
    "",
    names,
    request.headers.get("x-amz-content-sha256"),
  ].join("\n");
  const text = [
    "AWS4-HMAC-SHA256",
    request.headers.get("x-amz-date"),
    scope,
    createHash("sha256").update(canonical).digest("hex"),
  ].join("\n");
  const key = scope
    .split("/")
    .reduce<Buffer | string>(
      (secret, part) => createHmac("sha256", secret).update(part).digest(),
      `AWS4${KEYS.secretAccessKey}`,
    );
  return createHmac("sha256", key).update(text).digest("hex") === signature;
}

/** As much of S3 as Bun's client asks for, in memory, over real HTTP; every request must be signed. */
function startS3() {
  const objects = new Map<string, Uint8Array>();
  const uploads = new Map<string, Map<number, Uint8Array>>();
  const types = new Map<string, string>();
  /** What it makes of a request in place of its answer; undefined leaves it that. */
  const instead: { of?: ((request: Request) => Promise<Response> | undefined) | undefined } = {};
  const xml = (text: string) =>
    new Response(`<?xml version="1.0"?>${text}`, { headers: { "content-type": "application/xml" } });
  const server = Bun.serve({
    port: 0,
    maxRequestBodySize: 64 * 1024 * 1024,
    async fetch(request) {
      if (!isSigned(request)) {
        return new Response("<Error><Code>SignatureDoesNotMatch</Code></Error>", { status: 403 });
      }
      const replaced = instead.of?.(request);
      if (replaced) return replaced;
      const url = new URL(request.url);
      const key = decodeURIComponent(url.pathname.replace(/^\/bucket\/?/, ""));
      const upload = url.searchParams.get("uploadId");
      if (request.method === "POST" && url.searchParams.has("uploads")) {
        const id = String(uploads.size + 1);
        uploads.set(id, new Map());
        return xml(
          `<InitiateMultipartUploadResult><UploadId>${id}</UploadId></InitiateMultipartUploadResult>`,
        );
      }
      if (upload !== null && request.method === "PUT") {
        uploads.get(upload)?.set(Number(url.searchParams.get("partNumber")), await request.bytes());
        return new Response(null, { headers: { etag: '"part"' } });
      }
      if (upload !== null && request.method === "POST") {
        const parts = [...(uploads.get(upload) ?? [])].sort(([a], [b]) => a - b).map(([, bytes]) => bytes);
        objects.set(key, new Uint8Array(Buffer.concat(parts)));
        uploads.delete(upload);
        return xml("<CompleteMultipartUploadResult/>");
      }
      if (upload !== null && request.method === "DELETE") {
        uploads.delete(upload);
        return new Response(null, { status: 204 });
      }
      if (request.method === "PUT") {
        objects.set(key, await request.bytes());
        types.set(key, request.headers.get("content-type") ?? "");
        return new Response(null, { headers: { etag: '"x"' } });
      }
      if (request.method === "DELETE") {
        objects.delete(key);
        return new Response(null, { status: 204 });
      }
      if (key === "") {
        const prefix = url.searchParams.get("prefix") ?? "";
        const found = [...objects.keys()].filter((name) => name.startsWith(prefix));
        const contents = found.map((name) => `<Contents><Key>${name}</Key></Contents>`).join("");
        return xml(`<ListBucketResult><IsTruncated>false</IsTruncated>${contents}</ListBucketResult>`);
      }
      const object = objects.get(key);
      if (!object) return new Response("<Error><Code>NoSuchKey</Code></Error>", { status: 404 });
      return new Response(request.method === "HEAD" ? null : new Uint8Array(object), {
        headers: { "content-length": String(object.length), etag: '"x"' },
      });
    },
  });
  return { server, objects, uploads, types, instead };
}

const s3 = startS3();
const settings = {
  endpoint: `http://localhost:${s3.server.port}`,
  region: "auto",
  bucket: "bucket",
  ...KEYS,
};
const folder = await mkdtemp(join(tmpdir(), "aizy-storage-"));
afterAll(async () => {
  await s3.server.stop(true);
  await rm(folder, { recursive: true });
});

async function* pieces(count: number, size: number, fail = false) {
  for (let n = 0; n < count; n++) yield new Uint8Array(size).fill(n);
  if (fail) throw new Error("the sender went away");
}

/** What a call comes to, for as long as its caller would wait; far above the limits, for a busy machine. */
const outcome = (call: Promise<unknown>): Promise<unknown> =>
  Promise.race([
    call.then(
      () => "done",
      (error: unknown) => error,
    ),
    Bun.sleep(9000).then(() => "no answer"),
  ]);

const CALLS: Record<string, (storage: Storage) => Promise<unknown>> = {
  put: (storage) => storage.put("away/a", new Uint8Array(100), "image/webp"),
  putStream: (storage) => storage.putStream("away/b", pieces(1, 100), "text/csv"),
  "putStream of several parts": (storage) => storage.putStream("away/c", pieces(20, 1024 * 1024), "text/csv"),
  get: (storage) => storage.get("away/d"),
  removeAll: (storage) => storage.removeAll("away"),
};

/** A real S3-compatible server, when one is named: S3_TEST_ENDPOINT, with the bucket and keys of these tests. */
const real = process.env.S3_TEST_ENDPOINT;
const stores: [string, () => Storage][] = [
  ["a folder", () => createDiskStorage(folder, createRandom(systemClock))],
  ["an S3-compatible store", () => createS3Storage(settings)],
  ...(real
    ? [
        ["a real S3-compatible server", () => createS3Storage({ ...settings, endpoint: real })] as [
          string,
          () => Storage,
        ],
      ]
    : []),
];

describe.each(stores)("%s", (_, open) => {
  let storage: Storage;
  beforeAll(() => {
    storage = open();
  });
  const bytesOf = async (key: string) => {
    const stored = await storage.get(key);
    return stored && new Response(stored.body).bytes();
  };

  test("what is put is given out, replaced, and removed with its folder alone", async () => {
    const bytes = crypto.getRandomValues(new Uint8Array(5000));
    await storage.put("images/a/1.webp", new Uint8Array(3), "image/webp");
    await storage.put("images/a/1.webp", bytes, "image/webp");
    await storage.put("images/ab/1.webp", bytes, "image/webp");
    expect((await storage.get("images/a/1.webp"))?.size).toBe(5000);
    expect(await bytesOf("images/a/1.webp")).toEqual(bytes);
    expect(await storage.get("images/none")).toBeNull();
    await storage.removeAll("images/a");
    expect(await storage.get("images/a/1.webp")).toBeNull();
    expect(await bytesOf("images/ab/1.webp")).toEqual(bytes);
    await storage.removeAll("images/none");
  });

  test("a stream is stored whole, also one of several parts, and an empty one", async () => {
    expect(await storage.putStream("bulk/a/source", pieces(20, 1024 * 1024), "text/csv")).toBe(
      20 * 1024 * 1024,
    );
    const bytes = await bytesOf("bulk/a/source");
    expect(bytes?.length).toBe(20 * 1024 * 1024);
    for (let n = 0; n < 20; n++) expect(bytes?.[n * 1024 * 1024 + 5]).toBe(n);
    expect(await storage.putStream("bulk/a/small", pieces(3, 10), "text/csv")).toBe(30);
    expect((await bytesOf("bulk/a/small"))?.length).toBe(30);
  }, 60_000);

  test("a stream that breaks off leaves nothing", async () => {
    for (const count of [0, 2, 20]) {
      await expect(
        storage.putStream("bulk/b/source", pieces(count, 1024 * 1024, true), "text/csv"),
      ).rejects.toThrow("the sender went away");
      expect(await storage.get("bulk/b/source")).toBeNull();
    }
  }, 60_000);

  test("keys that the application would not make are refused", async () => {
    for (const key of ["", "/etc/x", "../x", "a/../b", "a//b", "A", "a\u0000", ".draft", "a/.b"]) {
      await expect(storage.put(key, new Uint8Array(1), "image/webp")).rejects.toThrow("internal_error");
      await expect(storage.putStream(key, pieces(1, 1), "image/webp")).rejects.toThrow("internal_error");
      await expect((async () => storage.get(key))()).rejects.toThrow("internal_error");
    }
  });
});

test("a folder keeps no drafts of what broke off", async () => {
  const names = await readdir(folder, { recursive: true });
  expect(names.filter((name) => name.includes(".draft"))).toEqual([]);
});

test("S3: types are kept, no upload stays open, and another secret is refused", async () => {
  const storage = createS3Storage(settings);
  await storage.put("images/t/1.webp", new Uint8Array(1), "image/webp");
  expect(s3.types.get("images/t/1.webp")).toBe("image/webp");
  expect(s3.uploads.size).toBe(0);
  const stranger = createS3Storage({ ...settings, secretAccessKey: "another secret" });
  await expect(stranger.put("images/x", new Uint8Array(1), "image/webp")).rejects.toThrow();
  expect(s3.objects.has("images/x")).toBe(false);
});

describe("an S3-compatible store that is away", () => {
  afterEach(() => {
    s3.instead.of = undefined;
  });

  test.each(Object.keys(CALLS))("%s: refused, and without a word", async (name) => {
    const silent = Bun.listen({ hostname: "localhost", port: 0, socket: { data: () => undefined } });
    const gone = Bun.listen({ hostname: "localhost", port: 0, socket: { data: () => undefined } });
    gone.stop(true);
    try {
      for (const { port } of [gone, silent]) {
        const storage = createS3Storage({ ...settings, endpoint: `http://localhost:${port}` });
        expect(await outcome(CALLS[name]?.(storage) as Promise<unknown>)).toBeInstanceOf(StorageUnavailable);
      }
    } finally {
      silent.stop(true);
    }
  });

  test("an error of its own, such as too many requests or no permission, is the same", async () => {
    for (const [status, code] of [
      [503, "SlowDown"],
      [403, "AccessDenied"],
    ] as const) {
      s3.instead.of = async () => new Response(`<Error><Code>${code}</Code></Error>`, { status });
      const storage = createS3Storage(settings);
      for (const call of ["put", "removeAll"])
        expect(await outcome(CALLS[call]?.(storage) as Promise<unknown>)).toMatchObject({
          name: "StorageUnavailable",
        });
    }
  });

  test("one that answers everybody else but makes no progress with a file", async () => {
    s3.instead.of = (request) => (request.method === "PUT" ? new Promise(() => undefined) : undefined);
    const storage = createS3Storage(settings);
    expect(await outcome(storage.put("away/a", new Uint8Array(1), "image/webp"))).toBeInstanceOf(
      StorageUnavailable,
    );
  });

  test("a body that stands still ends with an error; one that is only slow comes whole", async () => {
    let left = 0;
    let stands = false;
    s3.instead.of = (request) => {
      if (request.method !== "GET") return undefined;
      const body = new ReadableStream({
        async pull(controller) {
          if (left === 0 && stands) return new Promise(() => undefined);
          await Bun.sleep(100);
          controller.enqueue(new Uint8Array(1000));
          if (--left === 0 && !stands) controller.close();
        },
      });
      return Promise.resolve(new Response(body));
    };
    const storage = createS3Storage(settings);
    s3.objects.set("slow", new Uint8Array(40_000));
    const read = async () => new Response((await storage.get("slow"))?.body).bytes();
    left = 40;
    expect((await read()).length).toBe(40_000);
    left = 5;
    stands = true;
    expect(await outcome(read())).toBeInstanceOf(StorageUnavailable);
  }, 60_000);
});

describe("a folder on a disk that fails", () => {
  test("says so at each call, whatever the reason, and not as an error of the sender", async () => {
    const broken = await mkdtemp(join(tmpdir(), "aizy-storage-"));
    try {
      const storage = createDiskStorage(broken, createRandom(systemClock));
      // A file where a folder should be: no folder can be made in it.
      await writeFile(join(broken, "away"), "");
      for (const call of ["put", "putStream"])
        expect(await outcome(CALLS[call]?.(storage) as Promise<unknown>)).toMatchObject({
          name: "StorageUnavailable",
          code: expect.stringMatching(/^E[A-Z]+$/),
          isFull: false,
        });
      // A name that points to itself cannot be followed (ELOOP).
      await symlink("loop", join(broken, "loop"));
      expect(await outcome(storage.get("loop"))).toBeInstanceOf(StorageUnavailable);
      await expect(storage.putStream("a/b", pieces(1, 1, true), "text/csv")).rejects.toThrow(
        "the sender went away",
      );
    } finally {
      await rm(broken, { recursive: true });
    }
  });

  test.skipIf(process.platform !== "linux")("says so while a file is read (needs Linux)", async () => {
    // The kernel answers EIO to whoever reads there.
    await symlink("/proc/self/mem", join(folder, "unreadable"));
    const stored = await createDiskStorage(folder, createRandom(systemClock)).get("unreadable");
    expect(await outcome(new Response(stored?.body).bytes())).toMatchObject({
      name: "StorageUnavailable",
      code: "EIO",
    });
  });
});
