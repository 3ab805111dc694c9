/** The file of products that benchmarks import. */
import { open, readFile } from "node:fs/promises";
import { join } from "node:path";
import { CATALOGUE } from "../prisma/catalogue";
import { formatMinor } from "../src/lib/money";
import { seeded } from "../test/analytics";

interface Source {
  name: string;
  description: string;
  brand: string | null;
  categories: string[];
  /** Minor units. */
  price: number;
  popularity: number;
}

/** What products are made from, and where that comes from in words. */
export async function sources(): Promise<{ from: string; list: Source[] }> {
  const folder = process.env.TEST_DATA;
  if (folder === undefined) {
    const list = CATALOGUE.flatMap(({ path, products }) =>
      products.map(({ name, description, brand, price }, index) => ({
        name,
        description,
        brand,
        categories: path,
        price,
        popularity: index,
      })),
    );
    return { from: "the project's own products (TEST_DATA is not set)", list };
  }
  const text = await readFile(join(folder, "bestbuy-products.ndjson"), "utf8");
  const list = text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Source)
    .map((product) => ({ ...product, price: Math.round(product.price * 100) }));
  return { from: "real products", list };
}

/** Writes a file of so many products to import. @returns how many variants are in it */
export async function generate(path: string, list: Source[], products: number): Promise<number> {
  const random = seeded(6);
  const between = (from: number, to: number) => from + Math.floor(random() * (to - from + 1));
  const file = await open(path, "w");
  let all = 0;
  try {
    for (let n = 0; n < products; n++) {
      const source = list[n % list.length] as Source;
      const share = random();
      const count = share < 0.7 ? 1 : share < 0.95 ? between(2, 20) : between(50, 100);
      all += count;
      const line = {
        slug: `bench-${n}`,
        name: source.name,
        description: source.description,
        brand: source.brand,
        categories: [source.categories],
        status: random() < 0.02 ? "draft" : "active",
        popularity: source.popularity + between(0, 1000),
        attrs: [{ key: "colour", value: ["red", "blue", "green"][n % 3] }],
        variants: Array.from({ length: count }, (_, index) => ({
          sku: `B-${n}-${index}`,
          price: formatMinor(source.price + between(0, 2000), "USD"),
          options: [{ name: "Size", value: String(index) }],
        })),
      };
      await file.write(`${JSON.stringify(line)}\n`);
    }
  } finally {
    await file.close();
  }
  return all;
}
