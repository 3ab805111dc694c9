/**
 * Roles and permissions, an administrator, and a small catalogue. Running it again changes nothing that is
 * there: a role keeps what administrators gave it, a product keeps its price.
 */
import { canonicalKey } from "../src/canonical";
import { withDeployLock } from "../src/db/deploy-lock";
import { createDeps, type Deps } from "../src/deps";
import { createLogger } from "../src/http/log";
import { ensureCategoryPath } from "../src/products/categories/service";
import { addPicture } from "../src/products/images/service";
import { DEFAULT_SETTINGS } from "../src/products/inventory/ledger";
import { createLocation } from "../src/products/inventory/service";
import { buildProduct } from "../src/products/service";
import { configOrExit } from "../src/program";
import { ensureRoles } from "../src/users/roles/ensure";
import { CATALOGUE, type CatalogueProduct } from "./catalogue";
import { drawPicture } from "./pictures";

/** The first administrator, when there is a password for one and nobody has the address. */
export async function seedAdministrator(
  deps: Deps,
  email: string,
  password: string | undefined,
): Promise<string> {
  const now = deps.clock.now();
  if (await deps.users.findByEmail(canonicalKey(email))) return "present";
  if (!password) return "skipped: SEED_ADMIN_PASSWORD is not set";
  const hashedPassword = await deps.passwords.hash(password);
  const name = "Administrator";
  const user = await deps.users.findOrCreate({
    id: deps.random.id(),
    email,
    emailCanonical: canonicalKey(email),
    name,
    now,
  });
  await deps.mysql.transaction(async (tx) => {
    await deps.users.verify(user.id, { name, email, hashedPassword, now }, tx);
    await deps.users.grantRole(user.id, "admin", now, tx);
  });
  return "made";
}

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
      await deps.products.create(
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
      );
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
  const locationId = location?._id ?? (await createLocation(deps, MAIN_LOCATION, none)).id;
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
    addPicture(deps, id, { bytes: await drawPicture(name), alt: name }, async () => undefined);
  for (let from = 0; from < bare.length; from += 6) await Promise.all(bare.slice(from, from + 6).map(draw));
  return bare.length;
}

/** Seeds both databases. @returns one line that says what was done */
export async function seed(
  deps: Deps,
  administrator: { email: string; password: string | undefined },
): Promise<string> {
  await ensureRoles(deps);
  const admin = await seedAdministrator(deps, administrator.email, administrator.password);
  const { made, present, skus, products } = await seedCatalogue(deps);
  const stocked = await seedStock(deps, skus);
  const drawn = await seedPictures(deps, products);
  return `Roles in place. Administrator ${administrator.email} ${admin}. Catalogue: ${made} products made, ${present} present. Stock: ${stocked} SKUs filled. Pictures: ${drawn} drawn.`;
}

if (import.meta.main) {
  const config = configOrExit({ ...process.env, LOG_LEVEL: "warn" });
  const deps = createDeps(config, await createLogger(config));
  try {
    await deps.mongo.connection.asPromise();
    const administrator = {
      email: process.env.SEED_ADMIN_EMAIL ?? "admin@aizy.local",
      password: process.env.SEED_ADMIN_PASSWORD,
    };
    // Each finds what the one before has made: two at once would make the same product and one would fail.
    console.log(await withDeployLock(config.databaseUrl, () => seed(deps, administrator)));
  } finally {
    await deps.close();
  }
}
