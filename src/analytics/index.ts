/** What other features may use of analytics. */
export type { AnalyticsDeps } from "./deps";
export { erasePersonAnalytics, type PersonReader, personEvents, personVisits } from "./person";
