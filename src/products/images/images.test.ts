import { beforeAll, describe, expect, test } from "bun:test";
import { readdir } from "node:fs/promises";
import { createConnection } from "node:net";
import { join } from "node:path";
import { deflateSync } from "node:zlib";
import sharp from "sharp";
import { type SignedInPerson, useTestApp } from "../../../test/app";
import { around, gate } from "../../../test/interleave";
import { startServer } from "../../../test/processes";
import { MINUTE } from "../../lib/clock";
import type { AppError } from "../../lib/errors";
import { encodeAvif, inTurn } from "../../media/picture";
import { readBody } from "../../media/upload";
import type { PictureResponse } from "./schema";

const t = useTestApp();
let manager: SignedInPerson;
let productId: string;
beforeAll(async () => {
  manager = await t.signIn({ roles: ["manager"] });
  const made = await t.client.api.products.$post({ json: { name: "Pictured", price: 100 } }, manager.auth);
  if (made.status !== 201) throw new Error(await made.text());
  productId = (await made.json()).data.id;
});

/** A product of its own: one has at most 30 pictures. */
const another = async (): Promise<string> => {
  const made = await t.client.api.products.$post({ json: { name: "Another", price: 100 } }, manager.auth);
  if (made.status !== 201) throw new Error(await made.text());
  return (await made.json()).data.id;
};

const drawing = (width = 900, height = 600) =>
  sharp({ create: { width, height, channels: 3, background: { r: 200, g: 60, b: 20 } } });
const upload = (bytes: Uint8Array, name = "a.png", headers: Record<string, string> = {}, id = productId) => {
  const form = new FormData();
  form.set("file", new File([new Uint8Array(bytes)], name));
  form.set("alt", "A test");
  return t.request(`/api/products/${id}/images`, {
    method: "POST",
    body: form,
    token: manager.accessToken,
    headers,
  });
};
const added = async (answer: Response): Promise<PictureResponse> => {
  expect(answer.status).toBe(201);
  return ((await answer.json()) as { data: PictureResponse }).data;
};
const list = async () =>
  ((await (await t.request(`/api/products/${productId}/images`)).json()) as { data: PictureResponse[] }).data;
/** Every file that storage holds. */
const files = async () => {
  const folder = t.deps.config.storageDir;
  return (await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []))
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort();
};

