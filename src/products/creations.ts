import { type AuditEntry, auditJobsOf } from "../audit";
import type { Mongo, MongoTx } from "../db/mongo";
import { isUnavailable } from "../db/unavailable";
import type { GroupedJobStore } from "../jobs/jobs";
import { batched, type Outcome } from "../lib/batched";
import type { Clock } from "../lib/clock";
import { AppError } from "../lib/errors";
import { currentScope, type Scope } from "../telemetry/scope";
import type { ProductDocument } from "./model";
import type { SearchEngine } from "./search/engine";
import type { StockOfProducts } from "./stock-of-products";
import { signalProducts } from "./stock-signal";
import type { ProductStore } from "./store";

/** A product to be made, and what is written with it. */
export interface Creation {
  product: ProductDocument;
  /** Of the signal that has its stock looked at, if its SKUs have some. */
  signalId: string;
  audit: AuditEntry;
  /** Records the answer; beside those of others in one transaction, so it must be what `idempotent` gives. */
  record(tx: MongoTx): Promise<void>;
}

/** Makes products; those of many callers in one transaction. */
export interface ProductCreations {
  /** @throws AppError already_exists when the slug or a SKU is taken; nothing is written then */
  make(creation: Creation): Promise<void>;
}

/** Products of one transaction: it has to stay far below its time limit and the size of a message. */
const MOST = 16;
/** Transactions of this process at once: more carry less each. */
const AT_ONCE = 1;
/** How long one may keep others waiting, in milliseconds: several times what it takes under load. */
const PATIENCE = 250;

/**
 * The transaction of a creation has statements in five collections; a caller that comes while others' run shares the
 * next. That is for speed alone: where one spoils the transaction, each is made by itself.
 */
export function createProductCreations(deps: {
  mongo: Mongo;
  products: ProductStore;
  search: SearchEngine;
  inventory: StockOfProducts;
  jobs: GroupedJobStore<MongoTx>;
  clock: Clock;
}): ProductCreations {
  type Entry = Creation & { scope: Scope | undefined };

  const write = async (entries: Entry[]): Promise<void> => {
    const products = entries.map(({ product }) => product);
    const prepared = await deps.search.prepare(products);
    // biome-ignore lint/plugin: it carries the products of several requests, each with its own entry and answer
    await deps.mongo.transaction(async (tx) => {
      await deps.products.create(products, tx, prepared);
      await signalProducts(deps, entries, tx);
      const audited = entries.map(({ audit, scope }) => ({ entry: audit, scope }));
      await deps.jobs.enqueueAll(auditJobsOf(audited), tx);
      // Together, so that the store writes all answers with one statement.
      await Promise.all(entries.map(({ record }) => record(tx)));
    });
  };
  const writeAlone = async (entry: Entry): Promise<Outcome<void>> => {
    try {
      return { ok: true, value: await write([entry]) };
    } catch (error) {
      return { ok: false, error };
    }
  };
  const make = batched<Entry, void>(
    async (entries) => {
      try {
        await write(entries);
        return entries.map(() => ({ ok: true, value: undefined }));
      } catch (error) {
        const isForAll = isUnavailable(error) || (error instanceof AppError && error.status >= 500);
        if (entries.length === 1 || isForAll) throw error;
        const outcomes: Outcome<void>[] = [];
        for (const entry of entries) outcomes.push(await writeAlone(entry));
        return outcomes;
      }
    },
    { atOnce: AT_ONCE, most: MOST, patience: PATIENCE },
  );
  return { make: (creation) => make({ ...creation, scope: currentScope() }) };
}
