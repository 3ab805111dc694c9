/** Synonyms and rules: listed, read, created, replaced and deleted alike. */
import { type Beside, type Manager, managedEntry, mutate } from "../../../audit";
import type { MongoTx } from "../../../db/mongo";
import type { RecordAnswer } from "../../../http/idempotency";
import { AppError, invalidInput } from "../../../lib/errors";
import type { JsonValue } from "../../../lib/json";
import { pageFrom } from "../../../lib/paging";
import { type ExpectedVersions, expectVersion } from "../../../lib/versions";
import type { ProductDeps } from "../../deps";
import { ruleKeyOf } from "./current";
import type { RuleDocument, SynonymDocument } from "./model";
import type { ManagedListQuery, RuleBody, RuleResponse, SynonymBody, SynonymResponse } from "./schema";
import type { CurationStore } from "./store";

/** Most of each kind: every process keeps them all in memory. */
const MOST = 1000;

type Row = SynonymDocument | RuleDocument;
interface Rows<R extends Row> {
  page(after: string | null, limit: number): Promise<R[]>;
  find(id: string, tx?: MongoTx): Promise<R | null>;
  count(tx: MongoTx): Promise<number>;
  create(row: R, tx: MongoTx): Promise<void>;
  replace(row: R, tx: MongoTx): Promise<void>;
  remove(id: string, tx: MongoTx): Promise<void>;
}

/** What differs between the kinds. */
interface Kind<R extends Row, Body, Response extends object> {
  name: "search_synonym" | "search_rule";
  noun: string;
  rows(store: CurationStore): Rows<R>;
  fields(body: Body): Omit<R, keyof Base>;
  /** @throws AppError invalid_input, already_exists */
  check(deps: ProductDeps, row: R, tx: MongoTx): Promise<void>;
  show(row: R): Omit<Response, "id" | "version" | "createdAt" | "updatedAt">;
}
type Base = Pick<Row, "_id" | "version" | "createdAt" | "updatedAt">;

function manage<R extends Row, Body, Response extends object>(kind: Kind<R, Body, Response>) {
  const toResponse = (row: R): Response =>
    ({
      id: row._id,
      ...kind.show(row),
      version: row.version,
      createdAt: row.createdAt.toISOString(),
      updatedAt: row.updatedAt.toISOString(),
    }) as unknown as Response;
  const missing = () => new AppError("not_found", `There is no such ${kind.noun}.`);

  /** Runs a change in a transaction that no other change of the search crosses, with its audit entry. */
  const change = async <T>(
    deps: ProductDeps,
    manager: Manager,
    verb: "created" | "changed" | "deleted",
    work: (tx: MongoTx) => Promise<{ result: T; detail: Record<string, JsonValue> }>,
    record?: Beside<MongoTx, T>["record"],
  ): Promise<T> => {
    const audit = managedEntry(deps, manager, `${kind.name}.${verb}`);
    return mutate(deps, "mongo", { audit, record }, async (tx, { tell }) => {
      await deps.curationStore.guard(tx);
      const { result, detail } = await work(tx);
      tell(detail);
      return result;
    });
  };
  const detailOf = (row: R): Record<string, JsonValue> => ({
    id: row._id,
    ...(kind.show(row) as Record<string, JsonValue>),
  });

  return {
    /** @throws AppError invalid_cursor */
    async list(deps: ProductDeps, { limit, cursor }: ManagedListQuery) {
      const [after = null] = cursor === undefined ? [] : deps.cursors.decode(cursor, kind.name);
      const rows = await kind.rows(deps.curationStore).page(after as string | null, limit + 1);
      return pageFrom(deps, rows, limit, kind.name, toResponse, (last) => [last._id]);
    },

    /** @throws AppError not_found */
    async read(deps: ProductDeps, id: string): Promise<Response> {
      const row = await kind.rows(deps.curationStore).find(id);
      if (!row) throw missing();
      return toResponse(row);
    },

    /** @throws AppError invalid_input, already_exists, conflict when there are too many */
    create(
      deps: ProductDeps,
      manager: Manager,
      body: Body,
      record: RecordAnswer<MongoTx>,
    ): Promise<Response> {
      const now = deps.clock.now();
      const base: Base = { _id: deps.random.id(), version: 1, createdAt: now, updatedAt: now };
      const row = { ...base, ...kind.fields(body) } as R;
      const work = async (tx: MongoTx) => {
        const rows = kind.rows(deps.curationStore);
        if ((await rows.count(tx)) >= MOST)
          throw new AppError("conflict", `There are ${MOST} ${kind.noun}s already. Delete one first.`);
        await kind.check(deps, row, tx);
        await rows.create(row, tx);
        return { result: toResponse(row), detail: detailOf(row) };
      };
      return change(deps, manager, "created", work, record);
    },

    /** @throws AppError not_found, precondition_failed, invalid_input, already_exists */
    replace(
      deps: ProductDeps,
      manager: Manager,
      id: string,
      body: Body,
      expected: ExpectedVersions,
    ): Promise<Response> {
      const now = deps.clock.now();
      return change(deps, manager, "changed", async (tx) => {
        const rows = kind.rows(deps.curationStore);
        const present = await rows.find(id, tx);
        if (!present) throw missing();
        expectVersion(expected, present.version);
        const row = {
          ...present,
          ...kind.fields(body),
          version: present.version + 1,
          updatedAt: now,
        } as R;
        await kind.check(deps, row, tx);
        await rows.replace(row, tx);
        return { result: toResponse(row), detail: detailOf(row) };
      });
    },

    /** @throws AppError not_found, precondition_failed */
    async remove(deps: ProductDeps, manager: Manager, id: string, expected: ExpectedVersions): Promise<void> {
      await change(deps, manager, "deleted", async (tx) => {
        const rows = kind.rows(deps.curationStore);
        const present = await rows.find(id, tx);
        if (!present) throw missing();
        expectVersion(expected, present.version);
        await rows.remove(id, tx);
        return { result: undefined, detail: detailOf(present) };
      });
    },
  };
}

export const synonyms = manage<SynonymDocument, SynonymBody, SynonymResponse>({
  name: "search_synonym",
  noun: "synonym",
  rows: (store) => store.synonyms,
  fields: ({ input, terms }) => ({ input: input ?? null, terms }),
  check: async () => undefined,
  show: ({ input, terms }) => ({ input, terms }),
});

export const rules = manage<RuleDocument, RuleBody, RuleResponse>({
  name: "search_rule",
  noun: "rule",
  rows: (store) => store.rules,
  fields: ({ query, pinned, hidden, redirect }) => ({
    query,
    key: ruleKeyOf(query),
    pinned: pinned ?? [],
    hidden: hidden ?? [],
    redirect: redirect ?? null,
  }),
  async check(deps, { _id, key, redirect }, tx) {
    const other = await deps.curationStore.ruleByKey(key, tx);
    if (other && other._id !== _id)
      throw new AppError("already_exists", "There is a rule for this query already. Change that one.");
    if (redirect !== null && !(await deps.categories.findByIds([redirect], tx)).has(redirect))
      throw invalidInput("redirect", "not_found", "there is no such category");
  },
  show: ({ query, pinned, hidden, redirect }) => ({ query, pinned, hidden, redirect }),
});