describe("a picture", () => {
  test.each(["jpeg", "png", "webp", "avif"] as const)(
    "that is a %s is kept as WebP in its widths and as AVIF by a job",
    async (format) => {
      const picture = await added(
        await upload(await drawing().toFormat(format).toBuffer(), `photo.${format}`),
      );
      expect(picture).toMatchObject({ width: 900, height: 600, alt: "A test" });
      expect(picture.sources.map(({ type, width }) => [type, width])).toEqual([
        ["image/webp", 320],
        ["image/webp", 640],
        ["image/webp", 900],
      ]);
      await t.runner.runDue();
      const [later] = (await list()).filter(({ id }) => id === picture.id);
      expect(later?.sources.filter(({ type }) => type === "image/avif").map(({ width }) => width)).toEqual([
        320, 640, 900,
      ]);
      for (const source of later?.sources ?? []) {
        const answer = await t.request(source.url);
        expect(answer.status).toBe(200);
        expect(answer.headers.get("content-type")).toBe(source.type);
        expect(answer.headers.get("x-content-type-options")).toBe("nosniff");
        expect(answer.headers.get("cache-control")).toContain("immutable");
        const bytes = await answer.bytes();
        expect(bytes.length).toBe(Number(answer.headers.get("content-length")));
        const { width, format: kept } = await sharp(bytes).metadata();
        expect([width, kept === "heif" ? "image/avif" : `image/${kept}`]).toEqual([
          source.width,
          source.type,
        ]);
        const etag = answer.headers.get("etag") ?? "";
        expect((await t.request(source.url, { headers: { "if-none-match": etag } })).status).toBe(304);
      }
    },
    60_000,
  );

  test("loses its metadata and is turned upright", async () => {
    const bytes = await drawing(800, 400)
      .withExif({ IFD0: { Copyright: "Somebody" }, IFD3: { GPSLatitude: "52/1 30/1 0/1" } })
      .withMetadata({ orientation: 6 })
      .jpeg()
      .toBuffer();
    const picture = await added(await upload(bytes, "gps.jpg"));
    expect([picture.width, picture.height]).toEqual([400, 800]);
    const kept = await (await t.request(picture.sources[0]?.url ?? "")).bytes();
    const { exif, xmp, icc } = await sharp(kept).metadata();
    expect([exif, xmp, icc]).toEqual([undefined, undefined, undefined]);
  });

  test("is never made larger, and a large one is kept at 1920 at most", async () => {
    expect(
      (await added(await upload(await drawing(50, 40).png().toBuffer()))).sources.map(({ width }) => width),
    ).toEqual([50]);
    const large = await added(await upload(await drawing(3000, 1000).png().toBuffer()));
    expect(large.sources.map(({ width }) => width)).toEqual([320, 640, 1280, 1920]);
  });

  test("a tall one, such as a long screenshot, is made as high as WebP and AVIF can be", async () => {
    const picture = await added(await upload(await drawing(20, 17_000).png().toBuffer()));
    expect([picture.width, picture.height]).toEqual([19, 16_383]);
    await t.runner.runDue();
    const kept = (await list()).find(({ id }) => id === picture.id);
    expect(kept?.sources.map(({ type }) => type)).toEqual(["image/avif", "image/webp"]);
    const narrow = await added(await upload(await drawing(1, 40_000).png().toBuffer()));
    expect([narrow.width, narrow.height]).toEqual([1, 16_383]);
  }, 60_000);

  test("whose data looks like the beginning of a tag by chance is taken", async () => {
    const chance = [
      "<svG\x93\xf1",
      "<SVG>\x07;\x9a)",
      "<svg a\x1bx",
      "<bOdY\xe2",
      "<hTml/\x85zz",
      "<?PhP\x80",
    ];
    const pixels = Buffer.alloc(100 * 100 * 3, 0x5a);
    for (const [index, text] of chance.entries()) pixels.write(text, 3000 * (index + 1), "latin1");
    const bytes = await sharp(pixels, { raw: { width: 100, height: 100, channels: 3 } })
      .png({ compressionLevel: 0 })
      .toBuffer();
    for (const text of chance) expect(bytes.toString("latin1")).toContain(text);
    await added(await upload(bytes));
  });

  test("the name that was sent has no effect", async () => {
    const bytes = await drawing(60, 60).png().toBuffer();
    const own = await another();
    for (const name of ["a.jfif", "a.jpe", "IMG.2026.11.05", "v1.2 final.copy", "a.", "photo.gif"]) {
      await added(await upload(bytes, name, {}, own));
    }
    for (const name of ["../../etc/x", "..\\..\\x", "/etc/passwd", "ünïcode ☃.png", "x".repeat(500)]) {
      await added(await upload(bytes, name));
    }
    for (const file of await files()) expect(file).toMatch(/^images\/[0-9a-f-]{36}\/\d+\.(webp|avif)$/);
  });

  test("an upload repeated with its Idempotency-Key is one picture, though its form has another boundary", async () => {
    const bytes = await drawing(70, 70).png().toBuffer();
    const before = (await list()).length;
    const first = await added(await upload(bytes, "a.png", { "idempotency-key": "picture-1" }));
    const again = await upload(bytes, "a.png", { "idempotency-key": "picture-1" });
    expect(again.headers.get("idempotency-replayed")).toBe("true");
    expect((await added(again)).id).toBe(first.id);
    expect(await list()).toHaveLength(before + 1);
    const other = await upload(await drawing(71, 71).png().toBuffer(), "a.png", {
      "idempotency-key": "picture-1",
    });
    expect(other.status).toBe(422);
    const form = new FormData();
    form.set("file", new File([new Uint8Array(bytes)], "a.png"));
    form.set("alt", "Another text");
    const retold = await t.request(`/api/products/${productId}/images`, {
      method: "POST",
      body: form,
      token: manager.accessToken,
      headers: { "idempotency-key": "picture-1" },
    });
    expect(retold.status).toBe(422);
    expect(((await retold.json()) as { code: string }).code).toBe("idempotency_key_reused");
  });

  test("has a text of UTF-8: other bytes are refused, not replaced", async () => {
    const before = (await list()).length;
    const form = new FormData();
    form.set("file", new File([new Uint8Array(await drawing(40, 40).png().toBuffer())], "a.png"));
    form.set("alt", "caf\u00e9");
    const { headers, body } = new Request("http://localhost", { method: "POST", body: form });
    const latin1 = Buffer.from(await new Response(body).arrayBuffer())
      .toString("latin1")
      .replace("caf\u00c3\u00a9", "caf\u00e9");
    const refused = await t.request(`/api/products/${productId}/images`, {
      method: "POST",
      body: Buffer.from(latin1, "latin1"),
      headers: { "content-type": headers.get("content-type") ?? "" },
      token: manager.accessToken,
    });
    expect(refused.status).toBe(422);
    expect((await refused.json()) as object).toMatchObject({
      errors: [{ path: "alt", message: "must be UTF-8 text" }],
    });
    expect(await list()).toHaveLength(before);
  });

  test("may show variants of its product, and no others'", async () => {
    const own = await another();
    const picture = await added(await upload(await drawing(50, 50).png().toBuffer(), "a.png", {}, own));
    expect(picture.variantIds).toEqual([]);
    const product = await t.deps.products.findById(own);
    const variantId = product?.variants[0]?._id ?? "";
    const change = (variantIds: string[]) =>
      t.request(`/api/products/${own}/images/${picture.id}`, {
        method: "PATCH",
        token: manager.accessToken,
        json: { variantIds },
      });
    expect((await change([variantId.toUpperCase(), variantId])).status).toBe(200);
    const listed = await (await t.request(`/api/products/${own}/images`)).json();
    expect(listed).toMatchObject({ data: [{ id: picture.id, variantIds: [variantId] }] });
    const foreign = await change([crypto.randomUUID()]);
    const { errors } = (await foreign.json()) as { errors: { path: string }[] };
    expect([foreign.status, errors[0]?.path]).toEqual([422, "variantIds.0"]);
  });
});

