/** Products as they are searched, each a document that is written in the transaction of its product's change. */
import mongoose from "mongoose";
import type { Mongo, MongoTx } from "../../db/mongo";
import { chunksOf } from "../../lib/chunks";
import type { NewSearchDocument } from "./document";
import { bytesOf, RECENT, type SearchDocument, searchDocumentModel, UNSEEN } from "./model";

const { Binary } = mongoose.mongo;

/** Documents written at once. */
const BATCH = 200;

/** A search document as it is read, with its bytes. */
export type ReadDocument = Omit<SearchDocument, "packed"> & { packed: Uint8Array };
const readDocument = (document: SearchDocument): ReadDocument => ({
  ...document,
  packed: bytesOf(document.packed),
});

export const createDocumentStore = (mongo: Mongo) => {
  const Documents = searchDocumentModel(mongo.connection);
  return {
    /** Writes search documents in the transaction of their products. */
    async put(
      documents: (NewSearchDocument & { inStock: boolean })[],
      tx: MongoTx | undefined,
      isNew: boolean,
    ): Promise<void> {
      if (documents.length === 0) return;
      const stored = documents.map((document) => ({ ...document, packed: new Binary(document.packed) }));
      if (isNew) {
        await Documents.collection.insertMany(
          stored.map((document) => ({ ...document, stockRevision: 0 })) as never[],
          mongo.in(tx),
        );
        return;
      }
      await Documents.collection.bulkWrite(
        stored.map(({ _id, inStock, epoch, ...document }) => ({
          updateOne: {
            filter: { _id: _id as never },
            // One that is rebuilt without a change stays where it is, recent or in a segment.
            update: {
              $set: epoch === UNSEEN ? document : { ...document, epoch },
              $setOnInsert: { inStock, stockRevision: 0, ...(epoch === UNSEEN ? { epoch } : {}) },
            } as object,
            upsert: true,
          },
        })),
        mongo.in(tx),
      );
    },

    /** Writes what the products' own `inStock` is, unless a newer look at it was written already. */
    async setInStock(
      states: { id: string; inStock: boolean; revision: number }[],
      stamp: string,
    ): Promise<void> {
      if (states.length === 0) return;
      const older = (revision: number) => ({
        $or: [{ stockRevision: { $lt: revision } }, { stockRevision: null }],
      });
      await Documents.collection.bulkWrite(
        states.flatMap(({ id, inStock, revision }) => [
          {
            updateOne: {
              filter: { _id: id as never, inStock: !inStock, ...older(revision) },
              update: { $set: { inStock, stockRevision: revision, stamp, epoch: RECENT } },
            },
          },
          {
            updateOne: {
              filter: { _id: id as never, inStock, ...older(revision) },
              update: { $set: { stockRevision: revision } },
            },
          },
        ]) as never[],
        { ordered: true },
      );
    },

    /** Writes popularity, which segments keep in a column of its own. */
    async setPopularity(changes: { id: string; popularity: number }[], tx?: MongoTx): Promise<void> {
      if (changes.length === 0) return;
      await Documents.collection.bulkWrite(
        changes.map(({ id, popularity }) => ({
          updateOne: { filter: { _id: id as never }, update: { $set: { popularity } } },
        })),
        { ordered: false, ...mongo.in(tx) },
      );
    },

    /** What changed since an epoch, with the stamps of the last writes, a limited number of them. */
    async changedSince(epoch: number, limit: number): Promise<{ id: string; stamp: string }[]> {
      const rows = await Documents.collection
        .find({ epoch: { $gt: epoch } }, { projection: { stamp: 1 }, limit, batchSize: limit })
        .toArray();
      return rows.map(({ _id, stamp }) => ({ id: String(_id), stamp: stamp as string }));
    },

    byIds: async (ids: string[]): Promise<ReadDocument[]> =>
      ids.length === 0
        ? []
        : (
            (await Documents.collection
              .find({ _id: { $in: ids as never[] } }, { batchSize: 10_000 })
              .toArray()) as unknown as SearchDocument[]
          ).map(readDocument),

    /** What changed since an epoch and has one of these terms, or one of these ids. */
    async recentWith(epoch: number, terms: string[], ids: string[]): Promise<ReadDocument[]> {
      const asked =
        ids.length === 0
          ? { terms: { $in: terms } }
          : { $or: [{ terms: { $in: terms } }, { _id: { $in: ids as never[] } }] };
      const rows = await Documents.collection
        .find({ epoch: { $gt: epoch }, live: true, ...asked }, { sort: { _id: 1 }, batchSize: 10_000 })
        .toArray();
      return (rows as unknown as SearchDocument[]).map(readDocument);
    },

    /** Documents in the order of their ids. */
    async read(filter: {
      after: string | null;
      limit: number;
      since?: number;
      ids?: string[];
    }): Promise<ReadDocument[]> {
      const rows = await Documents.collection
        .find(
          {
            ...(filter.since === undefined ? {} : { epoch: { $gt: filter.since } }),
            ...(filter.ids === undefined ? {} : { _id: { $in: filter.ids as never[] } }),
            ...(filter.after === null ? {} : { _id: { $gt: filter.after as never } }),
          },
          {
            sort: filter.since === undefined ? { _id: 1 } : { epoch: 1, _id: 1 },
            limit: filter.limit,
            batchSize: filter.limit,
          },
        )
        .toArray();
      return (rows as unknown as SearchDocument[]).map(readDocument);
    },

    /** Live products that have this SKU or GTIN. */
    async withCode(codes: string[]): Promise<string[]> {
      const rows = await Documents.collection
        .find({ codes: { $in: codes }, live: true }, { projection: { _id: 1 }, limit: 20, sort: { _id: 1 } })
        .toArray();
      return rows.map(({ _id }) => String(_id));
    },

    /** Says that segments hold these as they were read; what was written since stays recent. */
    async settle(read: { id: string; stamp: string }[], epoch: number): Promise<void> {
      for (const some of chunksOf(read, BATCH)) {
        // Those that were written together have one stamp.
        const together = Map.groupBy(some, ({ stamp }) => stamp);
        await Documents.collection.bulkWrite(
          [...together].map(([stamp, of]) => ({
            updateMany: {
              filter: { _id: { $in: of.map(({ id }) => id as never) }, stamp },
              update: { $set: { epoch } },
            },
          })),
          { ordered: false },
        );
      }
    },

    popularityOf: async (ids: string[]): Promise<Map<string, number>> =>
      new Map(
        (
          await Documents.collection
            .find({ _id: { $in: ids as never[] } }, { projection: { popularity: 1 } })
            .toArray()
        ).map((row) => [String(row._id), row.popularity as number]),
      ),
  };
};

export type DocumentStore = ReturnType<typeof createDocumentStore>;
