import type { ProductDeps } from "../products/deps";
import type { AnalyticsStore } from "./store";

/** What analytics asks for. */
export interface AnalyticsDeps extends ProductDeps {
  analytics: AnalyticsStore;
}