describe("what is refused leaves nothing behind", () => {
  /** A PNG that says it has this size; its pixels are not there. */
  const bomb = (width: number, height: number) => {
    const crc = (bytes: Buffer) => {
      let value = ~0;
      for (const byte of bytes) {
        value ^= byte;
        for (let bit = 0; bit < 8; bit++) value = (value >>> 1) ^ (value & 1 ? 0xedb88320 : 0);
      }
      return ~value >>> 0;
    };
    const chunk = (type: string, data: Buffer) => {
      const content = Buffer.concat([Buffer.from(type), data]);
      const bytes = Buffer.alloc(content.length + 8);
      bytes.writeUInt32BE(data.length, 0);
      content.copy(bytes, 4);
      bytes.writeUInt32BE(crc(content), content.length + 4);
      return bytes;
    };
    const header = Buffer.alloc(13);
    header.writeUInt32BE(width, 0);
    header.writeUInt32BE(height, 4);
    header.set([8, 2, 0, 0, 0], 8);
    return Buffer.concat([
      Buffer.from("\x89PNG\r\n\x1a\n", "latin1"),
      chunk("IHDR", header),
      chunk("IDAT", deflateSync(Buffer.alloc(100_000))),
      chunk("IEND", Buffer.alloc(0)),
    ]);
  };
  type Case = [string, () => Promise<Uint8Array>, string, number];
  const cases: Case[] = [
    [
      "an SVG with a script",
      async () => Buffer.from("<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>"),
      "a.svg",
      422,
    ],
    [
      "an SVG named as a PNG",
      async () => Buffer.from("<svg xmlns='http://www.w3.org/2000/svg'/>"),
      "a.png",
      422,
    ],
    [
      "a PNG that is also a page",
      async () =>
        Buffer.concat([
          await drawing(40, 40).png().toBuffer(),
          Buffer.from("<html><script>alert(1)</script>"),
        ]),
      "a.png",
      422,
    ],
    ...[
      "<svg/onload=alert(1)>",
      "<?php\n",
      "<BODY onload=alert(1)>",
      "<iframe>",
      "<!doctype html>",
      "<svg>",
    ].map(
      (text): Case => [
        `a PNG with ${text.trim()} behind it`,
        async () => Buffer.concat([await drawing(40, 40).png().toBuffer(), Buffer.from(text)]),
        "a.png",
        422,
      ],
    ),
    [
      "a JPEG with a script in its metadata",
      () =>
        drawing(40, 40)
          .withExif({ IFD0: { Copyright: "<svg onload=alert(1)>" } })
          .jpeg()
          .toBuffer(),
      "a.jpg",
      422,
    ],
    ["a picture named .jpg.php", async () => drawing(40, 40).jpeg().toBuffer(), "a.jpg.php", 422],
    ["a truncated JPEG", async () => (await drawing().jpeg().toBuffer()).subarray(0, 1500), "a.jpg", 422],
    ["a truncated PNG", async () => (await drawing().png().toBuffer()).subarray(0, 300), "a.png", 422],
    ["a bomb of 2.5 gigapixels", async () => bomb(50_000, 50_000), "a.png", 413],
    ["a GIF", async () => Buffer.from("GIF89a\x01\x00\x01\x00\x00\x00\x00;", "latin1"), "a.gif", 422],
    ["no bytes", async () => new Uint8Array(0), "a.png", 422],
    ["text", async () => Buffer.from("hello"), "a.png", 422],
    [
      "11 MB",
      async () => Buffer.concat([Buffer.from("\x89PNG\r\n\x1a\n", "latin1"), Buffer.alloc(11 * 1024 * 1024)]),
      "a.png",
      413,
    ],
  ];
  test.each(cases)(
    "%s",
    async (_, make, name, status) => {
      const before = await files();
      const records = (await list()).length;
      const answer = await upload(await make(), name);
      expect(answer.status).toBe(status);
      expect(answer.headers.get("content-type")).toContain("problem+json");
      expect(await files()).toEqual(before);
      expect(await list()).toHaveLength(records);
    },
    30_000,
  );

  test("forms that are none", async () => {
    const send = (body: BodyInit, type: string) =>
      t.request(`/api/products/${productId}/images`, {
        method: "POST",
        body,
        token: manager.accessToken,
        headers: { "content-type": type },
      });
    expect((await send("{}", "application/json")).status).toBe(415);
    const unfinished = '--x\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n\x89PNG';
    expect((await send(unfinished, "multipart/form-data; boundary=x")).status).toBe(422);
    expect((await send("", "multipart/form-data; boundary=x")).status).toBe(422);
    expect((await send("--y--", "multipart/form-data")).status).toBe(415);
    const text = new FormData();
    text.set("file", "not a file");
    const answer = await t.request(`/api/products/${productId}/images`, {
      method: "POST",
      body: text,
      token: manager.accessToken,
    });
    expect(answer.status).toBe(422);
  });

  test("the length is refused before the body is read", async () => {
    let read = 0;
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        read++;
        controller.enqueue(new Uint8Array(64 * 1024));
      },
    });
    const answer = await t.request(`/api/products/${productId}/images`, {
      method: "POST",
      body,
      duplex: "half",
      token: manager.accessToken,
      headers: { "content-type": "multipart/form-data; boundary=x", "content-length": "20000000" },
    } as never);
    expect(answer.status).toBe(413);
    expect(read).toBeLessThanOrEqual(2);
  });

  test("without a length it is refused while it is read", async () => {
    const before = await files();
    let read = 0;
    const body = new ReadableStream<Uint8Array>(
      {
        pull(controller) {
          read++;
          controller.enqueue(new Uint8Array(64 * 1024));
        },
      },
      { highWaterMark: 1 },
    );
    const answer = await t.request(`/api/products/${productId}/images`, {
      method: "POST",
      body,
      duplex: "half",
      token: manager.accessToken,
      headers: { "content-type": "multipart/form-data; boundary=x" },
    } as never);
    expect(answer.status).toBe(413);
    expect(read).toBeLessThanOrEqual(165);
    expect(await files()).toEqual(before);
  });

  test("whoever may not upload is refused before the body is read", async () => {
    const customer = await t.signIn();
    for (const [method, path, token, status] of [
      ["POST", `/api/products/${productId}/images`, undefined, 401],
      ["POST", `/api/products/${productId}/images`, customer.accessToken, 403],
      ["PUT", "/api/users/me/avatar", undefined, 401],
    ] as const) {
      let read = 0;
      const body = new ReadableStream<Uint8Array>({
        pull(controller) {
          read++;
          controller.enqueue(new Uint8Array(64 * 1024));
        },
      });
      const answer = await t.request(path, {
        method,
        body,
        duplex: "half",
        ...(token === undefined ? {} : { token }),
        headers: { "content-type": "multipart/form-data; boundary=x" },
      } as never);
      expect(answer.status).toBe(status);
      expect(read).toBeLessThanOrEqual(2);
    }
  });

  test("who may not write, and products that are not there", async () => {
    const bytes = await drawing(40, 40).png().toBuffer();
    const customer = await t.signIn();
    const form = new FormData();
    form.set("file", new File([new Uint8Array(bytes)], "a.png"));
    const path = `/api/products/${productId}/images`;
    expect((await t.request(path, { method: "POST", body: form })).status).toBe(401);
    expect((await t.request(path, { method: "POST", body: form, token: customer.accessToken })).status).toBe(
      403,
    );
    expect((await upload(bytes, "a.png", {}, t.deps.random.id())).status).toBe(404);
  });

  test("a process that dies between the files and the record: a job removes the files", async () => {
    await t.runner.runDue();
    const before = await files();
    const undo = around(t.deps.pictures, "create", {
      before: () => {
        throw new Error("the process died here");
      },
    });
    expect((await upload(await drawing(45, 45).png().toBuffer())).status).toBe(500);
    undo();
    expect((await files()).length).toBeGreaterThan(before.length);
    t.clock.advance(16 * MINUTE);
    manager = await t.signIn({ roles: ["manager"] });
    await t.runner.runDue();
    expect(await files()).toEqual(before);
  });
});

