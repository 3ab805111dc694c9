import { createHash } from "node:crypto";
import { type Manager, managedEntry, mutate } from "../../audit";
import type { MongoTx } from "../../db/mongo";
import type { RecordAnswer } from "../../http/idempotency";
import type { Actor } from "../../lib/actor";
import { after, MINUTE } from "../../lib/clock";
import { AppError, invalidInput } from "../../lib/errors";
import { type ExpectedVersions, expectVersion, staleVersion } from "../../lib/versions";
import { keepRenditions, readPicture } from "../../media";
import type { StoredFile } from "../../storage";
import type { ProductDeps } from "../deps";
import { noProduct } from "../found";
import { visibleProduct } from "../reads";
import { coverOf } from "../shown";
import { toPicture } from "./mapper";
import type { PictureDocument } from "./model";
import { type ChangePicture, MAX_PICTURES, type PictureResponse } from "./schema";

/** Long enough for the slowest upload to be recorded; then what is not recorded is removed. */
const UNRECORDED = 15 * MINUTE;

/** Where the files of a picture lie. */
export const folderOf = (id: string): string => `images/${id}`;

async function requireProduct(deps: ProductDeps, productId: string): Promise<void> {
  if (!(await deps.products.findById(productId))) throw noProduct();
}

/**
 * Writes onto the product which of its pictures is the first and how it looks, at the end of a transaction that
 * changed them. The write counts a revision up, so that of two such transactions at once one begins again.
 */
async function showFirst(deps: ProductDeps, productId: string, tx: MongoTx): Promise<void> {
  const [first] = await deps.pictures.ofProduct(productId, tx);
  await deps.products.setPicture(productId, coverOf(first), tx);
}

/** Records that a picture is there as AVIF in one more width. */
export async function addAvif(
  deps: ProductDeps,
  { _id, productId }: PictureDocument,
  width: number,
): Promise<void> {
  await mutate(deps, "mongo", {}, async (tx) => {
    await deps.pictures.addAvif(_id, width, tx);
    await showFirst(deps, productId, tx);
  });
}

/** A picture as it came in. */
export interface NewPicture {
  bytes: Uint8Array;
  alt: string;
  variantIds?: string[];
  /** Hash of the address that it was fetched from. The same bytes are kept once then. */
  source?: string;
}

export const hashOf = (content: string | Uint8Array): string =>
  createHash("sha256").update(content).digest("base64url");

/**
 * Checks, encodes and keeps a picture of a product, behind the others. A job that is made before the first
 * file removes the files again when no record follows, so a crash leaves nothing behind.
 * @param manager null for an import, whose start is in the audit log
 * @throws AppError not_found, invalid_input, payload_too_large, conflict
 */
export async function addPicture(
  deps: ProductDeps,
  manager: Manager | null,
  productId: string,
  input: NewPicture,
  record: RecordAnswer<MongoTx>,
): Promise<PictureResponse> {
  await requireProduct(deps, productId);
  const { width, height, renditions } = await readPicture(input.bytes);
  const id = deps.random.id();
  const now = deps.clock.now();
  await deps.jobs.mongo.enqueue({
    id: deps.random.id(),
    kind: "images.clean",
    payload: { id },
    runAt: after(now, UNRECORDED),
  });
  await keepRenditions(deps.storage, folderOf(id), renditions);
  const avifJob = deps.random.id();
  const content = hashOf(input.bytes);
  const { source, variantIds = [] } = input;
  const audit = manager && managedEntry(deps, manager, "picture.added", { id, productId, alt: input.alt });
  return mutate(deps, "mongo", { audit, record }, async (tx) => {
    const position = await deps.products.countPicture(productId, tx);
    if (position === null) throw noProduct();
    const others = await deps.pictures.ofProduct(productId, tx);
    const same = source === undefined ? undefined : others.find((other) => other.content === content);
    if (source !== undefined && same) {
      await deps.pictures.addSource(same._id, source, variantIds, tx);
      return toPicture(same);
    }
    if (others.length >= MAX_PICTURES) {
      throw new AppError("conflict", `A product has at most ${MAX_PICTURES} pictures. Remove one first.`);
    }
    const picture: PictureDocument = {
      _id: id,
      productId,
      alt: input.alt,
      ...(variantIds.length === 0 ? {} : { variantIds }),
      ...(source === undefined ? {} : { sources: [source] }),
      content,
      position,
      width,
      height,
      widths: renditions.map((rendition) => rendition.width),
      avifWidths: [],
      version: 1,
      createdAt: now,
    };
    await deps.pictures.create(picture, tx);
    await showFirst(deps, productId, tx);
    await deps.jobs.mongo.enqueue({ id: avifJob, kind: "images.avif", payload: { id }, runAt: now }, tx);
    return toPicture(picture);
  });
}

