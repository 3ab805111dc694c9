import type { ProductDeps } from "../products";
import type { IntakeLimits } from "./intake/limits";
import type { AnalyticsStore } from "./store";

/** What analytics asks for. */
export interface AnalyticsDeps extends ProductDeps {
  analytics: AnalyticsStore;
  intakeLimits: IntakeLimits;
}
