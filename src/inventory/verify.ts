import type { MongoTx } from "../db/mongo";
import type { RecordAnswer } from "../http/idempotency";
import { type PageEnd, pageFrom } from "../lib/paging";
import { canonicalKey } from "../lib/text";
import type { Difference, RepairResponse, Verification } from "./answers";
import type { InventoryDeps } from "./deps";
import { levelCursor } from "./levels";
import { toMovement } from "./mapper";
import type { LevelDocument, MovementDocument } from "./model";
import type { MovementSum } from "./movements.store";

/** Levels recomputed with one query. */
const PAGE = 500;

const NOTHING: MovementSum = { count: 0, missing: 0, onHand: 0, reserved: 0, lastSequence: 0 };

/** What is wrong with a level, or undefined. */
function differenceOf(
  level: LevelDocument,
  sum: MovementSum = NOTHING,
  held: number = 0,
): Difference | undefined {
  const problem =
    sum.onHand !== level.onHand || sum.reserved !== level.reserved
      ? "quantity"
      : sum.lastSequence !== level.sequence || sum.count + sum.missing !== level.sequence
        ? "sequence"
        : held !== level.reserved || level.available !== level.onHand - level.reserved
          ? "reservations"
          : undefined;
  if (problem === undefined) return undefined;
  return {
    levelId: level._id,
    sku: level.sku,
    locationId: level.locationId,
    problem,
    level: { onHand: level.onHand, reserved: level.reserved, sequence: level.sequence },
    movements: {
      onHand: sum.onHand,
      reserved: sum.reserved,
      count: sum.count,
      missing: sum.missing,
      lastSequence: sum.lastSequence,
    },
    held,
  };
}

const renamedOf = (levels: LevelDocument[]): string[] =>
  levels.filter(({ formerSkuKeys = [] }) => formerSkuKeys.length > 0).map(({ _id }) => _id);

/** The levels of a SKU, each with its movements and what is held of it, all of one moment. */
async function snapshotOf(deps: InventoryDeps, skuKey: string, tx: MongoTx) {
  const { levels } = await deps.inventory.read(
    { skuKeys: [skuKey], reservationIds: [], locations: false },
    tx,
  );
  const range = { from: skuKey, to: skuKey };
  const sums = await deps.inventory.sumMovements(range, renamedOf(levels), tx);
  const held = await deps.inventory.heldOf(range, tx);
  return levels
    .toSorted((a, b) => (a.locationId < b.locationId ? -1 : 1))
    .map((level) => {
      const [sum, of] = [sums.get(level._id) ?? NOTHING, held.get(level._id) ?? 0];
      return { level, sum, held: of, difference: differenceOf(level, sum, of) };
    });
}

/**
 * Recomputes levels, in the order of their SKUs, from their movements. Sales may go on: a level that changed
 * between two of the reads looks different at first, and is looked at again in one snapshot.
 */
async function verifyLevels(deps: InventoryDeps, levels: LevelDocument[]): Promise<Verification> {
  const [first, last] = [levels[0], levels.at(-1)];
  if (!first || !last) return { levels: 0, movements: 0, differences: [] };
  const range = { from: first.skuKey, to: last.skuKey };
  const sums = await deps.inventory.sumMovements(range, renamedOf(levels));
  const held = await deps.inventory.heldOf(range);
  const verification: Verification = { levels: levels.length, movements: 0, differences: [] };
  for (const level of levels) {
    const sum = sums.get(level._id);
    verification.movements += sum?.count ?? 0;
    if (differenceOf(level, sum, held.get(level._id)) === undefined) continue;
    // biome-ignore lint/plugin: it changes nothing, and reads what was there at one moment
    const snapshot = await deps.mongo.transaction((tx) => snapshotOf(deps, level.skuKey, tx));
    const difference = snapshot.find((one) => one.level._id === level._id)?.difference;
    if (difference) verification.differences.push(difference);
  }
  return verification;
}

/** Verifies every level of a SKU. */
export const verifySku = async (deps: InventoryDeps, sku: string): Promise<Verification> =>
  verifyLevels(deps, await deps.inventory.levelsOf([canonicalKey(sku)]));

/** A page of all levels, in the order of their SKUs. @throws AppError invalid_cursor */
export async function verifyPage(
  deps: InventoryDeps,
  cursor: string | undefined,
): Promise<{ data: Verification; page: PageEnd }> {
  const filter = { list: "verify" };
  const rows = await deps.inventory.listLevels({ after: levelCursor(deps, cursor, filter), limit: PAGE });
  const { data, page } = pageFrom(
    deps,
    rows,
    PAGE,
    filter,
    (level) => level,
    (last) => [last.skuKey, last.locationId],
  );
  return { data: await verifyLevels(deps, data), page };
}

/** Verifies every level, a page at a time. */
export async function verifyAll(deps: InventoryDeps): Promise<Verification> {
  const sum: Verification = { levels: 0, movements: 0, differences: [] };
  for (let after: LevelDocument | undefined; ; ) {
    const levels = await deps.inventory.listLevels({ after, limit: PAGE });
    after = levels.at(-1);
    if (after === undefined) return sum;
    const page = await verifyLevels(deps, levels);
    sum.levels += page.levels;
    sum.movements += page.movements;
    sum.differences.push(...page.differences);
  }
}

/**
 * What a level that differs should be: what its last movement left on hand, and what living reservations
 * hold. Where not one movement is left, the level itself is all there is to believe.
 */
const targetOf = (level: LevelDocument, last: MovementDocument | null, held: number) => ({
  onHand: last?.after.onHand ?? (level.sequence === 0 ? 0 : level.onHand),
  reserved: held,
});

/**
 * Writes a correcting entry for each level of a SKU that differs, in one transaction; sales go on before and
 * after it.
 * @param record records the answer in it
 * @throws AppError service_unavailable when sales of other processes kept it from its turn
 */
export async function repairSku(
  deps: InventoryDeps,
  actorId: string,
  sku: string,
  record: RecordAnswer<MongoTx> = async () => undefined,
): Promise<RepairResponse> {
  const skuKey = canonicalKey(sku);
  // For a SKU that is right nobody is held up.
  const { differences } = await verifySku(deps, sku);
  let found: (Awaited<ReturnType<typeof snapshotOf>>[number] & { last: MovementDocument | null })[] = [];
  const prepare = async (tx: MongoTx) => {
    await deps.inventory.holdLevels(skuKey, tx);
    found = [];
    for (const one of await snapshotOf(deps, skuKey, tx)) {
      if (one.difference) found.push({ ...one, last: await deps.inventory.lastMovement(one.level._id, tx) });
    }
  };
  return deps.stock.submit<RepairResponse>({
    actorId,
    skuKeys: [skuKey],
    ...(differences.length === 0 ? {} : { prepare }),
    decide: (ledger) => ({
      differences: found.flatMap(({ difference }) => difference ?? []),
      movements: found.map(({ level, sum, held, last, difference }) => {
        const target = targetOf(level, last, held);
        const sequence = Math.max(level.sequence, sum.lastSequence) + 1;
        return toMovement(
          ledger.correct(level, {
            target,
            lacking: { onHand: target.onHand - sum.onHand, reserved: target.reserved - sum.reserved },
            sequence,
            missing: sequence - 1 - sum.count - sum.missing,
            reason: `correction after verify: ${difference?.problem}`,
          }),
        );
      }),
    }),
    record,
  });
}
