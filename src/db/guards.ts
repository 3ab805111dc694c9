import { AppError } from "../lib/errors";
import { modelOf, schemaOf } from "./model";
import { duplicateKey, type Mongo, type MongoTx } from "./mongo";

/**
 * A document that stands for a rule over many: every change that the rule is about counts it up, so that two at once
 * conflict even when they touch no document in common (snapshot isolation would let both pass).
 */
interface GuardDocument {
  _id: string;
  version: number;
}

const guardSchema = schemaOf<GuardDocument>(
  { _id: { type: String, required: true }, version: { type: Number, required: true } },
  { collection: "guards", versionKey: false, strict: "throw" },
);

/** The model of guards on a connection. */
export const guardModel = modelOf("Guard", guardSchema);

/**
 * Counts a guard up; first in every transaction that its rule is about: of two at once one has to begin again.
 * @example await guardIn(mongo, "categories", tx)
 * @throws AppError conflict when two made the guard at the same moment, the first one ever
 */
export async function guardIn(mongo: Mongo, rule: string, tx: MongoTx): Promise<void> {
  try {
    await guardModel(mongo.connection).updateOne(
      { _id: rule },
      { $inc: { version: 1 } },
      { ...mongo.in(tx), upsert: true },
    );
  } catch (error) {
    if (!duplicateKey(error)) throw error;
    throw new AppError("conflict", "Somebody else made such a change at this moment. Try again.");
  }
}

/**
 * The versions of guards, 0 for one that nothing has counted up yet. What was read after its version may be kept in
 * memory until the version is another.
 */
export async function guardVersions(mongo: Mongo, rules: string[]): Promise<number[]> {
  const rows = await guardModel(mongo.connection)
    .find({ _id: { $in: rules } })
    .lean();
  return rules.map((rule) => rows.find(({ _id }) => _id === rule)?.version ?? 0);
}
