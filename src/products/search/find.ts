/** Which products fit a text, with scores, over the segments and what changed since they were made. */
import { tieOf } from "./builder";
import { STRICTNESS, type Strictness } from "./match";
import type { ParsedQuery } from "./parse";
import type { Group } from "./parts";
import { type Plan, planOf, type Synonyms } from "./plan";
import { type IndexReader, type Opened, ordinalsOf, type Seen } from "./reader";
import { scoresOf, termsOf, type Weights, weightsOf } from "./score";

/** The score of what comes first for another reason than its text; below it, those of texts. */
const FIRST = 1e6;

interface Fit {
  ordinals: Uint16Array;
  scores: Float32Array;
  /** Whether one of them fits for another reason than being pinned. */
  answers: boolean;
}

/** What is looked for, the same on all pages of a search. */
export interface Frozen {
  plan: Plan;
  weights: Weights;
  strictness: Strictness;
  /** Products that come first: that are pinned, or whose code was typed. */
  first: string[];
  hidden: string[];
}

export interface Found extends Frozen {
  opened: Opened;
  /** For each segment, the products whose text fits, with the scores of all. */
  fits: Fit[];
}

/** The products that fit what is looked for. */
function fitsOf(opened: Opened, { plan, weights, strictness, first, hidden }: Frozen, pinned: number): Fit[] {
  const away = hidden.map(tieOf);
  return opened.segments.map((segment) => {
    const { ordinals: scored, scores } =
      plan.slots.length === 0
        ? { ordinals: new Uint16Array(), scores: new Float32Array(segment.count) }
        : scoresOf(segment, plan, weights, strictness);
    for (const ordinal of ordinalsOf(segment, away)) scores[ordinal] = 0;
    let answers = false;
    const raised: number[] = [];
    for (const [place, id] of first.entries()) {
      if (hidden.includes(id)) continue;
      for (const ordinal of ordinalsOf(segment, [tieOf(id)])) {
        if (segment.hidden[ordinal] === 1) continue;
        answers ||= place >= pinned || (scores[ordinal] as number) > 0;
        if (scores[ordinal] === 0) raised.push(ordinal);
        scores[ordinal] = FIRST - place;
      }
    }
    const fitting = scored.filter(
      (ordinal) => segment.hidden[ordinal] !== 1 && (scores[ordinal] as number) > 0,
    );
    answers ||= fitting.some((ordinal) => (scores[ordinal] as number) < FIRST - first.length);
    const ordinals = raised.length === 0 ? fitting : Uint16Array.from([...fitting, ...raised]).sort();
    return { ordinals, scores, answers };
  });
}

/** Finds again what the first page of a search found. */
export async function findAgain(
  reader: IndexReader,
  seen: Seen,
  frozen: Frozen,
  groups: Group[],
): Promise<Found> {
  const opened = await reader.open(seen, termsOf(frozen.plan), groups, frozen.first);
  return { ...frozen, opened, fits: fitsOf(opened, frozen, 0) };
}

/** Finds products by text: as it is written; if nothing fits, by what is near to it; then by most of its words. */
export async function find(
  reader: IndexReader,
  seen: Seen,
  parsed: ParsedQuery,
  synonyms: Synonyms,
  { pinned, coded, hidden }: { pinned: string[]; coded: string[]; hidden: string[] },
  groups: Group[],
): Promise<Found> {
  const first = [...new Set([...pinned, ...coded])];
  const lexicon = reader.lexicon(seen);
  let plan = await planOf(parsed, lexicon, synonyms, { spare: false });
  let opened = await reader.open(seen, termsOf(plan), groups, first);
  for (const strictness of STRICTNESS) {
    if (strictness === "spare") {
      plan = await planOf(parsed, lexicon, synonyms, { spare: true });
      opened = await reader.open(seen, termsOf(plan), groups, first);
    }
    const frozen: Frozen = { plan, weights: weightsOf(plan, opened.segments), strictness, first, hidden };
    const fits = fitsOf(opened, frozen, pinned.length);
    const found = fits.some(({ answers }) => answers);
    if (found || strictness === "most" || plan.slots.length === 0) return { ...frozen, opened, fits };
  }
  throw new Error("the last step of STRICTNESS ends the search");
}