describe("the pictures of a product", () => {
  test("keep their order; one is moved, described and removed with its files", async () => {
    const made = await t.client.api.products.$post({ json: { name: "Ordered", price: 100 } }, manager.auth);
    if (made.status !== 201) throw new Error(await made.text());
    const { id } = (await made.json()).data;
    const bytes = await drawing(40, 40).png().toBuffer();
    const pictures: PictureResponse[] = [];
    for (let n = 0; n < 4; n++) pictures.push(await added(await upload(bytes, "a.png", {}, id)));
    const read = async () =>
      ((await (await t.request(`/api/products/${id}/images`)).json()) as { data: PictureResponse[] }).data;
    const last = pictures[3] as PictureResponse;
    const patch = (json: object, headers: Record<string, string> = {}) =>
      t.request(`/api/products/${id}/images/${last.id}`, {
        method: "PATCH",
        json,
        token: manager.accessToken,
        headers,
      });
    expect((await patch({ position: 1, alt: " Näh " }, { "if-match": '"v1"' })).status).toBe(200);
    expect((await read()).map((picture) => picture.id)).toEqual(
      [0, 3, 1, 2].map((index) => pictures[index]?.id ?? ""),
    );
    expect((await read())[1]?.alt).toBe("Näh");
    expect((await patch({ alt: "stale" }, { "if-match": '"v1"' })).status).toBe(412);
    expect((await patch({})).status).toBe(422);
    expect((await patch({ productId: "x" })).status).toBe(422);
    const removed = await t.request(`/api/products/${id}/images/${last.id}`, {
      method: "DELETE",
      token: manager.accessToken,
    });
    expect(removed.status).toBe(204);
    await t.runner.runDue();
    expect((await files()).some((file) => file.includes(last.id))).toBe(false);
    expect((await t.request(last.sources[0]?.url ?? "")).status).toBe(404);
    expect(await read()).toHaveLength(3);
  });

  test("another product's path does not lead to them", async () => {
    const picture = await added(await upload(await drawing(40, 40).png().toBuffer()));
    const other = t.deps.random.id();
    expect((await t.request((picture.sources[0]?.url ?? "").replace(productId, other))).status).toBe(404);
    expect((await t.request(`/api/products/${productId}/images/${picture.id}/..%2f40.webp`)).status).toBe(
      422,
    );
    expect((await t.request(`/api/products/${productId}/images/${picture.id}/41.webp`)).status).toBe(404);
  });

  test("those of a draft are listed to whoever may edit it alone", async () => {
    const made = await t.client.api.products.$post(
      { json: { name: "Not yet", price: 100, status: "draft" } },
      manager.auth,
    );
    if (made.status !== 201) throw new Error(await made.text());
    const { id } = (await made.json()).data;
    const picture = await added(await upload(await drawing(40, 40).png().toBuffer(), "a.png", {}, id));
    const path = `/api/products/${id}/images`;
    const customer = await t.signIn();
    expect((await t.request(path)).status).toBe(404);
    expect((await t.request(path, { token: customer.accessToken })).status).toBe(404);
    const listed = await t.request(path, { token: manager.accessToken });
    expect(((await listed.json()) as { data: PictureResponse[] }).data.map((each) => each.id)).toEqual([
      picture.id,
    ]);
    expect((await t.request(path, { token: "none" })).status).toBe(401);
  });

  test("an error in place of a file is kept by nobody, and no tag stands for what is not there", async () => {
    const picture = await added(await upload(await drawing(40, 40).png().toBuffer()));
    const webp = picture.sources[0]?.url ?? "";
    const avif = webp.replace(".webp", ".avif");
    const refused = async (url: string, status: number, headers: Record<string, string> = {}) => {
      const answer = await t.request(url, { headers });
      expect([answer.status, answer.headers.get("cache-control"), answer.headers.get("etag")]).toEqual([
        status,
        "no-store",
        null,
      ]);
    };
    // Its job has not run yet.
    await refused(avif, 404);
    await refused(avif, 404, { "if-none-match": `"${picture.id}-40.avif"` });
    await refused(avif, 404, { "if-none-match": "*" });
    const undo = around(t.deps.storage, "get", {
      before: () => {
        throw new Error("storage is down");
      },
    });
    await refused(webp, 500);
    undo();
    const etag = `"${picture.id}-40.webp"`;
    for (const known of [etag, `W/${etag}`, `"x", ${etag}`, "*"]) {
      const answer = await t.request(webp, { headers: { "if-none-match": known } });
      expect([answer.status, answer.headers.get("etag"), await answer.text()]).toEqual([304, etag, ""]);
      expect(answer.headers.get("cache-control")).toContain("immutable");
    }
    for (const other of ['"x"', etag.slice(1, -1), `${etag.slice(0, -1)}x"`, ""]) {
      expect((await t.request(webp, { headers: { "if-none-match": other } })).status).toBe(200);
    }
    await t.request(`/api/products/${productId}/images/${picture.id}`, {
      method: "DELETE",
      token: manager.accessToken,
    });
    await refused(webp, 404, { "if-none-match": etag });
  });

  test("HEAD of a file says what GET does, without its bytes", async () => {
    const picture = await added(await upload(await drawing(40, 40).png().toBuffer()));
    const server = Bun.serve({ port: 0, fetch: (request) => t.app.fetch(request, {}) });
    try {
      const url = new URL(picture.sources[0]?.url ?? "", server.url);
      const [get, head] = [await fetch(url), await fetch(url, { method: "HEAD" })];
      expect([head.status, (await head.bytes()).length]).toEqual([200, 0]);
      for (const name of ["content-type", "content-length", "etag", "cache-control"]) {
        expect([name, head.headers.get(name)]).toEqual([name, get.headers.get(name) ?? "missing"]);
      }
      expect((await get.bytes()).length).toBe(Number(head.headers.get("content-length")));
      const absent = await fetch(`${url}`.replace(".webp", ".avif"), { method: "HEAD" });
      expect([absent.status, absent.headers.get("cache-control")]).toEqual([404, "no-store"]);
    } finally {
      await server.stop(true);
    }
  });

  test("many uploads at once: some are told to come back, none is lost, no two in one place", async () => {
    const before = await list();
    const bytes = await drawing(300, 300).png().toBuffer();
    const answers = await Promise.all(Array.from({ length: 14 }, () => upload(bytes)));
    const statuses = answers.map(({ status }) => status);
    for (const answer of answers) {
      if (answer.status === 503 || answer.status === 429)
        expect(answer.headers.get("retry-after")).toMatch(/^\d+$/);
      else expect([201, 409]).toContain(answer.status);
    }
    const made = statuses.filter((status) => status === 201).length;
    const after = await list();
    expect(after).toHaveLength(before.length + made);
    expect(new Set(after.map(({ position }) => position)).size).toBe(after.length);
  }, 60_000);
});

