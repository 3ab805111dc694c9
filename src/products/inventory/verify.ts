import { canonicalKey } from "../../canonical";
import type { MongoTx } from "../../db/mongo";
import type { Deps } from "../../deps";
import { createStockLedger } from "./ledger";
import { toMovement } from "./mapper";
import type { LevelDocument, MovementDocument } from "./model";
import type { Difference, MovementResponse, Verification } from "./schema";
import type { MovementSum } from "./store";

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

/** A level, its movements and what is held of it, all of one moment. */
async function snapshotOf(deps: Deps, level: LevelDocument, tx: MongoTx) {
  const { levels } = await deps.inventory.read(
    { skuKeys: [level.skuKey], reservationIds: [], locations: false },
    tx,
  );
  const now = levels.find(({ _id }) => _id === level._id);
  if (!now) return undefined;
  const range = { from: level.skuKey, to: level.skuKey };
  const sum = (await deps.inventory.sumMovements(range, tx)).get(level._id) ?? NOTHING;
  const held = (await deps.inventory.heldOf(range, tx)).get(level._id) ?? 0;
  return { levels, level: now, sum, held, difference: differenceOf(now, sum, held) };
}

/**
 * Recomputes levels, in the order of their SKUs, from their movements. Sales may go on: a level that changed between two of the reads
 * looks different at first, and is looked at again in one snapshot.
 */
async function verifyLevels(deps: Deps, levels: LevelDocument[]): Promise<Verification> {
  const [first, last] = [levels[0], levels.at(-1)];
  if (!first || !last) return { levels: 0, movements: 0, differences: [] };
  const range = { from: first.skuKey, to: last.skuKey };
  const sums = await deps.inventory.sumMovements(range);
  const held = await deps.inventory.heldOf(range);
  const verification: Verification = { levels: levels.length, movements: 0, differences: [] };
  for (const level of levels) {
    const sum = sums.get(level._id);
    verification.movements += sum?.count ?? 0;
    if (differenceOf(level, sum, held.get(level._id)) === undefined) continue;
    const snapshot = await deps.mongo.transaction((tx) => snapshotOf(deps, level, tx));
    if (snapshot?.difference) verification.differences.push(snapshot.difference);
  }
  return verification;
}

/** Verifies every level of a SKU. */
export const verifySku = async (deps: Deps, sku: string): Promise<Verification> =>
  verifyLevels(deps, await deps.inventory.levelsOf([canonicalKey(sku)]));

/** A page of all levels, in the order of their SKUs. @throws AppError invalid_cursor */
export async function verifyPage(
  deps: Deps,
  cursor: string | undefined,
): Promise<{ data: Verification; page: { nextCursor: string | null; hasMore: boolean } }> {
  const filter = { list: "verify" };
  const [skuKey, locationId] = cursor === undefined ? [] : deps.cursors.decode(cursor, filter);
  const after = cursor === undefined ? undefined : { skuKey: String(skuKey), locationId: String(locationId) };
  const rows = await deps.inventory.listLevels({ after, limit: PAGE });
  const levels = rows.slice(0, PAGE);
  const last = levels.at(-1);
  const hasMore = rows.length > PAGE;
  return {
    data: await verifyLevels(deps, levels),
    page: {
      hasMore,
      nextCursor: hasMore && last ? deps.cursors.encode([last.skuKey, last.locationId], filter) : null,
    },
  };
}

/**
 * Verifies every level, a page at a time.
 * @param onPage hears of each page as it is done
 */
export async function verifyAll(deps: Deps, onPage?: (sum: Verification) => void): Promise<Verification> {
  const sum: Verification = { levels: 0, movements: 0, differences: [] };
  for (let after: LevelDocument | undefined; ; ) {
    const levels = await deps.inventory.listLevels({ after, limit: PAGE });
    after = levels.at(-1);
    if (after === undefined) return sum;
    const page = await verifyLevels(deps, levels);
    sum.levels += page.levels;
    sum.movements += page.movements;
    sum.differences.push(...page.differences);
    onPage?.(sum);
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

/** Writes a correcting entry for a level that differs. @returns it, or null when the level is right */
async function repairLevel(
  deps: Deps,
  actorId: string,
  { _id: levelId, skuKey }: Pick<LevelDocument, "_id" | "skuKey">,
): Promise<MovementDocument | null> {
  const now = deps.clock.now();
  const movementId = deps.random.id();
  const signal = { _id: deps.random.id(), skuKey, createdAt: now };
  return deps.mongo.transaction(async (tx) => {
    const snapshot = await snapshotOf(deps, { _id: levelId, skuKey } as LevelDocument, tx);
    if (!snapshot?.difference) return null;
    const { levels, level, sum, held } = snapshot;
    const target = targetOf(level, await deps.inventory.lastMovement(levelId, tx), held);
    const sequence = Math.max(level.sequence, sum.lastSequence) + 1;
    const ledger = createStockLedger({ levels, locations: [], reservations: [] });
    const movement = ledger.attempt({ actorId, now, newId: () => movementId }, () =>
      ledger.correct(level, {
        target,
        lacking: { onHand: target.onHand - sum.onHand, reserved: target.reserved - sum.reserved },
        sequence,
        missing: sequence - 1 - sum.count - sum.missing,
        reason: `correction after verify: ${snapshot.difference?.problem}`,
      }),
    );
    const changes = ledger.changes();
    await deps.inventory.apply(changes, changes.crossed.length > 0 ? [signal] : [], tx);
    return movement;
  });
}

/** Repairs the levels of differences. @returns the correcting entries */
export async function repair(
  deps: Deps,
  actorId: string,
  differences: Difference[],
): Promise<MovementResponse[]> {
  const movements: MovementResponse[] = [];
  for (const { levelId, sku } of differences) {
    const movement = await repairLevel(deps, actorId, { _id: levelId, skuKey: canonicalKey(sku) });
    if (movement) movements.push(toMovement(movement));
  }
  return movements;
}
