/** A query that can say what it did. Mongoose's own type would have the compiler compare every kind of query. */
export interface Explainable {
  clone(): Explainable;
  limit(count: number): Explainable;
  explain(verbosity: "executionStats"): unknown;
}

/** How many documents the engine looks at for the first `limit` that a query finds. */
export async function documentsRead(query: Explainable, limit: number): Promise<number> {
  const { executionStats } = (await query.clone().limit(limit).explain("executionStats")) as {
    executionStats: { totalDocsExamined: number };
  };
  return executionStats.totalDocsExamined;
}
