/**
 * The demo catalogue: 60 products with stock and pictures, for development. It goes only where there are no
 * products yet, living or deleted, so what somebody changed or deleted stays as it is.
 */

import { createLocation } from "../src/inventory/locations";
import { DEFAULT_SETTINGS } from "../src/inventory/stock";
import { chunksOf } from "../src/lib/chunks";
import { after, DAY } from "../src/lib/clock";
import { canonicalKey } from "../src/lib/text";
import { buildProduct } from "../src/products/build";
import { ensureCategoryPath } from "../src/products/categories/paths";
import { addPicture } from "../src/products/images/service";
import type { Deps } from "../src/wire";
import { CATALOGUE, type CatalogueProduct } from "./catalogue";
import { drawPicture } from "./pictures";

/** The checkpoint of a catalogue in the making, so that one that was interrupted goes on. */
const IN_THE_MAKING = "demo-catalogue";
/** How long it may be gone on with. */
const KEEP = 7 * DAY;

const skuOf = (path: string[], product: CatalogueProduct, index: number): string =>
  [path.at(-1) ?? "", product.name, String(index + 1)]
    .map((part) =>
      part
        .toUpperCase()
        .replace(/[^A-Z0-9]+/g, "-")
        .slice(0, 24),
    )
    .join("-");

interface SeededCatalogue {
  made: number;
  present: number;
  skus: string[];
  products: { id: string; name: string }[];
}

async function seedCatalogue(deps: Deps): Promise<SeededCatalogue> {
  const sum: SeededCatalogue = { made: 0, present: 0, skus: [], products: [] };
  for (const { path, products } of CATALOGUE) {
    const category = await ensureCategoryPath(deps, path);
    for (const product of products) {
      const variants = (product.variants ?? [{ name: null, option: null, more: 0 }]).map(
        (variant, index) => ({
          sku: skuOf(path, product, index),
          name: variant.name,
          price: product.price + ("more" in variant ? (variant.more ?? 0) : 0),
          options: variant.option === null ? [] : [{ name: variant.option, value: variant.name ?? "" }],
        }),
      );
      sum.skus.push(...variants.map(({ sku }) => sku));
      const existing = await deps.products.findBySku(canonicalKey(variants[0]?.sku ?? ""));
      const id = existing?._id ?? deps.random.id();
      sum.products.push({ id, name: product.name });
      if (existing) {
        sum.present++;
        continue;
      }
      await deps.products.create([
        buildProduct(
          deps,
          id,
          {
            name: product.name,
            description: product.description,
            brand: product.brand,
            currency: "USD",
            variants,
          },
          [category],
        ),
      ]);
      sum.made++;
    }
  }
  return sum;
}

/** Where seeded stock lies. */
const MAIN_LOCATION = { code: "MAIN", name: "Main warehouse", priority: 1, active: true };

/** Some of each SKU that has no stock level yet, a few of them scarce. @returns how many got some */
async function seedStock(deps: Deps, skus: string[]): Promise<number> {
  const none = async () => undefined;
  const { inventory } = deps;
  const codeKey = canonicalKey(MAIN_LOCATION.code);
  const location = await inventory.findLocationByCode(codeKey);
  const locationId = location?._id ?? (await createLocation(deps, null, MAIN_LOCATION, none)).id;
  const known = new Set((await inventory.levelsOf(skus.map(canonicalKey))).map(({ skuKey }) => skuKey));
  const missing = skus.filter((sku) => !known.has(canonicalKey(sku)));
  await Promise.all(
    missing.map((sku, index) =>
      deps.stock.submit({
        actorId: "system",
        skuKeys: [canonicalKey(sku)],
        decide: (ledger) => {
          const level = ledger.createLevel({ sku, skuKey: canonicalKey(sku) }, locationId, {
            ...DEFAULT_SETTINGS,
            safetyThreshold: 5,
          });
          // Every twentieth is nearly gone, so that the low-stock list has something to show.
          const onHand = index % 20 === 19 ? 3 : 10 + ((index * 37) % 90);
          ledger.shift(level, { kind: "receive", onHand, reason: "seed" });
        },
      }),
    ),
  );
  return missing.length;
}

/** A drawn picture for each product that has none, through the same checks as an upload. @returns how many */
async function seedPictures(deps: Deps, products: SeededCatalogue["products"]): Promise<number> {
  const pictured = await deps.pictures.productsWithPictures(products.map(({ id }) => id));
  const bare = products.filter(({ id }) => !pictured.has(id));
  const draw = async ({ id, name }: (typeof bare)[number]) =>
    addPicture(deps, null, id, { bytes: await drawPicture(name), alt: name }, async () => undefined);
  for (const some of chunksOf(bare, 6)) await Promise.all(some.map(draw));
  return bare.length;
}

/** Lays the demo catalogue. @returns one line that says what was done */
export async function seedDemo(deps: Deps): Promise<string> {
  const interrupted = (await deps.bulk.checkpoint(IN_THE_MAKING)) !== null;
  if (!interrupted && (await deps.products.wasUsed())) {
    const skus = CATALOGUE.flatMap(({ path, products }) =>
      products.map((product) => skuOf(path, product, 0)),
    );
    const { length } = await deps.products.findBySkus(skus.map(canonicalKey));
    return `Demo catalogue: 0 products made, ${length} present; it goes only where there never was a product.`;
  }
  const nothing = { rows: 0, bytes: 0, created: 0, updated: 0, unchanged: 0, failed: 0 };
  await deps.bulk.saveCheckpoint(IN_THE_MAKING, nothing, after(deps.clock.now(), KEEP));
  const { made, present, skus, products } = await seedCatalogue(deps);
  const stocked = await seedStock(deps, skus);
  const drawn = await seedPictures(deps, products);
  await deps.bulk.removeCheckpoint(IN_THE_MAKING);
  return `Demo catalogue: ${made} products made, ${present} present, ${stocked} SKUs filled, ${drawn} pictures drawn.`;
}
