/** What other features may use of products. */
export { setPopularity } from "./popularity";