/** The pictures of a product in their order, for whoever may see the product. @throws AppError not_found */
export async function listPictures(
  deps: ProductDeps,
  actor: Actor | undefined,
  key: string,
): Promise<PictureResponse[]> {
  const product = await visibleProduct(deps, actor, key);
  return (await deps.pictures.ofProduct(product._id)).map(toPicture);
}

async function requirePicture(deps: ProductDeps, productId: string, id: string): Promise<PictureDocument> {
  const picture = await deps.pictures.findById(id);
  if (picture?.productId !== productId) throw new AppError("not_found", "There is no such picture.");
  return picture;
}

/** @throws AppError not_found, invalid_input for an id that no variant of the product has */
async function requireVariants(deps: ProductDeps, productId: string, ids: string[]): Promise<void> {
  const product = await deps.products.findById(productId);
  if (!product) throw noProduct();
  const own = new Set(product.variants.map(({ _id }) => _id));
  const missing = ids.findIndex((id) => !own.has(id));
  if (missing >= 0) {
    throw invalidInput(`variantIds.${missing}`, "not_found", "is not the id of a variant of this product");
  }
}

/**
 * Changes a picture's text, variants or place; the others keep their order around it.
 * @param expected from If-Match
 * @throws AppError not_found, precondition_failed
 */
export async function changePicture(
  deps: ProductDeps,
  manager: Manager,
  productId: string,
  id: string,
  change: ChangePicture,
  expected: ExpectedVersions,
): Promise<PictureResponse> {
  await requirePicture(deps, productId, id);
  if (change.variantIds !== undefined) await requireVariants(deps, productId, change.variantIds);
  const audit = managedEntry(deps, manager, "picture.changed", {
    id,
    productId,
    fields: Object.keys(change),
  });
  return mutate(deps, "mongo", { audit }, async (tx) => {
    const all = await deps.pictures.ofProduct(productId, tx);
    const present = all.find((picture) => picture._id === id);
    if (!present) throw new AppError("not_found", "There is no such picture.");
    expectVersion(expected, present.version);
    const fields = {
      ...(change.alt === undefined ? {} : { alt: change.alt }),
      ...(change.variantIds === undefined ? {} : { variantIds: [...new Set(change.variantIds)] }),
    };
    const changed = await deps.pictures.update(id, present.version, fields, tx);
    if (!changed) throw staleVersion(present.version);
    if (change.position === undefined) {
      await showFirst(deps, productId, tx);
      return toPicture(changed);
    }
    const order = all.filter((picture) => picture._id !== id);
    order.splice(change.position, 0, changed);
    let moved = changed;
    for (const [position, picture] of order.entries()) {
      if (picture.position === position) continue;
      const next = await deps.pictures.update(picture._id, picture.version, { position }, tx);
      if (!next) throw new AppError("conflict", "The pictures have changed meanwhile. Try again.");
      if (picture._id === id) moved = next;
    }
    await showFirst(deps, productId, tx);
    return toPicture(moved);
  });
}

/** Removes a picture; a job removes its files. @throws AppError not_found */
export async function removePicture(
  deps: ProductDeps,
  manager: Manager,
  productId: string,
  id: string,
): Promise<void> {
  const { alt } = await requirePicture(deps, productId, id);
  const audit = managedEntry(deps, manager, "picture.removed", { id, productId, alt });
  const job = { id: deps.random.id(), kind: "images.clean", payload: { id }, runAt: deps.clock.now() };
  await mutate(deps, "mongo", { audit }, async (tx, { omit }) => {
    if (!(await deps.pictures.remove(id, tx))) omit();
    await showFirst(deps, productId, tx);
    await deps.jobs.mongo.enqueue(job, tx);
  });
}

/**
 * A file of a picture. Whoever was given its address may have it, also while the product is not for sale.
 * @param known whether the caller has it already
 * @returns null when it is there and known
 * @throws AppError not_found
 */
export async function readPictureFile(
  deps: ProductDeps,
  productId: string,
  id: string,
  file: string,
  known: boolean,
): Promise<StoredFile | null> {
  const [width = "", format] = file.split(".");
  const picture = await requirePicture(deps, productId, id);
  const widths = format === "avif" ? picture.avifWidths : picture.widths;
  const shown = widths.includes(Number(width));
  if (shown && known) return null;
  const stored = shown ? await deps.storage.get(`${folderOf(id)}/${file}`) : null;
  if (!stored) throw new AppError("not_found", "There is no picture of this width and format.");
  return stored;
}
