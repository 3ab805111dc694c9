/**
 * Reads for a shop: `bun run bench reads [--quick] [--check]`, on databases of its own beside those that the
 * environment names.
 *
 * A home page of 24 products with pictures, and a menu of 84 categories, over HTTP, in one run: how many bytes and how
 * long with each encoding that a caller may take, beside the same answer as it is; and 304. Before is what a shop had
 * to ask for until these reads were there: the list, and for each product itself and its pictures; the whole list of
 * categories. Quick: fewer repetitions.
 */
import { parseConfig } from "../src/config";
import { buildIndexes } from "../src/db/indexes";
import { ENCODINGS } from "../src/http/compress";
import { buildProduct } from "../src/products/build";
import type { CategoryDocument } from "../src/products/categories/model";
import { pictureModel } from "../src/products/images/model";
import { coverOf } from "../src/products/shown";
import { silentLogger } from "../src/telemetry/log";
import type { Deps } from "../src/wire";
import { createDeps } from "../src/wire";
import { startServer } from "../test/processes";
import { type Goal, onThrowAwayDatabases, options, percentile, reportGoals } from "./lib";

const TIMES = options.quick ? 30 : 200;
const PRODUCTS = 24;
const ROOTS = 12;
const BELOW = 6;

/** 84 categories, and 24 products with pictures, descriptions and a few variants. */
async function fill(deps: Deps): Promise<void> {
  const now = deps.clock.now();
  const category = async (name: string, parent?: CategoryDocument): Promise<CategoryDocument> => {
    const slug = name.toLowerCase().replaceAll(" ", "-");
    const made: CategoryDocument = {
      _id: deps.random.id(),
      name,
      slug,
      path: parent ? `${parent.path}/${slug}` : slug,
      parentId: parent?._id ?? null,
      ancestors: parent ? [parent._id] : [],
      position: 0,
      attributes: [{ key: "colour", type: "string", unit: null, values: [] }],
      version: 1,
      createdAt: now,
      updatedAt: now,
    };
    await deps.categories.create(made);
    return made;
  };
  const leaves: CategoryDocument[] = [];
  for (let n = 0; n < ROOTS; n++) {
    const root = await category(`Department number ${n}`);
    for (let m = 0; m < BELOW; m++) leaves.push(await category(`Things of kind ${n} ${m}`, root));
  }
  for (let n = 0; n < PRODUCTS; n++) {
    const input = {
      name: `Insignia 50 inch class LED smart television ${n * 37}`,
      brand: ["Insignia", "Samsung", "LG"][n % 3],
      description: "A television with a sharp picture and a clear sound for every room. ".repeat(8),
      variants: Array.from({ length: (n % 5) + 1 }, (_, index) => ({
        sku: `TV-${n}-${index}`,
        price: 19_900 + n * 777 + index * 1000,
        compareAtPrice: 29_900 + n * 777,
        options: [{ name: "Size", value: `${40 + index * 5} inch` }],
      })),
    };
    const product = buildProduct(deps, deps.random.id(), input, [leaves[n] as CategoryDocument]);
    const pictures = [0, 1, 2].map((position) => ({
      _id: deps.random.id(),
      productId: product._id,
      alt: `${input.name}, from side ${position}`,
      position,
      width: 1280,
      height: 960,
      widths: [320, 640, 1280],
      avifWidths: [320, 640, 1280],
      version: 1,
      createdAt: now,
    }));
    await pictureModel(deps.mongo.connection).insertMany(pictures);
    await deps.products.create([{ ...product, picture: coverOf(pictures[0]) }]);
  }
}

interface Measured {
  bytes: number;
  p50: number;
}

/** The requests one after the other, again and again: their bytes together and their median time. */
async function measure(url: string, paths: string[], headers: Record<string, string>): Promise<Measured> {
  const times: number[] = [];
  let bytes = 0;
  const rounds = Math.max(5, Math.floor(TIMES / paths.length));
  for (let n = 0; n < rounds; n++) {
    const start = performance.now();
    bytes = 0;
    for (const path of paths) {
      const answer = await fetch(`${url}${path}`, { headers, decompress: false } as RequestInit);
      if (answer.status !== 200 && answer.status !== 304) throw new Error(`${path}: ${answer.status}`);
      bytes += (await answer.bytes()).length;
    }
    times.push(performance.now() - start);
  }
  return { bytes, p50: percentile(times, 0.5) };
}

