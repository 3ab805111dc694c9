import { createHash } from "node:crypto";
import { canonicalKey } from "../../lib/text";
import type { GoodLine } from "./check";
import type { ImportFault } from "./shapes";

/** 53 bits: of a million keys two are the same by chance in one of 18,000 files. */
const hashOf = (text: string): number => {
  const hash = createHash("sha256").update(text).digest();
  return hash.readUIntBE(0, 6) * 32 + (hash.readUInt8(6) & 31);
};

const NAME_SPACE = 2 ** 20;

/**
 * Which row of a file named a SKU or a slug first, and for which product: two products cannot have one. Rows are kept
 * as numbers, since a file may have millions.
 */
export class Repeats {
  /** By the hash of a key: the row, and beside it 20 bits of its product's name. */
  readonly #rows = new Map<number, number>();

  /**
   * Records the keys of a line.
   * @returns whether the file names all of them for the first time, or why the line cannot be: an earlier row gave one
   * of them to another product
   */
  note({ read, line, variants, skuKeys, slugKey }: GoodLine): boolean | ImportFault[] {
    const name = line.name === undefined ? 0 : 1 + (hashOf(canonicalKey(line.name)) % (NAME_SPACE - 1));
    const made = line.variants === undefined && line.sku === undefined;
    const keys = [
      ...skuKeys.map((key, index) => ({ key: `k${key}`, what: `SKU ${variants[index]?.sku}`, made })),
      ...(slugKey === undefined ? [] : [{ key: `s${slugKey}`, what: `slug ${slugKey}`, made: false }]),
    ];
    let isFirst = true;
    for (const { key, what, made } of keys) {
      const hash = hashOf(key);
      const before = this.#rows.get(hash);
      if (before === undefined) {
        this.#rows.set(hash, read.row * NAME_SPACE + name);
        continue;
      }
      isFirst = false;
      const [row, known] = [Math.floor(before / NAME_SPACE), before % NAME_SPACE];
      if (made) {
        const message = `is the product of row ${row} again, without a SKU or options that tell it apart`;
        return [{ row: read.row, message, kind: "the same product again" }];
      }
      if (known !== 0 && name !== 0 && known !== name) {
        const message = `the ${what} is that of another product in row ${row}`;
        return [{ row: read.row, message, kind: `a ${what.split(" ", 1)} of another product` }];
      }
    }
    return isFirst;
  }
}
