/** Fetches the pictures that an import's file names. Each is a step of its own, which may be taken again. */

import { after, DAY, pause, SECOND } from "../../lib/clock";
import { AppError } from "../../lib/errors";
import { cleanText } from "../../lib/text";
import { inTurn, MAX_ALT, PictureUnavailable } from "../../media";
import type { ProductDeps } from "../deps";
import type { PictureDocument } from "../images/model";
import { addPicture, hashOf } from "../images/service";
import type { ImportPictureDocument } from "./model";
import type { ImportFault, ImportProgress } from "./shapes";
import { countFault, type PictureWish } from "./told";

/** How long it is remembered what an import fetches. */
const KEEP = 8 * DAY;
/** Pictures that are looked up together. */
const PAGE = 20;
/** Pictures that are fetched while one is encoded; each may take 10 MB. */
const AHEAD = 3;

/** An address as it may be shown: without a name and password, and not without end. */
const shown = (address: string): string => address.replace(/\/\/[^/?#]*@/, "//").slice(0, 200);

const has = (pictures: PictureDocument[], source: string): PictureDocument | undefined =>
  pictures.find(({ sources }) => sources?.includes(source));

/**
 * Notes the pictures that products should have, and leaves out those that they have.
 * @returns how many those are
 */
export async function notePictures(
  deps: ProductDeps,
  importId: string,
  wishes: PictureWish[],
): Promise<number> {
  const present = await deps.pictures.ofProducts([...new Set(wishes.map(({ productId }) => productId))]);
  const expiresAt = after(deps.clock.now(), KEEP);
  const missing = wishes.filter(({ productId, address, variantIds }) => {
    const found = has(present.get(productId) ?? [], hashOf(address));
    return found === undefined || variantIds.some((id) => !found.variantIds?.includes(id));
  });
  await deps.importPictures.note(
    missing.map(({ alt, ...wish }) => ({
      ...wish,
      _id: `${importId}:${hashOf(`${wish.productId} ${wish.address}`)}`,
      importId,
      alt: cleanText(alt.replace(/\p{Cc}+/gu, " ")).slice(0, MAX_ALT),
      state: "waiting" as const,
      expiresAt,
    })),
  );
  return wishes.length - missing.length;
}

/** What could be had of a picture: its bytes, that the product has it, or why not. */
type Obtained = { bytes: Uint8Array } | { there: PictureDocument } | { reason: string };

async function obtain(
  deps: ProductDeps,
  { productId, address }: ImportPictureDocument,
  signal: AbortSignal,
): Promise<Obtained> {
  const there = has(await deps.pictures.ofProduct(productId), hashOf(address));
  if (there) return { there };
  try {
    return { bytes: await deps.pictureSource.fetch(address, signal) };
  } catch (error) {
    if (error instanceof PictureUnavailable) return { reason: error.message };
    throw error;
  }
}

/** Gives a product what was fetched. @returns what became of it, and why, when it could not be */
async function add(
  deps: ProductDeps,
  { productId, address, alt, variantIds }: ImportPictureDocument,
  obtained: Obtained,
  signal: AbortSignal,
): Promise<{ state: "there" | "added" } | { state: "failed"; reason: string }> {
  const source = hashOf(address);
  if ("reason" in obtained) return { state: "failed", reason: obtained.reason };
  if ("there" in obtained) {
    await deps.pictures.addSource(obtained.there._id, source, variantIds);
    return { state: "there" };
  }
  const { bytes } = obtained;
  // Others may have been added while this one was fetched.
  const known = await deps.pictures.ofProduct(productId);
  for (;;) {
    try {
      const picture = { bytes, alt, variantIds, source };
      const { id } = await inTurn(() => addPicture(deps, null, productId, picture, async () => undefined));
      return { state: known.some(({ _id }) => _id === id) ? "there" : "added" };
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      // Uploads go first: there is a place again in a moment.
      if (error.code === "service_unavailable") {
        await pause((error.retryAfter ?? 1) * SECOND, signal);
        signal.throwIfAborted();
        continue;
      }
      if (error.status >= 500) throw error;
      const reason = error.errors?.[0]?.message ?? error.detail;
      return { state: "failed", reason: error.code === "not_found" ? "has no product any more" : reason };
    }
  }
}

/** How many pictures of an import are done. */
async function countPictures(
  deps: ProductDeps,
  importId: string,
  found: number,
): Promise<NonNullable<ImportProgress["pictures"]>> {
  const [waiting, added, failed] = await Promise.all(
    (["waiting", "added", "failed"] as const).map((state) => deps.importPictures.count(importId, state)),
  );
  return {
    found,
    there: found - (waiting ?? 0) - (added ?? 0) - (failed ?? 0),
    added: added ?? 0,
    failed: failed ?? 0,
  };
}

/**
 * Fetches what is noted of an import and not yet tried, in the order of its file. A picture that cannot be had is a
 * fault of its row; its product stays.
 * @param progress of the import when its rows were done
 * @param onStep called after each picture, before it counts as tried
 */
export async function fetchPictures(
  deps: ProductDeps,
  importId: string,
  { progress, signal }: { progress: ImportProgress; signal: AbortSignal },
  onStep: (progress: ImportProgress, faults: ImportFault[]) => Promise<void> | void,
): Promise<ImportProgress> {
  const found = progress.pictures?.found ?? 0;
  const kinds = structuredClone(progress.kinds ?? []);
  const counts = await countPictures(deps, importId, found);
  const told = () => ({ ...progress, stage: "pictures" as const, kinds, pictures: { ...counts } });
  for (;;) {
    const page = await deps.importPictures.waiting(importId, PAGE);
    if (page.length === 0) return told();
    const under: Promise<Obtained>[] = [];
    for (const [index, wanted] of page.entries()) {
      for (const next of page.slice(under.length, index + AHEAD)) {
        const obtaining = obtain(deps, next, signal);
        // Its failure is told by whoever waits for it, which may be later.
        obtaining.catch(() => undefined);
        under.push(obtaining);
      }
      const result = await add(deps, wanted, (await under[index]) as Obtained, signal);
      // The bytes are let go.
      under[index] = Promise.resolve({ reason: "" });
      const faults =
        result.state === "failed"
          ? [
              {
                row: wanted.row,
                message: `the picture ${shown(wanted.address)} ${result.reason}`,
                kind: `a picture that ${result.reason}`,
                place: wanted._id.slice(-43),
              },
            ]
          : [];
      for (const fault of faults) countFault(kinds, fault);
      await onStep(told(), faults);
      await deps.importPictures.settle(wanted._id, result.state);
      counts[result.state]++;
      signal.throwIfAborted();
    }
  }
}