const row = (what: string, requests: number, { bytes, p50 }: Measured, whole?: Measured) =>
  console.log(
    `  ${what.padEnd(40)}${`${requests} requests`.padStart(12)}${`${bytes} bytes`.padStart(14)}` +
      `${`${p50.toFixed(2)} ms`.padStart(12)}${whole ? `${(bytes / whole.bytes).toFixed(2)}`.padStart(8) : ""}`,
  );

async function page(url: string, name: string, path: string): Promise<Record<string, Measured>> {
  // Warm on both sides, and in turn, so that none has the quieter machine.
  for (let n = 0; n < 3; n++) {
    for (const encoding of ["identity", ...ENCODINGS])
      await measure(url, [path], { "accept-encoding": encoding });
    if (options.quick) break;
  }
  const all: Record<string, Measured> = {};
  for (const encoding of ["identity", ...ENCODINGS]) {
    all[encoding] = await measure(url, [path], { "accept-encoding": encoding });
    row(`${name}, ${encoding}`, 1, all[encoding], all.identity);
  }
  const etag =
    (await fetch(`${url}${path}`, { headers: { "accept-encoding": "identity" } })).headers.get("etag") ?? "";
  all.known = await measure(url, [path], { "accept-encoding": "identity", "if-none-match": etag });
  row(`${name}, 304`, 1, all.known, all.identity);
  return all;
}

async function run(): Promise<Goal[]> {
  const deps = createDeps(parseConfig(process.env), silentLogger());
  await deps.mongo.connection.asPromise();
  await buildIndexes(deps.mongo);
  await fill(deps);
  const ids = (
    await deps.products.list(
      { status: "active", attrs: [] },
      { name: "createdAt", descending: true },
      null,
      PRODUCTS,
    )
  ).map(({ _id }) => _id);
  await deps.close();
  const server = await startServer();
  try {
    const before = [
      "/api/products?limit=24",
      ...ids.flatMap((id) => [`/api/products/${id}`, `/api/products/${id}/images`]),
    ];
    const apart = await measure(server.address, before, { "accept-encoding": "identity" });
    row("home page, product by product", before.length, apart);
    const home = await page(
      server.address,
      "home page",
      "/api/products?limit=24&include=images,variants,breadcrumbs,stock",
    );
    const list = await measure(server.address, ["/api/products/categories"], {
      "accept-encoding": "identity",
    });
    row("84 categories as a list", 1, list);
    const menu = await page(server.address, "menu of 84", "/api/products/menu");
    const of = (measured: Record<string, Measured>, name: string) => measured[name] ?? { bytes: 0, p50: 0 };
    return [
      {
        name: "home page in one request, time to product by product",
        measured: of(home, "identity").p50 / apart.p50,
        unit: "",
        goal: ["<=", 0.25],
      },
      ...ENCODINGS.map(
        (encoding): Goal => ({
          name: `home page as ${encoding}, bytes to identity`,
          measured: of(home, encoding).bytes / of(home, "identity").bytes,
          unit: "",
          goal: ["<=", 0.2],
        }),
      ),
      ...ENCODINGS.map(
        (encoding): Goal => ({
          name: `home page as ${encoding}, time to identity`,
          measured: of(home, encoding).p50 / of(home, "identity").p50,
          unit: "",
          goal: ["<=", 1.6],
        }),
      ),
      {
        name: "menu of 84, bytes as it is",
        measured: of(menu, "identity").bytes,
        unit: "bytes",
        goal: ["<=", 12_000],
      },
      {
        name: "menu of 84, bytes as zstd",
        measured: of(menu, "zstd").bytes,
        unit: "bytes",
        goal: ["<=", 5_000],
      },
    ];
  } finally {
    await server.kill("SIGTERM");
  }
}

process.exit(reportGoals(await onThrowAwayDatabases(run)));
