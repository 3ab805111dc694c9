import { type AuditEntry, auditJobsOf } from "../audit";
import { duplicateKey, type Mongo, type MongoTx } from "../db/mongo";
import type { GroupedJobStore, ScopedJob } from "../jobs/jobs";
import type { Outcome } from "../lib/batched";
import type { Clock } from "../lib/clock";
import { AppError } from "../lib/errors";
import { jitter, type Random } from "../lib/random";
import { currentScope, type Scope } from "../telemetry/scope";
import { StockLedger } from "./ledger";
import type { StockSignalDocument } from "./model";
import type { ChangeContext, StockChanges } from "./stock";
import { StaleStock } from "./stock.store";
import type { InventoryStore } from "./store";

/** A change of stock: what it touches, and how it is decided on what a transaction read. */
export interface StockChange<T> {
  actorId: string;
  /** The SKUs whose levels it reads or writes. */
  skuKeys: readonly string[];
  reservationIds?: readonly string[];
  /**
   * Runs in the transaction before anything else, at every try, for a change that is decided on more than its
   * levels; such a change has a transaction of its own.
   */
  prepare?: (tx: MongoTx) => Promise<void>;
  /**
   * Pure but for the ledger; runs again after a conflict. What it throws is the change's own outcome and
   * leaves the other changes of the transaction alone.
   */
  decide(ledger: StockLedger): T;
  /**
   * Runs in the transaction after the change was decided, to record its answer with it; beside those of the
   * transaction's other changes, so it must be what `once` gives, which writes them with one statement.
   */
  record?: (tx: MongoTx, result: T) => Promise<void>;
  /** The entry of the audit log that goes with the change; null when nothing changed. */
  audit?: (result: T) => AuditEntry | null;
}

export interface StockCommitter {
  /**
   * Decides and writes a change in a transaction.
   * @throws AppError what `decide` threw; service_unavailable when it did not get through
   */
  submit<T>(change: StockChange<T>): Promise<T>;
  /**
   * Called after a transaction changed whether something can be had, with the signals it wrote about that;
   * awaited before the answers go out. It must not reject.
   */
  onCrossed(listener: (signals: StockSignalDocument[]) => Promise<void>): void;
  /** How often changes were written, and how many transactions that took, with those that were repeated. */
  stats(): { changes: number; transactions: number; attempts: number };
}

export interface CommitterOptions {
  /** Transactions of this process at once; two of them never touch the same SKU. */
  concurrency?: number;
  /** Changes in one transaction; 1 gives each its own. */
  batch?: number;
  /** True lets transactions of this process run into each other; for the tests that show that they may. */
  unordered?: boolean;
}

interface Entry {
  change: StockChange<unknown>;
  keys: string[];
  context: ChangeContext & { rewind(): void };
  resolve(result: unknown): void;
  reject(error: unknown): void;
  /** Of who submitted it: a transaction carries changes of several requests. */
  scope: Scope | undefined;
}

/** What a transaction decided. Once its commit was asked for, it may have been written whatever was answered. */
interface Decided {
  outcomes: Map<Entry, Outcome<unknown>>;
  signals: StockSignalDocument[];
  changes: StockChanges;
}

/** Other processes may write the same SKU: so often the engine's refusals are met by trying again. */
const STALE_TRIES = 8;

/**
 * Writes changes of stock in transactions that carry many of them. While a transaction on a SKU is under way,
 * more changes of that SKU wait in line here and go into the next one together, so 64 callers of one SKU cost
 * a few transactions and no conflicts instead of 64 that fight. This is for speed alone: each transaction is
 * right by itself, and other processes do the same at the same time (see docs/decisions).
 */
