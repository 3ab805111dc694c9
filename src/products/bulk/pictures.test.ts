import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { useTestApp } from "../../../test/app";
import { eventually, startProgram } from "../../../test/processes";
import { createPictureSource } from "../../media";
import { deleteProduct } from "../delete";
import { importFile } from "./import-file";
import type { ImportFault, ImportProgress } from "./shapes";

const t = useTestApp();
const folder = await mkdtemp(join(tmpdir(), "aizy-import-pictures-"));
/** Small pictures that differ. */
const pictures = await Promise.all(
  ["red", "green", "blue"].map((background) =>
    sharp({ create: { width: 8, height: 8, channels: 3, background } })
      .png()
      .toBuffer(),
  ),
);
/** What was asked for, in order, and who has to wait. */
let asked: string[] = [];
let held: Promise<void> | undefined;
const shop = Bun.serve({
  port: 0,
  hostname: "127.0.0.1",
  async fetch(request) {
    const { pathname } = new URL(request.url);
    asked.push(pathname);
    if (pathname.startsWith("/held")) await held;
    const [, number] = /(\d)\.png$/.exec(pathname) ?? [];
    const picture = number === undefined ? undefined : pictures[Number(number)];
    if (pathname === "/page") return new Response("<html>", { headers: { "content-type": "text/html" } });
    if (pathname === "/text.png")
      return new Response("no picture", { headers: { "content-type": "image/png" } });
    return picture ? new Response(new Uint8Array(picture)) : new Response("", { status: 404 });
  },
});
const at = (path: string) => `http://127.0.0.1:${shop.port}/${path}`;

beforeAll(() => {
  t.deps.pictureSource = createPictureSource({ networks: ["127.0.0.1"], allowHttp: true, pauses: [] });
});
beforeEach(() => {
  asked = [];
});
afterAll(async () => {
  await shop.stop(true);
  await rm(folder, { recursive: true });
});

const HEADER =
  "Handle,Title,Option1 Name,Option1 Value,Variant SKU,Variant Price,Image Src,Image Alt Text,Variant Image";
/** A file of one product, with a picture a row. */
const shirt = (handle: string, addresses: string[]): string => {
  const [first = "", ...rest] = addresses;
  const rows = [
    `${handle},Shirt,Size,S,${handle}-S,10,${first},Front,`,
    `${handle},,,M,${handle}-M,10,,,${at("2.png?variant")}`,
    ...rest.map((address) => `${handle},,,,,,${address},,`),
  ];
  return [HEADER, ...rows, ""].join("\n");
};

async function load(
  id: string,
  content: string,
  more: { resume?: ImportProgress | undefined; dryRun?: boolean } = {},
) {
  const faults: ImportFault[] = [];
  const open = async function* () {
    yield Buffer.from(content);
  };
  const options = { format: "csv" as const, from: "shopify" as const, ...more };
  const result = await importFile(t.deps, id, open, options, (_, found) => {
    faults.push(...found);
  });
  return { ...result, faults: faults.map(({ row, message }) => `${row}: ${message.replace(at(""), "")}`) };
}
const productOf = async (handle: string) => {
  const product = await t.deps.products.findBySlug(handle);
  if (!product) throw new Error(`no product ${handle}`);
  return { product, pictures: await t.deps.pictures.ofProduct(product._id) };
};

