/** Which products fit a text, with scores, over the segments and what changed since they were made. */
import { type ReadSegment, SegmentBuilder, setKinds, tieOf, viewOf } from "./builder";
import { STRICTNESS, type Strictness } from "./match";
import type { ParsedQuery } from "./parse";
import { type Plan, planOf, type Synonyms } from "./plan";
import { scoresOf, termsOf, type Weights, weightsOf } from "./score";
import { BLOCK, type Group } from "./segments.store";
import type { IndexStore } from "./store";

/** Most changed products that a search looks through. */
const MOST_CHANGED = 20_000;
/** The score of what comes first for another reason than its text; below it, those of texts. */
const FIRST = 1e6;

/** The index as one search sees it. */
export interface Opened {
  segments: ReadSegment[];
  /** How many products changed since the segments were made. */
  changed: number;
  /** Ids of products, wherever they are. */
  idsOf(hits: { segment: ReadSegment; ordinal: number }[]): Promise<string[]>;
  /** Names in the form for sorting, of whole segments. */
  namesOf(segment: ReadSegment): Promise<string[]>;
}

/**
 * Reads what terms need, from segments and from what changed since. The manifest is read first: what left the documents'
 * own side after that is still there for whoever knows only the older manifest.
 * @param ids products that are read even when they have none of the terms
 */
export async function openIndex(
  store: IndexStore,
  terms: string[],
  groups: Group[],
  ids: string[] = [],
): Promise<Opened> {
  const manifest = await store.segments.manifest();
  const [segments, changed, documents] = await Promise.all([
    store.segments.read(manifest.segments, terms, groups),
    store.documents.changedSince(manifest.epoch, MOST_CHANGED),
    store.documents.recentWith(manifest.epoch, terms, ids),
  ]);
  const ties = new Set(changed.map(tieOf));
  if (ties.size > 0) {
    for (const { count, columns, hidden } of segments) {
      for (let ordinal = 0; ordinal < count; ordinal++) {
        if (ties.has(columns.tie[ordinal] as number)) hidden[ordinal] = 1;
      }
    }
  }
  const builder = new SegmentBuilder();
  const only = new Set(terms);
  for (const document of documents) builder.add(document, only);
  const data = new Map([...builder.postings].map(([term, writer]) => [term, writer.done()]));
  const recent = viewOf("", documents.length, data, builder.columns(), new Uint8Array(documents.length));
  const all = documents.length === 0 ? segments : [...segments, recent];
  setKinds(all);
  return {
    segments: all,
    changed: ties.size,
    async idsOf(hits) {
      const places = hits
        .filter(({ segment }) => segment !== recent)
        .map(({ segment, ordinal }) => ({ segment: segment.id, ordinal }));
      const blocks = await store.segments.listed("ids", places);
      return hits.map(({ segment, ordinal }) =>
        segment === recent
          ? (builder.ids[ordinal] as string)
          : (blocks.get(`${segment.id}.ids.${Math.floor(ordinal / BLOCK)}`)?.[ordinal % BLOCK] as string),
      );
    },
    async namesOf(segment) {
      if (segment === recent) return builder.nameKeys;
      const blocks = Array.from({ length: Math.ceil(segment.count / BLOCK) }, (_, block) => ({
        segment: segment.id,
        ordinal: block * BLOCK,
      }));
      const read = await store.segments.listed("names", blocks);
      return blocks.flatMap((_, block) => read.get(`${segment.id}.names.${block}`) ?? []);
    },
  };
}

interface Fit {
  ordinals: number[];
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
  const places = new Map(first.map((id, index) => [tieOf(id), index]));
  const away = new Set(hidden.map(tieOf));
  return opened.segments.map((segment) => {
    const scores =
      plan.slots.length === 0
        ? new Float32Array(segment.count)
        : scoresOf(segment, plan, weights, strictness);
    const ordinals: number[] = [];
    let answers = false;
    for (let ordinal = 0; ordinal < segment.count; ordinal++) {
      if (segment.hidden[ordinal] === 1) continue;
      if (places.size > 0 || away.size > 0) {
        const tie = segment.columns.tie[ordinal] as number;
        if (away.has(tie)) continue;
        const place = places.get(tie);
        if (place !== undefined) {
          answers ||= place >= pinned || (scores[ordinal] as number) > 0;
          scores[ordinal] = FIRST - place;
          ordinals.push(ordinal);
          continue;
        }
      }
      if ((scores[ordinal] as number) === 0) continue;
      ordinals.push(ordinal);
      answers = true;
    }
    return { ordinals, scores, answers };
  });
}

/** Finds again what the first page of a search found. */
export async function findAgain(store: IndexStore, frozen: Frozen, groups: Group[]): Promise<Found> {
  const opened = await openIndex(store, termsOf(frozen.plan), groups, frozen.first);
  return { ...frozen, opened, fits: fitsOf(opened, frozen, 0) };
}

/** Finds products by text: as it is written; if nothing fits, by what is near to it; then by most of its words. */
export async function find(
  store: IndexStore,
  parsed: ParsedQuery,
  synonyms: Synonyms,
  { pinned, coded, hidden }: { pinned: string[]; coded: string[]; hidden: string[] },
  groups: Group[],
): Promise<Found> {
  const first = [...new Set([...pinned, ...coded])];
  let plan = await planOf(parsed, store.words.lexicon, synonyms, { spare: false });
  let opened = await openIndex(store, termsOf(plan), groups, first);
  for (const strictness of STRICTNESS) {
    if (strictness === "spare") {
      plan = await planOf(parsed, store.words.lexicon, synonyms, { spare: true });
      opened = await openIndex(store, termsOf(plan), groups, first);
    }
    const frozen: Frozen = { plan, weights: weightsOf(plan, opened.segments), strictness, first, hidden };
    const fits = fitsOf(opened, frozen, pinned.length);
    const found = fits.some(({ answers }) => answers);
    if (found || strictness === "most" || plan.slots.length === 0) return { ...frozen, opened, fits };
  }
  throw new Error("the last step of STRICTNESS ends the search");
}
