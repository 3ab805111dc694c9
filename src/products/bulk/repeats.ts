import { createHash } from "node:crypto";
import { NumberMap } from "../../lib/number-map";
import { canonicalKey } from "../../lib/text";
import type { GoodLine } from "./check";
import type { ImportFault } from "./shapes";

/** 53 bits: of a million keys two are the same by chance in one of 18,000 files. */
const hashOf = (text: string): number => {
  const hash = createHash("sha256").update(text).digest();
  return hash.readUIntBE(0, 6) * 32 + (hash.readUInt8(6) & 31);
};

/** Row, name and slug together are at most 53 bits: rows up to eight millions. */
const SPACE = 2 ** 15;

/** A text as one of few numbers; 0 for none. Two are the same by chance in one of 32,767 cases, which the shop's own keys tell. */
const fold = (text: string | undefined): number =>
  text === undefined ? 0 : 1 + (hashOf(text) % (SPACE - 1));

const differ = (known: number, one: number): boolean => known !== 0 && one !== 0 && known !== one;

/**
 * Which row of a file named a SKU or a slug first, and for which product: two products cannot have one. Rows are kept
 * as numbers, since a file may have millions.
 */
export class Repeats {
  /** By the hash of a key: the row, and beside it 15 bits of its product's name and of its slug. */
  readonly #rows = new NumberMap();

  /**
   * Records the keys of a line.
   * @returns whether the file names all of them for the first time, or why the line cannot be: an earlier row gave one
   * of them to another product
   */
  note({ read, line, variants, skuKeys, slugKey }: GoodLine): boolean | ImportFault[] {
    const name = fold(line.name === undefined ? undefined : canonicalKey(line.name));
    const slug = fold(slugKey);
    const made = line.variants === undefined && line.sku === undefined;
    const keys = [
      ...skuKeys.map((key, index) => ({
        key: `k${key}`,
        what: `SKU ${variants[index]?.sku}${variants[index]?.derived ? ", made of its slug and options," : ""}`,
        made,
      })),
      ...(slugKey === undefined ? [] : [{ key: `s${slugKey}`, what: `slug ${slugKey}`, made: false }]),
    ];
    let isFirst = true;
    for (const { key, what, made } of keys) {
      const hash = hashOf(key);
      const before = this.#rows.get(hash);
      if (before === undefined) {
        this.#rows.set(hash, (read.row * SPACE + name) * SPACE + slug);
        continue;
      }
      isFirst = false;
      const row = Math.floor(before / SPACE ** 2);
      const isOther = differ(Math.floor(before / SPACE) % SPACE, name) || differ(before % SPACE, slug);
      if (made) {
        const message = `is the product of row ${row} again, without a SKU or options that tell it apart`;
        return [{ row: read.row, message, kind: "the same product again" }];
      }
      if (isOther) {
        const message = `the ${what} is that of another product in row ${row}`;
        return [{ row: read.row, message, kind: `a ${what.split(" ", 1)} of another product` }];
      }
    }
    return isFirst;
  }
}
