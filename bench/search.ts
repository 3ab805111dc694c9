/**
 * Search: `bun run bench search [--quick | --large] [--check]`, on databases of its own beside those that the environment
 * names.
 *
 * How good it is, over the products in $TEST_DATA and the judged queries of `search/judgements.ts`, by which it is tuned,
 * and those of `search/held-out.ts`, by which it is not, beside MiniSearch and Orama in the same run; how quick it is over
 * HTTP beside a plain list of products; then, unless quick, 100,000 products made from those: 20 requests a second, and
 * what the server's memory is before and after. `--large` does the second half alone.
 */
import { readFile } from "node:fs/promises";
import { loadavg } from "node:os";
import { join } from "node:path";
import { importProducts } from "../src/products/bulk/import";
import type { Deps } from "../src/wire";
import { startServer } from "../test/processes";
import { type Goal, load, onThrowAwayDatabases, options, percentile, reportGoals, withDeps } from "./lib";
import { untilIdle } from "./peers/machine";
import { HELD_OUT_PARTS, heldOut } from "./search/held-out";
import {
  gradeOf,
  JUDGEMENTS,
  type JudgedProduct,
  type Judgement,
  PARTS,
  type Part,
} from "./search/judgements";
import { mean, ndcg, recall } from "./search/measure";
import { type Find, miniSearch, orama } from "./search/peers";

const MANY = 100_000;
/** Seconds of each load. */
const SECONDS = 30;

interface Product extends JudgedProduct {
  description: string;
  price: number;
  image: string;
}

const row = (...cells: (string | number)[]) =>
  console.log(
    `  ${cells
      .map((cell, column) => {
        const text = typeof cell === "number" ? cell.toFixed(3) : cell;
        return column === 0 ? text.padEnd(26) : text.padStart(12);
      })
      .join("")}`,
  );

/** Imports products, each with a SKU that tells which one it is. */
async function take(deps: Deps, count: number, make: (index: number) => object): Promise<number> {
  const encoder = new TextEncoder();
  const started = performance.now();
  async function* lines() {
    for (let index = 0; index < count; index++) yield encoder.encode(`${JSON.stringify(make(index))}\n`);
  }
  const { created, failed } = await importProducts(deps, lines, { format: "ndjson" }, () => undefined);
  if (created !== count || failed > 0) throw new Error(`${created} of ${count} products were imported`);
  return (performance.now() - started) / 1000;
}

const skuOf = (index: number) => `JUDGED${String(index).padStart(6, "0")}`;
const lineOf = (product: Product, index: number) => ({
  sku: skuOf(index),
  name: product.name,
  description: product.description,
  brand: product.brand,
  categories: [product.categories],
  price: product.price.toFixed(2),
  popularity: product.popularity,
});

/** Quality of one engine: by part and in all, and of each half of the queries. */
async function judge(
  products: Product[],
  find: Find,
  judgements: (Omit<Judgement, "part"> & { part: string })[],
) {
  const byPart = new Map<string, number[]>();
  const recalls: number[] = [];
  const halves: [number[], number[]] = [[], []];
  const times: number[] = [];
  for (const [index, judgement] of judgements.entries()) {
    const started = performance.now();
    const found = await find(judgement.query);
    times.push(performance.now() - started);
    const all = products.map((product) => gradeOf(judgement, product));
    const shown = found.map((place) => all[place] ?? 0);
    const value = ndcg(shown, all);
    byPart.set(judgement.part, [...(byPart.get(judgement.part) ?? []), value]);
    (halves[index % 2] as number[]).push(value);
    recalls.push(recall(shown, all));
  }
  return {
    parts: new Map([...byPart].map(([part, values]) => [part, mean(values)])),
    all: mean([...byPart.values()].flat()),
    recall: mean(recalls),
    halves: halves.map(mean),
    p95: percentile(times, 0.95),
  };
}