test("slow senders keep nobody else from uploading, and each may have some uploads alone", async () => {
  const senders: ReadableStreamDefaultController<Uint8Array>[] = [];
  const person = await t.signIn();
  const slow = () =>
    t.request("/api/users/me/avatar", {
      method: "PUT",
      body: new ReadableStream<Uint8Array>({
        start: (controller) => void senders.push(controller),
      }),
      duplex: "half",
      token: person.accessToken,
      headers: { "content-type": "multipart/form-data; boundary=x", "content-length": "10000000" },
    } as never);
  const answers = Array.from({ length: 7 }, slow);
  const refused = await Promise.race(answers);
  expect([refused.status, refused.headers.get("retry-after")]).toEqual([429, "2"]);
  const bytes = await drawing(40, 40).png().toBuffer();
  await added(await upload(bytes));
  await encodeAvif(bytes);
  for (const sender of senders) sender.error(new Error("the connection broke"));
  const statuses = (await Promise.all(answers)).map(({ status }) => status);
  expect(statuses.sort()).toEqual([...Array(6).fill(400), 429]);
  const form = new FormData();
  form.set("file", new File([new Uint8Array(bytes)], "a.png"));
  const again = await t.request("/api/users/me/avatar", {
    method: "PUT",
    body: form,
    token: person.accessToken,
  });
  expect(again.status).toBe(200);
}, 60_000);

