/** What searches go by: synonyms and rules as they are now. */
import { canonicalKey } from "../../../lib/text";
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

export interface CurrentCuration {
  synonyms: Synonyms;
  ruleFor(query: string): RuleDocument | undefined;
}

const setOf = ({ input, terms }: SynonymDocument): SynonymSet =>
  input === null ? { from: terms, to: terms } : { from: [input], to: terms };

/**
 * Keeps what was read for as long as the version in the database is the same, so that a change counts for the next
 * search on every process.
 */
export function createCuration(store: CurationStore): { current(): Promise<CurrentCuration> } {
  let known: (CurrentCuration & { version: number }) | undefined;
  return {
    async current() {
      // Read before the rows: what changes in between is read again next time.
      const version = await store.version();
      if (known?.version === version) return known;
      const [synonyms, rules] = await Promise.all([store.synonyms.all(), store.rules.all()]);
      const byKey = new Map(rules.map((rule) => [rule.key, rule]));
      known = {
        version,
        synonyms: compileSynonyms([...ENGLISH, ...synonyms.map(setOf)]),
        ruleFor: (query) => (byKey.size === 0 ? undefined : byKey.get(ruleKeyOf(query))),
      };
      return known;
    },
  };
}

export type Curation = ReturnType<typeof createCuration>;
