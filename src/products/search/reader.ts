/** Reads the index as it is now: segments, and products that changed since they were made. */
import type { TermEntry } from "./analyse";
import { type ReadSegment, SegmentBuilder, tieOf, viewOf } from "./builder";
import { unpack } from "./document";
import type { ReadDocument } from "./documents.store";
import { kindsOf } from "./kinds";
import { type Lexicon, WordCache } from "./lexicon";
import type { Kind } from "./match";
import type { Head } from "./model";
import type { Group } from "./parts";
import { Postings } from "./segment";
import { BLOCK } from "./segments.store";
import type { IndexStore } from "./store";

/** Most changed products that a search looks through. */
const MOST_CHANGED = 20_000;
/** Changed products up to which all of them are kept in memory; of more, those are read that have a term. */
const FEW = 512;
/** Memory for words of the index, in bytes. */
const WORDS = 8 * 2 ** 20;

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

/** A changed product with its terms. */
interface Changed {
  document: ReadDocument;
  terms: Map<string, TermEntry>;
}

/** What the index consists of at one moment. */
export interface Seen extends Head {
  /** Products that changed since the segments were made, with the stamps of the last writes. */
  changed: { id: string; stamp: string }[];
}

export interface IndexReader {
  look(): Promise<Seen>;
  lexicon(seen: Head): Lexicon;
  /**
   * Reads what terms need. What was taken into segments since the look is still read from its document.
   * @param ids products that are read even when they have none of the terms
   */
  open(seen: Seen, terms: string[], groups: Group[], ids: string[]): Promise<Opened>;
}

/** Where the products of a segment with these ties are. */
export function ordinalsOf({ columns: { tie }, order }: ReadSegment, ties: number[]): number[] {
  const found: number[] = [];
  for (const wanted of ties) {
    let low = 0;
    let high = order.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((tie[order[middle] as number] as number) < wanted) low = middle + 1;
      else high = middle;
    }
    for (; low < order.length && tie[order[low] as number] === wanted; low++)
      found.push(order[low] as number);
  }
  return found;
}

/** The ordinals of a segment in the order of their ties. */
function orderByTie({ columns: { tie }, count }: ReadSegment): Uint16Array {
  const order = Uint16Array.from({ length: count }, (_, ordinal) => ordinal);
  return order.sort((a, b) => (tie[a] as number) - (tie[b] as number));
}

/**
 * What is kept in memory is never stale: parts of segments never change, words are forgotten when they change,
 * changed products are kept under their stamp.
 */
export function createIndexReader(store: IndexStore): IndexReader {
  const words = new WordCache(WORDS);
  let changedOnes = new Map<string, Changed>();
  let lastEpoch: number | undefined;
  let learnt: { epoch: number; kinds: Map<string, Kind[]>; orders: Map<string, Uint16Array> } | undefined;

  const changedOf = (document: ReadDocument): Changed => ({
    document,
    terms: new Map(unpack(document).map((entry) => [entry.term, entry])),
  });

  /** Changed products that are for sale and have one of these terms or ids. */
  const readChanged = async (
    epoch: number,
    listed: { id: string; stamp: string }[],
    terms: string[],
    ids: string[],
  ): Promise<Changed[]> => {
    if (listed.length === 0) return [];
    if (listed.length > FEW) return (await store.documents.recentWith(epoch, terms, ids)).map(changedOf);
    const known = changedOnes;
    const missing = listed.filter(({ id, stamp }) => known.get(id)?.document.stamp !== stamp);
    const read = await store.documents.byIds(missing.map(({ id }) => id));
    const fresh = new Map(read.map((document) => [document._id, changedOf(document)]));
    const all = listed.flatMap(({ id }) => fresh.get(id) ?? known.get(id) ?? []);
    changedOnes = new Map(all.map((changed) => [changed.document._id, changed]));
    const wanted = new Set(ids);
    return all.filter(
      ({ document, terms: own }) =>
        document.live && (wanted.has(document._id) || terms.some((term) => own.has(term))),
    );
  };

  /** A segment of changed products, with these terms alone. */
  const segmentOf = (changed: Changed[], terms: string[]) => {
    const builder = new SegmentBuilder();
    const sorted = changed.toSorted((a, b) => (a.document._id < b.document._id ? -1 : 1));
    for (const { document, terms: own } of sorted)
      builder.add(
        document,
        terms.flatMap((term) => own.get(term) ?? []),
      );
    const postings = new Map(
      [...builder.postings.terms()].map((term) => [term, new Postings(builder.postings.of(term))]),
    );
    const count = sorted.length;
    return {
      builder,
      segment: viewOf("", count, (term) => postings.get(term), builder.columns(), new Uint8Array(count)),
    };
  };

  /** Says of each segment what kinds it has and how its ties are ordered, once for each epoch. */
  const learn = (epoch: number, segments: ReadSegment[]): NonNullable<typeof learnt> => {
    if (learnt?.epoch === epoch) return learnt;
    const ofSegment = kindsOf(segments);
    const orders = learnt?.orders;
    learnt = {
      epoch,
      kinds: new Map(segments.map((segment) => [segment.id, ofSegment(segment)])),
      orders: new Map(
        segments.map((segment) => [segment.id, orders?.get(segment.id) ?? orderByTie(segment)]),
      ),
    };
    return learnt;
  };

  return {
    async look() {
      const expected = lastEpoch;
      const changedSince = (epoch: number) => store.documents.changedSince(epoch, MOST_CHANGED);
      // At the same time, since the epoch is nearly always what it was a moment ago.
      const [head, changed] = await Promise.all([
        store.segments.head(),
        expected === undefined ? [] : changedSince(expected),
      ]);
      const { epoch } = head.manifest;
      words.advance(head.words);
      lastEpoch = epoch;
      return { ...head, changed: epoch === expected ? changed : await changedSince(epoch) };
    },

    lexicon: ({ words: { version } }) => words.over(store.words.lexicon, version),

    async open({ manifest, changed: listed }, terms, groups, ids) {
      const { epoch } = manifest;
      const read = await store.segments.read(manifest.segments, terms, groups);
      const changed = await readChanged(epoch, listed, terms, ids);
      const { kinds, orders } = learn(epoch, read);
      // Of many, some may have been written since they were listed.
      const recentIds = new Set([...listed.map(({ id }) => id), ...changed.map((one) => one.document._id)]);
      const ties = [...recentIds].map(tieOf);
      for (const segment of read) {
        segment.kinds = kinds.get(segment.id) as Kind[];
        segment.order = orders.get(segment.id) as Uint16Array;
        const gone = ordinalsOf(segment, ties);
        if (gone.length === 0) continue;
        segment.hidden = segment.hidden.slice();
        for (const ordinal of gone) segment.hidden[ordinal] = 1;
      }
      const segments = [...read];
      const { builder, segment: recent } = segmentOf(changed, terms);
      if (changed.length > 0) {
        recent.kinds = kindsOf(read.length === 0 ? [recent] : read)(recent);
        recent.order = orderByTie(recent);
        segments.push(recent);
      }
      return {
        segments,
        changed: listed.length,
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
          const lists = await store.segments.listed("names", blocks);
          return blocks.flatMap((_, block) => lists.get(`${segment.id}.names.${block}`) ?? []);
        },
      };
    },
  };
}
