/** The library's base for stores of one's own, which its index does not export. */
declare module "rate-limiter-flexible/lib/RateLimiterStoreAbstract.js" {
  import type { IRateLimiterStoreOptions, RateLimiterAbstract } from "rate-limiter-flexible";
  export default class RateLimiterStore extends RateLimiterAbstract {
    constructor(options: Omit<IRateLimiterStoreOptions, "storeClient">);
  }
}
