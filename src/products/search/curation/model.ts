/** What managers decide about searches. */
import { modelOf, schemaOf } from "../../../db/model";

interface Managed {
  _id: string;
  version: number;
  createdAt: Date;
  updatedAt: Date;
}

/** Terms that mean the same; with an input, only who searches for that finds the terms too. */
export interface SynonymDocument extends Managed {
  input: string | null;
  terms: string[];
}

/** What one query shows first, hides, or leads to. */
export interface RuleDocument extends Managed {
  query: string;
  /** The query as it is compared, see `ruleKeyOf`. Unique. */
  key: string;
  pinned: string[];
  hidden: string[];
  /** Id of the category to show instead. */
  redirect: string | null;
}

const openSchema = (collection: string) =>
  schemaOf<{ _id: string }>(
    { _id: { type: String, required: true } },
    { collection, versionKey: false, strict: false },
  );

export const synonymModel = modelOf("SearchSynonym", openSchema("search_synonyms"));
export const ruleModel = modelOf(
  "SearchRule",
  openSchema("search_rules").index({ key: 1 }, { unique: true }),
);

export const CURATION_MODELS = [synonymModel, ruleModel] as const;
