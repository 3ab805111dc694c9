/** MongoDB's half of a backup: a file of BSON a collection, as mongodump writes it and mongorestore reads it. */
import { join } from "node:path";
import mongoose from "mongoose";
import type { Mongo } from "../db/mongo";
import { systemClock } from "../lib/clock";
import { BackupRefused } from "./manifest";
import { unpacked, writePacked } from "./packed";

const { BSON } = mongoose.mongo;
/** Numbers keep their type in the database. */
const EXACT = { promoteValues: false } as const;
/** Bytes of documents that are inserted at once. */
const BATCH = 8 * 1024 * 1024;
/** MongoDB's number of SnapshotTooOld. */
const SNAPSHOT_TOO_OLD = 239;

const databaseOf = ({ connection }: Mongo) => connection.getClient().db(connection.name);

/** The collections of the database. */
async function collectionsOf(mongo: Mongo): Promise<string[]> {
  const found = await databaseOf(mongo).listCollections({ type: "collection" }, { nameOnly: true }).toArray();
  return found.map(({ name }) => name).sort();
}

/** The collections of the database that hold something. */
export async function filledCollections(mongo: Mongo): Promise<string[]> {
  const filled: string[] = [];
  for (const name of await collectionsOf(mongo))
    if ((await databaseOf(mongo).collection(name).findOne()) !== null) filled.push(name);
  return filled;
}

/** The database as it was at one time. */
export interface MongoSnapshot {
  at: Date;
  /** Writes a file for each collection. @returns the documents of each */
  dump(folder: string): Promise<Record<string, number>>;
  close(): Promise<void>;
}

/**
 * Begins to read the database as it is now. The server keeps that for 300 s (minSnapshotHistoryWindowInSeconds), which
 * a large database needs more of.
 */
export async function openMongoSnapshot(mongo: Mongo): Promise<MongoSnapshot> {
  const database = databaseOf(mongo);
  const names = await collectionsOf(mongo);
  const session = await mongo.connection.startSession({ snapshot: true });
  const at = systemClock.now();
  // The first read fixes the time of all.
  await database.collection(names[0] ?? "products").findOne({}, { session });
  return {
    at,
    async dump(folder) {
      const counts: Record<string, number> = {};
      for (const name of names) {
        let count = 0;
        async function* documents() {
          for await (const document of database.collection(name).find({}, { session, ...EXACT })) {
            count++;
            yield BSON.serialize(document);
          }
        }
        await writePacked(join(folder, `${name}.bson.gz`), documents()).catch((error) => {
          if (error?.code !== SNAPSHOT_TOO_OLD) throw error;
          throw new BackupRefused(
            "MongoDB no longer has the time that the backup is of. Set minSnapshotHistoryWindowInSeconds higher there, and start again.",
          );
        });
        counts[name] = count;
      }
      return counts;
    },
    close: () => session.endSession(),
  };
}

/** The documents of a file, each in its own bytes. */
async function* documentsIn(path: string): AsyncGenerator<Buffer> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of unpacked(path)) {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let at = 0;
    for (;;) {
      const size = rest.length - at >= 4 ? rest.readInt32LE(at) : Number.POSITIVE_INFINITY;
      if (rest.length - at < size) break;
      yield rest.subarray(at, at + size);
      at += size;
    }
    rest = rest.subarray(at);
  }
  if (rest.length > 0) throw new BackupRefused(`${path} ends in the middle of a document.`);
}

/** Reads the files of `dump` into an empty database. @returns the documents of each collection now */
export async function loadMongo(
  mongo: Mongo,
  folder: string,
  names: string[],
): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  const there = new Set(await collectionsOf(mongo));
  for (const name of names) {
    const collection = databaseOf(mongo).collection(name);
    // An insert makes it too, but some have nothing to insert.
    if (!there.has(name)) await databaseOf(mongo).createCollection(name);
    let batch: ReturnType<typeof BSON.deserialize>[] = [];
    let size = 0;
    const insert = async () => {
      if (batch.length > 0) await collection.insertMany(batch, { writeConcern: { w: "majority" } });
      batch = [];
      size = 0;
    };
    for await (const bytes of documentsIn(join(folder, `${name}.bson.gz`))) {
      batch.push(BSON.deserialize(bytes, EXACT));
      size += bytes.length;
      if (size >= BATCH) await insert();
    }
    await insert();
    counts[name] = await collection.countDocuments();
  }
  return counts;
}