/** Places of products by what the server finds. */
async function served(deps: Deps, address: string, count: number): Promise<Find> {
  const places = new Map<string, number>();
  for (let from = 0; from < count; from += 500) {
    const skus = Array.from({ length: Math.min(500, count - from) }, (_, n) => skuOf(from + n).toLowerCase());
    for (const { _id, skuKeys } of await deps.products.findBySkus(skus)) {
      places.set(_id, Number(skuKeys?.[0]?.slice("judged".length)));
    }
  }
  return async (query) => {
    const answer = await fetch(`${address}/api/products/search?limit=100&q=${encodeURIComponent(query)}`);
    if (!answer.ok) throw new Error(`${query}: ${answer.status} ${await answer.text()}`);
    const { data } = (await answer.json()) as { data: { id: string }[] };
    return data.map(({ id }) => places.get(id) as number);
  };
}

/** Milliseconds of requests, one after the other: p50 and p95. */
async function quickness(address: string, paths: string[]) {
  const times: number[] = [];
  for (const path of [...paths, ...paths]) {
    const started = performance.now();
    const answer = await fetch(`${address}${path}`);
    await answer.arrayBuffer();
    if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
    times.push(performance.now() - started);
  }
  const warm = times.slice(paths.length);
  return { p50: percentile(warm, 0.5), p95: percentile(warm, 0.95) };
}

const searches = JUDGEMENTS.map(({ query }) => `/api/products/search?q=${encodeURIComponent(query)}`);
const typed = JUDGEMENTS.map(
  ({ query }) => `/api/products/search/suggest?q=${encodeURIComponent(query.slice(0, 6))}`,
);
const lists = JUDGEMENTS.map(
  (_, index) => `/api/products?limit=20&sort=${["price", "-popularity"][index % 2]}`,
);

async function quality(deps: Deps, products: Product[]): Promise<Goal[]> {
  const seconds = await take(deps, products.length, (index) => lineOf(products[index] as Product, index));
  console.log(
    `${products.length} products imported in ${seconds.toFixed(0)} s; load average ${loadavg()[0]?.toFixed(1)}`,
  );
  const server = await startServer({});
  try {
    await quickness(server.address, [...lists.slice(0, 50), ...searches.slice(0, 50)]);
    const finds = {
      ours: await served(deps, server.address, products.length),
      MiniSearch: miniSearch(products),
      Orama: await orama(products),
    };
    const judged = async (judgements: Parameters<typeof judge>[2], parts: readonly string[]) => {
      const engines = {
        ours: await judge(products, finds.ours, judgements),
        MiniSearch: await judge(products, finds.MiniSearch, judgements),
        Orama: await judge(products, finds.Orama, judgements),
      };
      row(`NDCG@10, ${judgements.length} queries`, ...Object.keys(engines));
      for (const part of parts)
        row(part, ...Object.values(engines).map((engine) => engine.parts.get(part) ?? 0));
      row("all", ...Object.values(engines).map(({ all }) => all));
      row("recall at 100", ...Object.values(engines).map(({ recall: share }) => share));
      return engines;
    };
    const engines = await judged(JUDGEMENTS, PARTS);
    const { ours } = engines;
    row("queries of even places", ...Object.values(engines).map(({ halves }) => halves[0] ?? 0));
    row("of odd places", ...Object.values(engines).map(({ halves }) => halves[1] ?? 0));
    console.log("\n  queries by rule, which nothing was tuned by");
    const others = await judged(heldOut(products), HELD_OUT_PARTS);
    const found = await quickness(server.address, searches);
    const suggested = await quickness(server.address, typed);
    const listed = await quickness(server.address, lists);
    row("\n  over HTTP", "p50 ms", "p95 ms");
    row("a search with facets", found.p50, found.p95);
    row("a suggestion", suggested.p50, suggested.p95);
    row("a plain list", listed.p50, listed.p95);
    const part = (name: Part) => ours.parts.get(name) ?? 0;
    const better = Math.max(engines.MiniSearch.all, engines.Orama.all);
    return [
      { name: "NDCG@10", measured: ours.all, unit: "", goal: [">=", 0.93] },
      { name: "ahead of the better peer", measured: ours.all - better, unit: "", goal: [">=", 0.08] },
      {
        name: "typing mistakes behind plain words",
        measured: part("plain") - part("typo"),
        unit: "",
        goal: ["<=", 0.05],
      },
      { name: "NDCG@10, queries by rule", measured: others.ours.all, unit: "", goal: [">=", 0.93] },
      { name: "model numbers", measured: part("model"), unit: "", goal: [">=", 0.9] },
      { name: "devices among accessories", measured: part("device"), unit: "", goal: [">=", 0.9] },
      { name: "search at this size, p95", measured: found.p95, unit: "ms", goal: ["<=", 20] },
    ];
  } finally {
    await server.kill("SIGTERM");
  }
}