test("a body that trickles in is given up at its deadline, also over a real connection", async () => {
  let cancelled = false;
  const trickle = new ReadableStream<Uint8Array>({
    async pull(controller) {
      await Bun.sleep(20);
      if (!cancelled) controller.enqueue(new Uint8Array(1));
    },
    cancel: () => {
      cancelled = true;
    },
  });
  await expect(readBody(trickle, { deadline: 300 })).rejects.toMatchObject({ code: "request_timeout" });
  expect(cancelled).toBe(true);

  const server = Bun.serve({
    port: 0,
    fetch: (request) =>
      readBody(request.body, { max: 100_000, deadline: 500 }).then(
        (bytes) => new Response(String(bytes.reduce((sum, byte) => sum + byte, 0))),
        (error: AppError) => new Response(null, { status: error.status }),
      ),
  });
  const socket = createConnection({ host: "localhost", port: server.port ?? 0 });
  try {
    const { promise, resolve } = Promise.withResolvers<string>();
    socket.on("data", (bytes) => resolve(bytes.toString("latin1")));
    socket.write("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 90000\r\n\r\n");
    const dripping = setInterval(() => socket.write("x"), 50);
    expect(await promise).toStartWith("HTTP/1.1 408");
    clearInterval(dripping);
    // What comes in time comes whole, whatever its pieces.
    const body = new Uint8Array(100_000).fill(1);
    const sent = (of: Uint8Array<ArrayBuffer>) =>
      fetch(server.url, { method: "POST", body: new Blob([of]).stream() });
    expect(await (await sent(body)).text()).toBe("100000");
    expect((await sent(new Uint8Array(100_001))).status).toBe(413);
  } finally {
    socket.destroy();
    await server.stop(true);
  }
});

