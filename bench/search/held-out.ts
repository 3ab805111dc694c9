/**
 * Queries written by rule from the catalogue itself, and not by anybody who tuned the search: it is tuned by
 * `judgements.ts` alone, whose queries and the brands in them are left out here.
 */
import { JUDGEMENTS, type JudgedProduct, type Judgement } from "./judgements";

export const HELD_OUT_PARTS = ["series", "series, mistyped", "device", "goes with", "category"] as const;
export type HeldOutPart = (typeof HELD_OUT_PARTS)[number];
export type HeldOut = Omit<Judgement, "part"> & { part: HeldOutPart };

/** Most queries of each part. */
const MOST = 30;

/** Words of a text, by a rule of its own and not by the search's. */
const plain = (text: string): string =>
  text
    .replace(/[™®©]/g, "")
    .normalize("NFKD")
    .replace(/\p{M}+/gu, "")
    .replace(/[^\p{L}\p{N}+.]+|\.(?!\d)/gu, " ")
    .trim()
    .replace(/\s+/g, " ")
    .toLowerCase();
const has = (text: string, words: string): boolean => ` ${plain(text)} `.includes(` ${words} `);

/** Every word, for names of several devices ("iPhone 6 Plus and 6s Plus"). */
const hasAll = (text: string, words: string): boolean => words.split(" ").every((word) => has(text, word));

/** Things for a device, and what the catalogue calls them. */
const KINDS: Record<string, RegExp> = {
  case: /case|cover|shell/i,
  cover: /case|cover|shell/i,
  "screen protector": /screen protector|invisibleshield|glass/i,
  battery: /battery/i,
  holster: /holster/i,
  band: /band|strap/i,
};

const isAccessory = ({ categories }: JudgedProduct): boolean =>
  categories.some((category) => /Accessor/.test(category));
const titleOf = ({ name }: JudgedProduct): string => name.split(" - ")[1] ?? name;

/** Every n-th of a list, so that there are at most `MOST`, spread over all of it. */
const spread = <T>(list: T[]): T[] => list.filter((_, index) => index % Math.ceil(list.length / MOST) === 0);

/** What is typed when two letters in the middle of the longest word change places. */
function mistyped(query: string): string {
  const longest = query.split(" ").reduce((most, word) => (word.length > most.length ? word : most));
  const middle = longest.length >> 1;
  const swapped =
    longest.slice(0, middle - 1) + longest[middle] + longest[middle - 1] + longest.slice(middle + 1);
  return query.replace(longest, swapped);
}

/** What a phone is called before what it has ("Galaxy J3 4G LTE with …"). */
const modelOf = (product: JudgedProduct): string =>
  plain(
    titleOf(product).split(/\b(?:4G|LTE|with|Cell|Prepaid|No-Contract|Phone|Unlocked|\d+GB)\b|\(/)[0] ?? "",
  ).replace(/^(?:geek squad certified )?refurbished /, "");

/** @param products the judged catalogue; @returns the queries, the same ones for the same catalogue */
export function heldOut(products: JudgedProduct[]): HeldOut[] {
  const tuned = JUDGEMENTS.map(({ query }) => ` ${plain(query)} `);
  const isTuned = (query: string) => tuned.some((text) => text.trim() === query);
  const isTunedBrand = (brand: string) => tuned.some((text) => text.includes(` ${plain(brand)} `));
  const unique = (queries: string[]) => [...new Set(queries)].filter((query) => !isTuned(query)).toSorted();

  const series = new Map<string, HeldOut>();
  for (const product of products) {
    const [first = ""] = plain(titleOf(product)).split(" ");
    const brand = plain(product.brand);
    const named = products.filter((one) => plain(one.brand) === brand && has(titleOf(one), first)).length;
    const query = `${brand} ${first}`;
    if (isTunedBrand(brand) || !/^\p{L}{5,}$/u.test(first) || named < 2 || series.has(query)) continue;
    series.set(query, {
      query,
      part: "series",
      why: "a maker and the name of one of its lines",
      grades: [
        [3, (one) => plain(one.brand) === brand && has(titleOf(one), first)],
        [1, (one) => plain(one.brand) === brand],
      ],
    });
  }
  const lines = [...series.values()].toSorted((a, b) => (a.query < b.query ? -1 : 1));
  const even = spread(lines.filter((_, index) => index % 2 === 0));
  const odd = spread(lines.filter((_, index) => index % 2 === 1)).map(
    (line): HeldOut => ({
      ...line,
      query: mistyped(line.query),
      part: "series, mistyped",
      why: "the same, with two letters swapped",
    }),
  );

  const phones = products.filter((product) => !isAccessory(product));
  const models = unique(phones.map(modelOf)).filter(
    (model) => /^\S+( \S+){1,3}$/.test(model) && /\d/.test(model),
  );
  const devices = spread(models).map(
    (query): HeldOut => ({
      query,
      part: "device",
      why: "the name of a phone, whose accessories name it too",
      grades: [
        [3, (one) => !isAccessory(one) && modelOf(one).endsWith(query)],
        [2, (one) => !isAccessory(one) && has(one.name, query)],
        [1, (one) => has(one.name, query)],
      ],
    }),
  );

  const TARGET =
    /\b(Case|Screen Protector|Battery|Holster|Band|Cover) for (?:Select )?((?:\S+ ){1,4}?)(?:Cell Phones|Mobile Phones|-|and |$)/;
  const makers = new Set(products.map(({ brand }) => plain(brand)));
  const pairs = new Map<string, HeldOut>();
  for (const { name } of products) {
    const [, type = "", target = ""] = TARGET.exec(name) ?? [];
    const [thing, device] = [plain(type), plain(target)];
    const query = `${device} ${thing}`;
    if (!/\d/.test(device) || isTuned(query)) continue;
    // "Case for iPhone 7" is as good as "Case for Apple iPhone 7".
    const [maker = "", ...rest] = device.split(" ");
    const model = rest.length > 0 && makers.has(maker) ? rest.join(" ") : device;
    pairs.set(query, {
      query,
      part: "goes with",
      why: "a thing for a device",
      grades: [
        [3, (one) => isAccessory(one) && KINDS[thing]?.test(one.name) === true && hasAll(one.name, model)],
        [1, (one) => isAccessory(one) && hasAll(one.name, model)],
      ],
    });
  }

  const leaves = unique(products.map(({ categories }) => plain(categories.at(-1) ?? "")));
  const kinds = leaves
    .filter((leaf) => products.filter((one) => plain(one.categories.at(-1) ?? "") === leaf).length >= 4)
    .map(
      (query): HeldOut => ({
        query,
        part: "category",
        why: "the name of a kind of things",
        grades: [
          [3, (one) => one.categories.some((category) => plain(category) === query)],
          [2, (one) => has(titleOf(one), query.replace(/s$/, ""))],
        ],
      }),
    );
  return [
    ...even,
    ...odd,
    ...devices,
    ...spread([...pairs.values()].toSorted((a, b) => (a.query < b.query ? -1 : 1))),
    ...spread(kinds),
  ];
}
