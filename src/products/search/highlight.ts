/** Marks what made a product fit. Texts stay texts: whoever shows them makes the markup. */
import type { MarkedText } from "./schema";
import { joined, wordsOf } from "./text";

/** Words before and behind the first marked one that are shown of a long text. */
const BEFORE = 8;
const AROUND = 30;

/** Where marked words are, joined when nothing but a space or sign is between them. */
function spansOf(
  text: string,
  words: ReturnType<typeof wordsOf>,
  matched: ReadonlySet<string>,
): [number, number][] {
  const spans: [number, number][] = [];
  for (const [index, word] of words.entries()) {
    const next = words[index + 1];
    const whole = matched.has(word.surface) || word.parts.some((part) => matched.has(part));
    const pair = next !== undefined && matched.has(joined(word.surface, next.surface));
    if (!whole && !pair) continue;
    const end = pair ? next.end : word.end;
    const last = spans.at(-1);
    if (last && (word.start < last[1] || text.slice(last[1], word.start) === ""))
      last[1] = Math.max(last[1], end);
    else spans.push([word.start, end]);
  }
  return spans;
}

/**
 * A text in parts.
 * @param matched words in the form of `wordsOf`
 * @param whole false for only a part of a long text, around the first marked word; empty when none is marked
 */
export function markText(text: string, matched: ReadonlySet<string>, whole: boolean): MarkedText {
  const well = text.toWellFormed();
  const words = wordsOf(well);
  const spans = spansOf(well, words, matched);
  let from = 0;
  let to = well.length;
  if (!whole) {
    const [first] = spans;
    if (!first) return [];
    const at = words.findIndex(({ start }) => start >= first[0]);
    from = at <= BEFORE ? 0 : (words[at - BEFORE]?.start ?? 0);
    to = words[Math.max(0, at - BEFORE) + AROUND]?.start ?? well.length;
  }
  const parts: MarkedText = [];
  const add = (start: number, end: number, marked: boolean) => {
    const part = well.slice(Math.max(from, start), Math.min(to, end));
    if (part !== "") parts.push({ text: part, marked });
  };
  let last = from;
  for (const [start, end] of spans) {
    add(last, start, false);
    add(start, end, true);
    last = Math.max(last, end);
  }
  add(last, to, false);
  return parts;
}
