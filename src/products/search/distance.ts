/** How many of a word's first characters its neighbourhood is made from: more would only make the index larger. */
const PREFIX = 7;

/** How many typing mistakes a word may hold: none below four letters, one up to seven, two in longer ones. */
export const mistakesIn = (word: string): number => {
  if (/\p{N}/u.test(word)) return 0;
  const { length } = [...word];
  return length < 4 ? 0 : length < 8 ? 1 : 2;
};

/**
 * The neighbourhood of a word: itself and what is left of its first seven characters when up to `mistakes` are taken out.
 * Two words within that many mistakes of each other share a member, whichever mistakes they are (Garbe's symmetric
 * delete spelling correction), so an index of these finds every candidate by equality.
 */
export function neighbourhood(word: string, mistakes: number): string[] {
  const found = new Set<string>([[...word].slice(0, PREFIX).join("")]);
  let last = [...found];
  for (let depth = 0; depth < mistakes; depth++) {
    const next = new Set<string>();
    for (const text of last) {
      const characters = [...text];
      for (let index = 0; index < characters.length; index++) {
        next.add(characters.slice(0, index).join("") + characters.slice(index + 1).join(""));
      }
    }
    last = [...next];
    for (const text of last) found.add(text);
  }
  found.delete("");
  return [...found];
}

/**
 * Letters left out, added, changed or swapped between two words (optimal string alignment).
 * @returns the number, or `most` + 1 when there are more
 */
export function distance(left: string, right: string, most: number): number {
  const a = [...left];
  const b = [...right];
  if (Math.abs(a.length - b.length) > most) return most + 1;
  let before: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    let least = i;
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let value = Math.min(
        (previous[j] ?? 0) + 1,
        (row[j - 1] ?? 0) + 1,
        (previous[j - 1] ?? 0) + (same ? 0 : 1),
      );
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        value = Math.min(value, (before[j - 2] ?? 0) + 1);
      }
      row.push(value);
      if (value < least) least = value;
    }
    if (least > most) return most + 1;
    before = previous;
    previous = row;
  }
  return Math.min(previous[b.length] ?? 0, most + 1);
}