test("over real connections: lengths that lie, forms that end too early, endless chunks", async () => {
  const server = await startServer({ STORAGE_DIR: t.deps.config.storageDir });
  try {
    const before = await files();
    const records = (await list()).length;
    const picture = await drawing(60, 60).png().toBuffer();
    const head = `--x\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n`;
    const whole = Buffer.concat([Buffer.from(head), picture, Buffer.from("\r\n--x--\r\n")]);
    /** Sends bytes as they are. @returns the status of the answer, or none when the connection ends without one */
    const raw = async (length: string, chunks: Uint8Array[], end: boolean): Promise<number | undefined> => {
      const { promise, resolve } = Promise.withResolvers<number | undefined>();
      const { port } = new URL(server.address);
      const socket = createConnection({ host: "localhost", port: Number(port) });
      let text = "";
      socket.on("data", (bytes) => {
        text += bytes.toString("latin1");
        const status = /^HTTP\/1\.1 (\d{3})/.exec(text)?.[1];
        if (status !== undefined) resolve(Number(status));
      });
      socket.on("close", () => resolve(undefined)).on("error", () => resolve(undefined));
      socket.write(
        `POST /api/products/${productId}/images HTTP/1.1\r\nHost: localhost:${port}\r\nAuthorization: Bearer ` +
          `${manager.accessToken}\r\nContent-Type: multipart/form-data; boundary=x\r\n${length}\r\n\r\n`,
      );
      for (const chunk of chunks) socket.write(chunk);
      if (end) socket.end();
      const status = await promise;
      socket.destroy();
      return status;
    };
    // More than it says: what is behind its length is another request, and none that can be read.
    expect([400, 422]).toContain((await raw(`Content-Length: ${head.length + 20}`, [whole], false)) ?? 0);
    // Less than it says, and then gone.
    expect(await raw(`Content-Length: ${whole.length + 1000}`, [whole], true)).not.toBe(201);
    // Too much by its own word.
    expect(await raw("Content-Length: 99999999", [whole], false)).toBe(413);
    // The form is not finished.
    expect(await raw(`Content-Length: ${whole.length - 20}`, [whole.subarray(0, -20)], false)).toBe(422);
    // Chunks without end.
    const chunk = Buffer.concat([Buffer.from("100000\r\n"), Buffer.alloc(0x100000), Buffer.from("\r\n")]);
    expect(await raw("Transfer-Encoding: chunked", Array(11).fill(chunk), false)).toBe(413);
    expect(await files()).toEqual(before);
    expect(await list()).toHaveLength(records);
    // It still serves.
    expect(await raw(`Content-Length: ${whole.length}`, [whole], false)).toBe(201);
  } finally {
    await server.kill("SIGTERM");
  }
}, 60_000);

