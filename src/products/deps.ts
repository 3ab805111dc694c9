import type { AuditDeps } from "../audit";
import type { PictureSource } from "../media";
import type { ImportPictureStore } from "./bulk/pictures.store";
import type { BulkStore } from "./bulk/store";
import type { CategoryStore } from "./categories/store";
import type { CatalogueCounts } from "./counts";
import type { ProductCreations } from "./creations";
import type { FormerSlugStore } from "./former-slugs.store";
import type { PictureStore } from "./images/store";
import type { ProductPopularityStore } from "./popularity.store";
import type { Curation } from "./search/curation/current";
import type { CurationStore } from "./search/curation/store";
import type { SearchEngine } from "./search/engine";
import type { QueryStore } from "./search/queries.store";
import type { IndexStore } from "./search/store";
import type { StockOfProducts } from "./stock-of-products";
import type { ProductStore } from "./store";

/** What the catalogue asks for. */
export interface ProductDeps extends AuditDeps {
  products: ProductStore;
  creations: ProductCreations;
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
