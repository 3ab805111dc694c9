/** What other features may use of products. */
export { idSchema, lineSchema, skuSchema } from "./fields";
export { setPopularity } from "./popularity";
export { limitSchema } from "./schema";
export type { ProductStore } from "./store";