/** Resident memory of a process in MB, as Linux tells it. */
async function memoryOf(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024;
}

async function crowd(deps: Deps, products: Product[]): Promise<Goal[]> {
  const colours = ["red", "blue", "green", "black", "white"];
  const seconds = await take(deps, MANY, (index) => {
    const product = products[index % products.length] as Product;
    return {
      ...lineOf(product, index),
      price: (product.price + (index % 997) / 10).toFixed(2),
      popularity: product.popularity + (index % 1009),
      attrs: [{ key: "colour", value: colours[index % colours.length] }],
    };
  });
  console.log(
    `\n${MANY} products imported in ${seconds.toFixed(0)} s (${(MANY / seconds).toFixed(0)} a second); load average ${loadavg()[0]?.toFixed(1)}`,
  );
  const server = await startServer({});
  try {
    // The database tidies up after so many writes, for minutes.
    await untilIdle();
    const call = (paths: string[]) => (index: number) =>
      fetch(`${server.address}${paths[index % paths.length]}`).then((answer) => answer.arrayBuffer());
    await load(2, 5, call(lists), 20);
    const before = await memoryOf(server.child.pid);
    row("20 requests a second", "p50 ms", "p95 ms");
    const measured = async (name: string, paths: string[]) => {
      await load(2, 5, call(paths), 20);
      const { p50, p95 } = await load(8, SECONDS, call(paths), 20);
      row(name, p50, p95);
      return p95;
    };
    const found = await measured("searches with facets", searches);
    const suggested = await measured("suggestions", typed);
    await measured("plain lists", lists);
    const after = await memoryOf(server.child.pid);
    console.log(
      `  memory of the server: ${before.toFixed(0)} MB before searches, ${after.toFixed(0)} MB after`,
    );
    return [
      { name: `search among ${MANY}, 20 a second, p95`, measured: found, unit: "ms", goal: ["<=", 60] },
      {
        name: `suggestions among ${MANY}, 20 a second, p95`,
        measured: suggested,
        unit: "ms",
        goal: ["<=", 15],
      },
    ];
  } finally {
    await server.kill("SIGTERM");
  }
}

const folder = process.env.TEST_DATA;
if (folder === undefined) {
  console.log("Skipped: TEST_DATA names no folder with bestbuy-products.ndjson.");
  process.exit(0);
}
const products = (await readFile(join(folder, "bestbuy-products.ndjson"), "utf8"))
  .split("\n")
  .filter((line) => line !== "")
  .map((line) => JSON.parse(line) as Product);
process.env.NODE_ENV = "test";
const goals: Goal[] = [];
const parts = options.quick ? [quality] : process.argv.includes("--large") ? [crowd] : [quality, crowd];
for (const part of parts) {
  await onThrowAwayDatabases(() =>
    withDeps(async (deps) => {
      goals.push(...(await part(deps, products)));
    }),
  );
}
process.exitCode = reportGoals(goals);