test("uploads go before AVIF encodings that wait", async () => {
  const gates = [gate(), gate()];
  const order: string[] = [];
  const held = gates.map(({ wait }) => inTurn(wait));
  await Promise.all(gates.map(({ reached }) => reached));
  const webp = await drawing(16, 16).webp().toBuffer();
  const encoded = encodeAvif(webp).then(() => order.push("avif"));
  const second = encodeAvif(webp).then(() => order.push("avif"));
  const uploads = Array.from({ length: 3 }, () => inTurn(async () => void order.push("upload")));
  gates[0]?.open();
  await Promise.all(uploads);
  expect(order.slice(0, 3)).toEqual(["upload", "upload", "upload"]);
  gates[1]?.open();
  await Promise.all([...held, encoded, second]);
  expect(order).toHaveLength(5);
}, 60_000);

describe("storage", () => {
  test("keys that the application would not make are refused", async () => {
    for (const key of ["", "/etc/x", "../x", "a/../b", "a//b", "A", "a\u0000", ".draft", "a/.b"]) {
      await expect(t.deps.storage.put(key, new Uint8Array(1), "image/webp")).rejects.toThrow(
        "internal_error",
      );
      await expect((async () => t.deps.storage.get(key))()).rejects.toThrow("internal_error");
    }
  });
});
