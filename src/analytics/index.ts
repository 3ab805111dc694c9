/** What other features may use of analytics. */
export { erasePersonAnalytics, type PersonReader, personEvents, personVisits } from "./person";
