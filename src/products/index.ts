/** What other features may use of products. */
export type { ProductDeps } from "./deps";
export { lineSchema, skuSchema } from "./fields";
export { noProduct } from "./found";
export { setPopularity } from "./popularity";
export type { ProductStore } from "./store";
