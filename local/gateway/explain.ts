/**
 * `explain` in MongoDB's shape, from PostgreSQL's EXPLAIN of the very query the engine would run. The
 * counts are PostgreSQL's own: documents read from the table (kept or filtered out), index entries visited.
 * https://www.mongodb.com/docs/manual/reference/explain-results/
 */
import type { Document } from "bson";
import { MongoError } from "./errors.ts";
import type { Statement } from "./postgres.ts";

/** MongoDB's verbosity modes; only the first does not run the query. */
export type Verbosity = "queryPlanner" | "executionStats" | "allPlansExecution";

type Kind = "find" | "pipeline" | "count" | "distinct";

/** The query an explain is about, and how it is wrapped in the answer. */
export interface Explained {
  kind: Kind;
  collection: string;
  /** The command document to plan, for the engine. */
  spec: Document;
  /** The stage on top of the query's own: UPDATE or DELETE for a write. */
  wrapper: string | undefined;
}

/** PostgreSQL's plan node, as far as it is read here. */
interface PlanNode {
  "Node Type": string;
  "Custom Plan Provider"?: string;
  "Index Name"?: string;
  "Index Cond"?: string;
  "Order By"?: string;
  "Scan Direction"?: string;
  "Actual Rows"?: number;
  "Actual Loops"?: number;
  "Rows Removed by Filter"?: number;
  "Rows Removed by Index Recheck"?: number;
  "Heap Fetches"?: number;
  IndexDetails?: IndexDetail[];
  Plans?: PlanNode[];
}

interface IndexDetail {
  indexName: string;
  indexKey: string;
  isMultiKey?: boolean;
  indexBounds?: string[];
  innerScanLoops?: number;
}

interface Totals {
  keys: number;
  documents: number;
}

/** Plan nodes that have no counterpart in MongoDB: their child stands for them. */
const TRANSPARENT = new Set([
  "Custom Scan",
  "CTE Scan",
  "Subquery Scan",
  "Gather",
  "Gather Merge",
  "Materialize",
  "Memoize",
  "LockRows",
  "Hash",
  "Result",
]);

const STAGES: Record<string, string> = {
  Limit: "LIMIT",
  Sort: "SORT",
  "Incremental Sort": "SORT",
  Aggregate: "GROUP",
  Unique: "DISTINCT",
  ProjectSet: "UNWIND",
  "Nested Loop": "EQ_LOOKUP",
  "Hash Join": "EQ_LOOKUP",
  "Merge Join": "EQ_LOOKUP",
  Append: "UNION",
  "Merge Append": "SORT_MERGE",
  BitmapOr: "OR",
  BitmapAnd: "AND_SORTED",
  WindowAgg: "WINDOW",
};

/** The statement that explains a query; its parameters are the database and the command document. */
export function explainStatement(kind: Kind, verbosity: Verbosity): Statement {
  const analyze = verbosity !== "queryPlanner";
  return {
    name: `explain_${kind}_${analyze}`,
    sql: `explain (format json, verbose, analyze ${analyze}, timing off, buffers off) select document from documentdb_api_catalog.bson_aggregation_${kind}($1, $2)`,
  };
}

/**
 * What has to be planned for an explained command. A write is planned as the search for the documents it
 * would change, so explaining it changes nothing.
 */
