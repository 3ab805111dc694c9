import { isObject } from "../../lib/json";
import { oneLine } from "./context";

/** How long texts may be that describe and name nobody; longer ones are cut, and the event is kept. */
const CONTEXT = {
  userAgent: 1000,
  page: { url: 4000, path: 2000, referrer: 4000, title: 1000 },
  campaign: { source: 100, medium: 100 },
} as const;
const EVENT = { event: 200, name: 500, category: 200, context: CONTEXT } as const;

interface Lengths {
  readonly [field: string]: number | Lengths;
}

/** Half of a surrogate pair at the end of what was cut is none of it. */
export const cut = (text: string, length: number): string =>
  text.length > length ? text.slice(0, length).replace(/[\ud800-\udbff]$/, "") : text;

function shortenBy(value: unknown, lengths: Lengths): { value: unknown; shortened: boolean } {
  if (!isObject(value)) return { value, shortened: false };
  const result: Record<string, unknown> = { ...value };
  let shortened = false;
  for (const [field, limit] of Object.entries(lengths)) {
    const text = result[field];
    if (typeof limit === "number") {
      if (typeof text !== "string") continue;
      const clean = oneLine(text);
      result[field] = cut(clean, limit);
      shortened ||= clean.length > limit;
    } else if (text !== undefined) {
      const inner = shortenBy(text, limit);
      result[field] = inner.value;
      shortened ||= inner.shortened;
    }
  }
  return { value: result, shortened };
}

/** An event with its addresses, titles and names on one line and no longer than they may be. */
export const shorten = (event: unknown) => shortenBy(event, EVENT);
/** The same of the context of a batch. */
export const shortenContext = (context: unknown): unknown => shortenBy(context, CONTEXT).value;