describe("pictures of an import", () => {
  test("as a job over HTTP: fetched, of their variants; what cannot be had is a fault of its row; once for all", async () => {
    const manager = await t.signIn({ roles: ["manager"] });
    const content = shirt("job", [
      at("0.png"),
      at("1.png"),
      at("again/1.png"),
      at("missing.png"),
      at("page"),
      at("text.png"),
      "http://10.0.0.1/x.png",
      "https://name:secret-word@shop.example/x.png",
      "/relative.png",
    ]);
    const send = async () => {
      const answer = await t.request("/api/products/import?from=shopify", {
        method: "POST",
        body: content,
        token: manager.accessToken,
        headers: { "content-type": "text/csv" },
      });
      expect(answer.status).toBe(202);
      const { id } = ((await answer.json()) as { data: { id: string } }).data;
      await t.runner.runDue();
      const read = await t.request(`/api/products/import/${id}`, { token: manager.accessToken });
      return ((await read.json()) as { data: { status: string; result: Record<string, unknown> } }).data;
    };
    const first = await send();
    expect(first).toMatchObject({
      status: "done",
      result: { created: 1, failed: 0, pictures: { found: 10, there: 1, added: 3, failed: 6 } },
    });
    const faults = first.result.faults as ImportFault[];
    expect(faults.map(({ row, message }) => `${row}: ${message.replace(at(""), "")}`)).toEqual([
      "6: the picture missing.png was answered with 404",
      "7: the picture page is text/html and no picture",
      "8: the picture text.png must be a JPEG, PNG, WebP or AVIF picture",
      "9: the picture http://10.0.0.1/x.png has a host that is not public",
      "10: the picture https://shop.example/x.png must not hold a name or password",
      "11: the picture /relative.png is no address of a picture",
    ]);
    expect(JSON.stringify(first)).not.toContain("secret-word");
    const { product, pictures: kept } = await productOf("job");
    const medium = product.variants[1]?._id ?? "";
    expect(kept.map(({ alt, variantIds, position }) => [alt, variantIds ?? [], position])).toEqual([
      ["Front", [], 0],
      ["", [medium], 1],
      ["", [], 2],
    ]);
    expect(product.picture).toMatchObject({ id: kept[0]?._id ?? "", alt: "Front" });

    // What is there is not asked for again, nor kept twice; what could not be had is tried again.
    asked = [];
    const second = await send();
    expect(second.result).toMatchObject({
      unchanged: 1,
      pictures: { found: 10, there: 4, added: 0, failed: 6 },
    });
    expect(asked.toSorted()).toEqual(["/missing.png", "/page", "/text.png"]);
    expect((await productOf("job")).pictures).toEqual(kept as never);
  });

  test("a dry run counts them and asks for none", async () => {
    const dry = await load("dry", shirt("dry", [at("0.png")]), { dryRun: true });
    expect(dry).toMatchObject({ created: 1, pictures: { found: 2, added: 0 }, samples: [{ pictures: 2 }] });
    expect(asked).toEqual([]);
    expect(await t.deps.importPictures.count("dry", "waiting")).toBe(0);
  });

  test("a picture whose address another row has too, or whose bytes the product has, is kept once", async () => {
    const content = shirt("same", [at("0.png"), at("0.png"), at("a/0.png"), at("b/0.png")]);
    const both = await Promise.all([load("same-1", content), load("same-2", content)]);
    expect(both.map(({ faults }) => faults)).toEqual([[], []]);
    const { pictures: kept } = await productOf("same");
    expect(kept).toHaveLength(2);
    asked = [];
    expect(await load("same-3", content)).toMatchObject({ pictures: { found: 4, there: 4, added: 0 } });
    expect(asked).toEqual([]);
  });

  test("a product that is deleted, or has its fill, meanwhile: a fault, and the next go on", async () => {
    let release = () => {};
    held = new Promise((done) => {
      release = done;
    });
    const content = [
      shirt("gone", [at("held/0.png")]),
      shirt("stays", [at("1.png")]).replace(`${HEADER}\n`, ""),
    ];
    const loading = load("gone", content.join(""));
    await eventually(async () => asked.includes("/held/0.png"), "the first request");
    const { product } = await productOf("gone");
    await deleteProduct(t.deps, null, product._id, [product.version]);
    release();
    const { faults, pictures: counts } = await loading;
    expect(faults).toEqual([
      "2: the picture held/0.png has no product any more",
      "3: the picture 2.png?variant has no product any more",
    ]);
    expect(counts).toEqual({ found: 4, there: 0, added: 2, failed: 2 });
    const many = Array.from({ length: 32 }, (_, n) => at(`${n}/missing-${n % 3}.png`));
    const { _id } = (await productOf("stays")).product;
    const [one] = (await productOf("stays")).pictures;
    for (let n = 0; n < 28 && one; n++)
      await t.deps.pictures.create({ ...one, _id: `${_id}-${n}`, content: `${n}` });
    const full = await load("full", shirt("stays", many.slice(0, 1)));
    expect(full.faults).toEqual([
      "2: the picture 0/missing-0.png A product has at most 30 pictures. Remove one first.",
    ]);
  });

  test("killed while it waits for a picture, the program goes on with the pictures; each is kept once", async () => {
    const file = join(folder, "killed.csv");
    await writeFile(file, shirt("killed", [at("0.png"), at("held/1.png"), at("missing.png")]));
    held = new Promise(() => {});
    const env = { IMPORT_PICTURES_HTTP: "true", IMPORT_PICTURES_NETWORKS: "127.0.0.1/32" };
    const words = ["src/products/bulk/import.cli.ts", file, "--from=shopify"];
    const first = startProgram(words, env);
    await eventually(async () => asked.includes("/held/1.png"), "the request that is held");
    await eventually(async () => (await productOf("killed")).pictures.length === 2, "the pictures before it");
    await first.kill("SIGKILL");
    held = undefined;
    asked = [];
    const second = startProgram(words, env);
    expect(await second.ended()).toBe(1);
    expect(second.output()).toContain("Going on with the pictures");
    expect(second.output()).toContain(`row 5: the picture ${at("missing.png")} was answered with 404`);
    expect(second.output()).toMatch(
      /Pictures: 4, of which [23] were fetched, [01] were there already, 1 cannot be had/,
    );
    expect(asked.includes("/0.png")).toBe(false);
    const { pictures: kept } = await productOf("killed");
    expect(kept.map(({ position }) => position)).toEqual([0, 1, 2]);
    // Without leave nothing of it is asked for.
    asked = [];
    const third = startProgram([...words, "--restart"], { IMPORT_PICTURES_NETWORKS: "127.0.0.1/32" });
    expect(await third.ended()).toBe(1);
    expect(third.output()).toContain("must be an https address; http is not allowed here");
    expect(asked).toEqual([]);
  });
});