export function explained(command: Document): Explained {
  const [name] = Object.keys(command);
  const collection = String(command[name as string]);
  const { $db: _database, lsid: _session, ...spec } = command;
  switch (name) {
    case "find":
      return { kind: "find", collection, spec, wrapper: undefined };
    case "aggregate":
      return { kind: "pipeline", collection, spec: { ...spec, cursor: {} }, wrapper: undefined };
    case "count":
      return { kind: "count", collection, spec, wrapper: undefined };
    case "distinct":
      return { kind: "distinct", collection, spec, wrapper: undefined };
    case "update":
    case "delete": {
      const [first] = (spec[`${name}s`] ?? []) as Document[];
      if (first === undefined)
        throw new MongoError(9, "FailedToParse", `explain of ${name} needs one statement`);
      const one = name === "update" ? first.multi !== true : Number(first.limit) === 1;
      const find = { find: collection, filter: first.q ?? {}, ...hint(first), ...(one ? { limit: 1 } : {}) };
      return { kind: "find", collection, spec: find, wrapper: name.toUpperCase() };
    }
    case "findAndModify":
    case "findandmodify": {
      const find = {
        find: collection,
        filter: spec.query ?? {},
        ...(spec.sort === undefined ? {} : { sort: spec.sort }),
        ...hint(spec),
        limit: 1,
      };
      return { kind: "find", collection, spec: find, wrapper: spec.remove === true ? "DELETE" : "UPDATE" };
    }
    default:
      throw new MongoError(59, "CommandNotFound", `Explain failed due to unknown command: ${name}`);
  }
}

function hint(spec: Document): Document {
  return spec.hint === undefined ? {} : { hint: spec.hint };
}

/** Builds the answer from PostgreSQL's EXPLAIN (FORMAT JSON) output. */
export function explainAnswer(
  query: Explained,
  database: string,
  verbosity: Verbosity,
  output: string,
  command: Document,
): Document {
  const [plan] = JSON.parse(output) as { Plan: PlanNode; "Execution Time"?: number }[];
  if (plan === undefined) throw new MongoError(1, "InternalError", "the engine returned no plan");
  const totals: Totals = { keys: 0, documents: 0 };
  const analyzed = verbosity !== "queryPlanner";
  let stage = convert(plan.Plan, undefined, totals, query) ?? { stage: "EOF", ...counts(plan.Plan) };
  if (query.kind === "count") stage = { ...stage, stage: "COUNT" };
  const returned =
    query.kind === "count" || query.kind === "distinct" ? rows(plan.Plan) : (stage.nReturned ?? 0);
  if (query.wrapper !== undefined) stage = { stage: query.wrapper, nReturned: 0, inputStage: stage };
  return {
    explainVersion: "1",
    queryPlanner: {
      namespace: `${database}.${query.collection}`,
      winningPlan: withoutCounts(stage),
      rejectedPlans: [],
    },
    ...(analyzed
      ? {
          executionStats: {
            executionSuccess: true,
            nReturned: query.wrapper === undefined ? returned : 0,
            executionTimeMillis: Math.round(plan["Execution Time"] ?? 0),
            totalKeysExamined: totals.keys,
            totalDocsExamined: totals.documents,
            executionStages: stage,
          },
        }
      : {}),
    command: { ...command, $db: database },
    serverInfo: { host: "127.0.0.1", version: "local engine" },
    ok: 1,
  };
}

const loops = (node: PlanNode): number => node["Actual Loops"] ?? 1;
/** PostgreSQL reports an average over loops, so the product is rounded back to a count. */
const rows = (node: PlanNode): number => Math.round((node["Actual Rows"] ?? 0) * loops(node));
const removed = (node: PlanNode): number =>
  Math.round(
    ((node["Rows Removed by Filter"] ?? 0) + (node["Rows Removed by Index Recheck"] ?? 0)) * loops(node),
  );

function counts(node: PlanNode): Document {
  return { nReturned: rows(node) };
}

function convert(
  node: PlanNode,
  details: IndexDetail[] | undefined,
  totals: Totals,
  query: Explained,
): Document | undefined {
  const known = node.IndexDetails ?? details;
  switch (node["Node Type"]) {
    case "Seq Scan":
    case "Sample Scan": {
      const documents = rows(node) + removed(node);
      totals.documents += documents;
      return { stage: "COLLSCAN", direction: "forward", ...counts(node), docsExamined: documents };
    }
    case "Index Scan":
      return indexScan(node, known, totals, query);
    case "Index Only Scan": {
      const documents = node["Heap Fetches"] ?? 0;
      totals.documents += documents;
      const scan = indexStage(node, known, rows(node) + removed(node), totals);
      return { stage: "PROJECTION_COVERED", ...counts(node), docsExamined: documents, inputStage: scan };
    }
    case "Bitmap Heap Scan": {
      const documents = rows(node) + removed(node);
      totals.documents += documents;
      const inputs = children(node, known, totals, query);
      return { stage: "FETCH", ...counts(node), docsExamined: documents, ...asInputs(inputs) };
    }
    case "Bitmap Index Scan":
      return indexStage(node, known, rows(node), totals);
    case "Tid Scan":
    case "Function Scan":
    case "Values Scan":
      return undefined;
  }
  const inputs = children(node, known, totals, query);
  if (TRANSPARENT.has(node["Node Type"]) && inputs.length <= 1) return inputs[0];
  const stage = STAGES[node["Node Type"]] ?? node["Node Type"].toUpperCase().replaceAll(" ", "_");
  return { stage, ...counts(node), ...asInputs(inputs) };
}