export function createStockCommitter(
  deps: {
    mongo: Mongo;
    store: InventoryStore;
    jobs: Pick<GroupedJobStore<MongoTx>, "enqueueAll">;
    clock: Clock;
    random: Random;
  },
  { concurrency = 4, batch: maxBatch = 48, unordered = false }: CommitterOptions = {},
): StockCommitter {
  const { mongo, store, clock, random } = deps;
  let waiting: Entry[] = [];
  const busy = new Set<string>();
  let running = 0;
  let scheduled = false;
  const listeners: ((signals: StockSignalDocument[]) => Promise<void>)[] = [];
  const stats = { changes: 0, transactions: 0, attempts: 0 };

  /** Ids in the same order at each try, so that a second try cannot do a committed change again. */
  const contextOf = (actorId: string): Entry["context"] => {
    const ids: string[] = [];
    let next = 0;
    return {
      actorId,
      now: clock.now(),
      newId() {
        ids[next] ??= random.id();
        return ids[next++] as string;
      },
      rewind() {
        next = 0;
      },
    };
  };

  /**
   * One transaction over some changes.
   * @param doubtful what earlier tries decided whose commit may have taken; this one adds its own
   */
  async function write(entries: Entry[], doubtful: Decided[]): Promise<Decided> {
    const wanted = {
      skuKeys: [...new Set(entries.flatMap(({ change }) => change.skuKeys))],
      reservationIds: [...new Set(entries.flatMap(({ change }) => change.reservationIds ?? []))],
      locations: true,
    };
    const signalIds: string[] = [];
    const jobIds: string[] = [];
    stats.transactions++;
    // biome-ignore lint/plugin: it carries the changes of several requests, each with its own entry and answer
    return mongo.transaction(async (tx) => {
      stats.attempts++;
      // An earlier try reached its commit and its answer was lost: if it took, it must not run again. One that
      // this snapshot does not show yet makes this try fail, and the next one sees it.
      for (const earlier of doubtful) {
        if (await store.isWritten(earlier.changes, tx)) return earlier;
      }
      for (const { change } of entries) await change.prepare?.(tx);
      const ledger = new StockLedger(await store.read(wanted, tx));
      const outcomes = new Map<Entry, Outcome<unknown>>();
      for (const entry of entries) {
        const { change, context } = entry;
        context.rewind();
        try {
          outcomes.set(entry, { ok: true, value: ledger.attempt(context, () => change.decide(ledger)) });
        } catch (error) {
          outcomes.set(entry, { ok: false, error });
        }
      }
      const changes = ledger.changes();
      const now = clock.now();
      const signals = changes.crossed.map((skuKey, index) => {
        signalIds[index] ??= random.id();
        return { _id: signalIds[index] as string, skuKey, createdAt: now };
      });
      await store.apply(changes, signals, tx);
      const jobs: ScopedJob[] = changes.lowNotices.map(({ levelId, at }, index) => {
        jobIds[index] ??= random.id();
        const id = jobIds[index] as string;
        return { id, kind: "stock.low", payload: { levelId }, runAt: at, scope: undefined };
      });
      const audited = [...outcomes].flatMap(([{ change, scope }, outcome]) => {
        const entry = outcome.ok ? change.audit?.(outcome.value) : null;
        return entry ? [{ entry, scope }] : [];
      });
      await deps.jobs.enqueueAll([...jobs, ...auditJobsOf(audited)], tx);
      // Together, so that the store writes all answers with one statement.
      await Promise.all(
        [...outcomes].map(([{ change }, outcome]) =>
          outcome.ok ? change.record?.(tx, outcome.value) : undefined,
        ),
      );
      const decided = { outcomes, signals, changes };
      doubtful.push(decided);
      return decided;
    });
  }

  async function writeAndAnswer(entries: Entry[], doubtful: Decided[] = []): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        const { outcomes, signals } = await write(entries, doubtful);
        if (signals.length > 0) await Promise.all(listeners.map((listener) => listener(signals)));
        for (const entry of entries) {
          const outcome = outcomes.get(entry) as Outcome<unknown>;
          if (outcome.ok) {
            stats.changes++;
            entry.resolve(outcome.value);
          } else entry.reject(outcome.error);
        }
        return;
      } catch (error) {
        const stale = error instanceof StaleStock || duplicateKey(error) !== undefined;
        if (stale && attempt < STALE_TRIES) {
          await new Promise((resolve) => setTimeout(resolve, jitter(0, 5 * 1.6 ** attempt)));
          continue;
        }
        // One change spoiled the transaction of all (its answer could not be recorded): each by itself then.
        if (entries.length > 1 && (stale || (error instanceof AppError && error.status < 500))) {
          for (const entry of entries) await writeAndAnswer([entry], [...doubtful]);
          return;
        }
        const failure = stale
          ? new AppError("service_unavailable", "Too many changes at once. Try again.", {
              retryAfter: 1,
              cause: error,
            })
          : error;
        for (const entry of entries) entry.reject(failure);
        return;
      }
    }
  }

  /** Starts transactions while there are free places and changes whose SKUs nobody here is writing. */
  function start(): void {
    scheduled = false;
    while (running < concurrency && waiting.length > 0) {
      const taken: Entry[] = [];
      const left: Entry[] = [];
      // Who waits for a SKU keeps those behind him from passing.
      const passed = new Set<string>();
      for (const entry of waiting) {
        const alone = (taken[0] ?? entry).change.prepare !== undefined || entry.change.prepare !== undefined;
        const blocked =
          taken.length >= (alone ? 1 : maxBatch) ||
          entry.keys.some((key) => busy.has(key) || passed.has(key));
        if (blocked) {
          left.push(entry);
          for (const key of entry.keys) passed.add(key);
        } else taken.push(entry);
      }
      if (taken.length === 0) return;
      waiting = left;
      const keys = new Set(taken.flatMap((entry) => entry.keys));
      for (const key of keys) busy.add(key);
      running++;
      void writeAndAnswer(taken).finally(() => {
        for (const key of keys) busy.delete(key);
        running--;
        start();
      });
    }
  }

  return {
    submit: <T>(change: StockChange<T>) =>
      new Promise<T>((resolve, reject) => {
        waiting.push({
          change: change as StockChange<unknown>,
          keys: unordered ? [] : [...new Set(change.skuKeys)],
          context: contextOf(change.actorId),
          resolve: resolve as (result: unknown) => void,
          reject,
          scope: currentScope(),
        });
        // Callers that are ready now come into the same transaction.
        if (!scheduled) {
          scheduled = true;
          queueMicrotask(start);
        }
      }),
    onCrossed: (listener) => {
      listeners.push(listener);
    },
    stats: () => ({ ...stats }),
  };
}
