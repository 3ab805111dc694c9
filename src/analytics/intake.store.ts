import type { Mongo } from "../db/mongo";
import { removeSome } from "./batches.store";
import { type IntakeDocument, intakeModel, type Range } from "./model";

/** How many events came in, and what became of them. */
export const createIntakeStore = (mongo: Mongo) => {
  const Intake = intakeModel(mongo.connection);

  return {
    /** Adds to what is counted already. */
    async add(rows: IntakeDocument[]): Promise<void> {
      if (rows.length === 0) return;
      await Intake.bulkWrite(
        rows.map(({ _id, count, ...row }) => ({
          updateOne: { filter: { _id }, update: { $inc: { count }, $setOnInsert: row }, upsert: true },
        })),
        { ordered: false },
      );
    },

    /** By time. */
    list: ({ from, to }: Range): Promise<IntakeDocument[]> =>
      Intake.find({ at: { $gte: from, $lt: to } })
        .sort({ at: 1 })
        .lean<IntakeDocument[]>(),

    removeBefore: (time: Date, limit: number) =>
      removeSome<IntakeDocument>(Intake, { at: { $lt: time } }, limit),
  };
};