function children(
  node: PlanNode,
  details: IndexDetail[] | undefined,
  totals: Totals,
  query: Explained,
): Document[] {
  return (node.Plans ?? []).flatMap((child) => convert(child, details, totals, query) ?? []);
}

function asInputs(inputs: Document[]): Document {
  if (inputs.length === 0) return {};
  return inputs.length === 1 ? { inputStage: inputs[0] } : { inputStages: inputs };
}

function indexScan(
  node: PlanNode,
  details: IndexDetail[] | undefined,
  totals: Totals,
  query: Explained,
): Document {
  const documents = rows(node) + removed(node);
  totals.documents += documents;
  if (node["Index Name"] === "_id_" && !(node["Index Cond"] ?? "").includes("object_id")) {
    // The engine reads a whole collection in the order of its primary key; that is an index scan in
    // MongoDB's sense only when somebody asked for that order.
    const sort = query.spec.sort as Document | undefined;
    if (sort === undefined || !("_id" in sort)) {
      return { stage: "COLLSCAN", direction: "forward", ...counts(node), docsExamined: documents };
    }
  }
  const scan = indexStage(node, details, documents, totals);
  return { stage: "FETCH", ...counts(node), docsExamined: documents, inputStage: scan };
}

function indexStage(
  node: PlanNode,
  details: IndexDetail[] | undefined,
  found: number,
  totals: Totals,
): Document {
  const name = node["Index Name"] ?? "";
  const detail = details?.find((candidate) => candidate.indexName === name);
  const keys = detail?.innerScanLoops ?? found;
  totals.keys += keys;
  return {
    stage: "IXSCAN",
    nReturned: found,
    keyPattern: name === "_id_" ? { _id: 1 } : keyPattern(detail),
    indexName: name,
    isMultiKey: detail?.isMultiKey ?? false,
    direction: node["Scan Direction"] === "Backward" ? "backward" : "forward",
    ...bounds(detail),
    keysExamined: keys,
  };
}

function keyPattern(detail: IndexDetail | undefined): Document {
  try {
    return JSON.parse(detail?.indexKey ?? "{}") as Document;
  } catch {
    return {};
  }
}

/** `["c": [3, 3], "i": DESC(MinKey, MaxKey)]` becomes `{ c: ["[3, 3]"], i: ["(MinKey, MaxKey)"] }`. */
function bounds(detail: IndexDetail | undefined): Document {
  const indexBounds: Record<string, string[]> = {};
  for (const alternative of detail?.indexBounds ?? []) {
    for (const [, path, range] of alternative.matchAll(/"([^"]+)": (?:DESC)?([[(][^\])]*[\])])/g)) {
      if (path === undefined || range === undefined) continue;
      indexBounds[path] = [...(indexBounds[path] ?? []), range];
    }
  }
  return Object.keys(indexBounds).length > 0 ? { indexBounds } : {};
}

function withoutCounts(stage: Document): Document {
  const { nReturned: _n, keysExamined: _k, docsExamined: _d, inputStage, inputStages, ...rest } = stage;
  return {
    ...rest,
    ...(inputStage === undefined ? {} : { inputStage: withoutCounts(inputStage as Document) }),
    ...(inputStages === undefined ? {} : { inputStages: (inputStages as Document[]).map(withoutCounts) }),
  };
}
