import type { AuditDeps } from "../audit";
import type { MongoTx } from "../db/mongo";
import type { PictureSource } from "../media";
import type { ImportPictureStore } from "./bulk/pictures.store";
import type { BulkStore } from "./bulk/store";
import type { CategoryStore } from "./categories/store";
import type { CatalogueCounts } from "./counts";
import type { FormerSlugStore } from "./former-slugs.store";
import type { PictureStore } from "./images/store";
import type { ProductPopularityStore } from "./popularity.store";
import type { Curation } from "./search/curation/current";
import type { CurationStore } from "./search/curation/store";
import type { SearchEngine } from "./search/engine";
import type { QueryStore } from "./search/queries.store";
import type { IndexStore } from "./search/store";
import type { ProductStore } from "./store";

/** What the catalogue asks for. */
export interface ProductDeps extends AuditDeps {
  products: ProductStore;
  categories: CategoryStore;
  /** Finds products by text. */
  search: SearchEngine;
  searchIndex: IndexStore;
  curationStore: CurationStore;
  /** Synonyms and rules of searches as they are now. */
  curation: Curation;
  /** What was searched for. */
  searchQueries: QueryStore;
  formerSlugs: FormerSlugStore;
  /** What analytics reads and writes of products. */
  productPopularity: ProductPopularityStore;
  /** How many products categories and brands have. */
  counts: CatalogueCounts;
  pictures: PictureStore;
  bulk: BulkStore;
  importPictures: ImportPictureStore;
  /** Fetches pictures from elsewhere. */
  pictureSource: PictureSource;
  inventory: StockOfProducts;
}

/** What the catalogue asks of stock keeping, which stands above it. */
export interface StockOfProducts {
  /** What can be had of each of the SKUs, and whether it can be ordered; those without levels are left out. */
  sellableOf(skuKeys: string[]): Promise<Map<string, { available: number; orderable: boolean }>>;
  /** True when one of the SKUs has a level. */
  hasLevels(skuKeys: string[], tx?: MongoTx): Promise<boolean>;
  /** One of the SKUs that has units somewhere, or owes some. */
  skuWithStock(skuKeys: string[], tx: MongoTx): Promise<string | undefined>;
  /** Gives stock under SKUs (canonical) other ones. @throws AppError conflict when one has stock of its own */
  renameSkus(
    renames: { from: string; to: { sku: string; skuKey: string } }[],
    now: Date,
    tx: MongoTx,
  ): Promise<void>;
  /** Has `inStock` of products looked at again. */
  addSignals(signals: { _id: string; productId: string; createdAt: Date }[], tx?: MongoTx): Promise<void>;
}
