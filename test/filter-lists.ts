/**
 * The public lists of what blockers stop (EasyList, EasyPrivacy and others), as Debian's webext-ublock-origin-chromium
 * carries them. `FILTER_LISTS` names another folder of lists.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

const FOLDER =
  process.env.FILTER_LISTS ?? "/usr/share/chromium/extensions/ublock-origin/assets/thirdparties/easylist";

/** Where the lists are; undefined when there are none. */
export const filterLists: string | undefined = existsSync(FOLDER) ? FOLDER : undefined;

/** All rules of the lists. */
export const readFilterLists = (folder: string): string =>
  [...new Bun.Glob("**/*.txt").scanSync(folder)]
    .map((name) => readFileSync(join(folder, name), "utf8"))
    .join("\n");
