/** What searches go by: synonyms and rules as they are now. */
import { canonicalKey } from "../../../lib/text";
import type { CategoryDocument } from "../../categories/model";
import type { CategoryStore } from "../../categories/store";
import { parseQuery } from "../parse";
import type { Synonyms } from "../plan";
import { compileSynonyms, ENGLISH, type SynonymSet } from "../synonyms";
import type { RuleDocument, SynonymDocument } from "./model";
import type { CurationStore } from "./store";

/** The form in which queries are compared with those of rules: their words; whole when they have signs with a meaning. */
export function ruleKeyOf(query: string): string {
  const { words, phrases, without } = parseQuery(query);
  if (phrases.length > 0 || without.length > 0) return canonicalKey(query).replace(/\s+/gu, " ");
  return words.map(({ surface }) => surface).join(" ");
}

/** What of a category a search shows. */
export type CategoryName = Pick<CategoryDocument, "name" | "path">;

export interface CurrentCuration {
  synonyms: Synonyms;
  ruleFor(query: string): RuleDocument | undefined;
  /** Names of categories; those that are gone are left out. */
  categories(ids: string[]): Promise<Map<string, CategoryName>>;
}

const setOf = ({ input, terms }: SynonymDocument): SynonymSet =>
  input === null ? { from: terms, to: terms } : { from: [input], to: terms };

/** Most categories whose names are kept in memory. */
const MOST_CATEGORIES = 20_000;

/**
 * Keeps what was read for as long as its version in the database is the same, so that a change counts for the next
 * search on every process. Versions are read before the rows: what changes in between is read again next time.
 */
export function createCuration(
  store: CurationStore,
  categories: Pick<CategoryStore, "findByIds">,
): { current(): Promise<CurrentCuration> } {
  let rules: (Pick<CurrentCuration, "synonyms" | "ruleFor"> & { version: number }) | undefined;
  let names = { version: -1, known: new Map<string, CategoryName | null>() };

  const read = async (version: number) => {
    const [synonyms, all] = await Promise.all([store.synonyms.all(), store.rules.all()]);
    const byKey = new Map(all.map((rule) => [rule.key, rule]));
    rules = {
      version,
      synonyms: compileSynonyms([...ENGLISH, ...synonyms.map(setOf)]),
      ruleFor: (query) => (byKey.size === 0 ? undefined : byKey.get(ruleKeyOf(query))),
    };
    return rules;
  };

  return {
    async current() {
      const versions = await store.versions();
      const { synonyms, ruleFor } =
        rules?.version === versions.curation ? rules : await read(versions.curation);
      if (names.version !== versions.categories || names.known.size > MOST_CATEGORIES)
        names = { version: versions.categories, known: new Map() };
      const { known } = names;
      return {
        synonyms,
        ruleFor,
        async categories(ids) {
          const missing = ids.filter((id) => !known.has(id));
          const found = missing.length === 0 ? undefined : await categories.findByIds(missing);
          for (const id of missing) {
            const { name, path } = found?.get(id) ?? {};
            known.set(id, name === undefined || path === undefined ? null : { name, path });
          }
          return new Map(
            ids.flatMap((id) => {
              const name = known.get(id);
              return name ? [[id, name] as const] : [];
            }),
          );
        },
      };
    },
  };
}

export type Curation = ReturnType<typeof createCuration>;
