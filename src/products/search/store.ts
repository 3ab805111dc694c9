/** What the built-in search keeps in MongoDB. */
import type { Mongo } from "../../db/mongo";
import { createDocumentStore, type DocumentStore } from "./documents.store";
import { createSegmentStore, type SegmentStore } from "./segments.store";
import { createWordStore, type WordStore } from "./words.store";

export interface IndexStore {
  documents: DocumentStore;
  words: WordStore;
  segments: SegmentStore;
}

export const createIndexStore = (mongo: Mongo): IndexStore => ({
  documents: createDocumentStore(mongo),
  words: createWordStore(mongo),
  segments: createSegmentStore(mongo),
});
