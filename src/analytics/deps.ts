import type { Deps } from "../deps";

/** What analytics asks for. */
export type AnalyticsDeps = Deps;
