/**
 * What the gateway keeps in PostgreSQL itself: the extensions, and a small schema of its own with the
 * records that make a repeated write or commit answer as the first one did, also after a restart.
 */
import type { PostgresConnection, Statement } from "./postgres.ts";

/** Any number; two gateways that start at once take this lock so that only one creates things. */
const SETUP_LOCK = 4_703_262_017n;

/**
 * `write` runs one write command. With a session it is exactly once: the result is recorded in the same
 * transaction as the write itself, and a repetition gets the recorded result; one with "writeErrors" (the
 * first byte string) is a failure the second time too. A conflict with another
 * transaction, which the engine reports inside its result, is raised as an error so that nothing of the
 * command remains and it can be run again. The other byte strings are a `code` element of BSON holding the packed
 * SQLSTATEs 40001, 40P01 and 55P03 (see unpackSqlState in errors.ts).
 */
const SCHEMA = `
create schema if not exists aizy_gateway;
create table if not exists aizy_gateway.session_writes (
  lsid bytea primary key,
  txn_number bigint not null,
  is_commit boolean not null,
  result documentdb_core.bson,
  written_at timestamptz not null default now()
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
create or replace function aizy_gateway.write(
  kind text, db text, spec documentdb_core.bson, documents documentdb_core.bsonsequence,
  session bytea, number bigint, out result documentdb_core.bson, out success boolean
) language plpgsql as $body$
declare
  recorded record;
  bytes bytea;
begin
  if session is not null then
    perform pg_advisory_xact_lock(hashtextextended(encode(session, 'hex'), 0));
    select w.txn_number, w.is_commit, w.result into recorded from aizy_gateway.session_writes w where w.lsid = session;
    if found then
      if recorded.txn_number = number and not recorded.is_commit then
        result := recorded.result;
        success := position('\\x0477726974654572726f727300'::bytea in result::bytea) = 0;
        return;
      end if;
      if recorded.txn_number > number then
        raise exception 'Retryable write with txnNumber % is prohibited on this session because a newer retryable write with txnNumber % has already started', number, recorded.txn_number using errcode = 'M00F5';
      end if;
    end if;
  end if;
  if kind = 'update' then
    select u.p_result, u.p_success into result, success from documentdb_api.update(db, spec, documents) u;
  elsif kind = 'insert' then
    select i.p_result, i.p_success into result, success from documentdb_api.insert(db, spec, documents) i;
  elsif kind = 'findAndModify' then
    select f.p_result, f.p_success into result, success from documentdb_api.find_and_modify(db, spec) f;
  else
    select d.p_result, d.p_success into result, success from documentdb_api.delete(db, spec, documents) d;
  end if;
  if not success then
    bytes := result::bytea;
    if position('\\x10636f64650004000001'::bytea in bytes) > 0
      or position('\\x10636f64650004000201'::bytea in bytes) > 0
      or position('\\x10636f64650045010203'::bytea in bytes) > 0 then
      raise exception 'a conflicting write is in progress' using errcode = '40001';
    end if;
  end if;
  if session is not null then
    insert into aizy_gateway.session_writes as w (lsid, txn_number, is_commit, result)
      values (session, number, false, result)
      on conflict (lsid) do update set txn_number = excluded.txn_number, is_commit = false,
        result = excluded.result, written_at = now();
  end if;
end $body$;
-- Gives the planner what it needs to know of a collection. Every row of a collection's table has the same
-- shard_key_value; until ANALYZE has seen a row, PostgreSQL takes a condition on it for selective and reads
-- the whole primary key instead of the index that fits. So an empty table is told this fact beforehand.
create or replace function aizy_gateway.analyze(db text, coll text) returns void language plpgsql as $body$
declare
  id bigint;
begin
  select collection_id into id from documentdb_api_catalog.collections
    where database_name = db and collection_name = coll and view_definition is null;
  if id is null then
    return;
  end if;
  execute format('analyze documentdb_data.documents_%s', id);
  if not exists (select from pg_stats where schemaname = 'documentdb_data'
      and tablename = 'documents_' || id and attname = 'shard_key_value') then
    perform pg_restore_attribute_stats('schemaname', 'documentdb_data', 'relname', 'documents_' || id,
      'attname', 'shard_key_value', 'inherited', false, 'version', 180000, 'null_frac', 0::real,
      'avg_width', 8, 'n_distinct', 1::real, 'most_common_vals', '{' || id || '}',
      'most_common_freqs', '{1}'::real[]);
  end if;
end $body$;
create or replace function aizy_gateway.remember_commit(session bytea, number bigint) returns void
language sql as $body$
  insert into aizy_gateway.session_writes as w (lsid, txn_number, is_commit) values (session, number, true)
    on conflict (lsid) do update set txn_number = excluded.txn_number, is_commit = true, result = null, written_at = now()
$body$;
`;

/** Creates the extensions and the gateway's schema if they are missing. */
export async function setUp(connection: PostgresConnection): Promise<void> {
  await connection.run(`select pg_advisory_lock(${SETUP_LOCK})`);
  try {
    await connection.run("create extension if not exists documentdb cascade");
    await connection.run("create extension if not exists documentdb_extended_rum");
    await connection.run(SCHEMA);
  } finally {
    await connection.run(`select pg_advisory_unlock(${SETUP_LOCK})`);
  }
}

const statement = (name: string, sql: string): Statement => ({ name, sql });

/** Functions that return the first page of a cursor: [page, continuation]. */
export const FIRST_PAGE: Record<string, Statement> = {
  find: statement(
    "find",
    "select cursorpage, continuation from documentdb_api.find_cursor_first_page($1, $2)",
  ),
  aggregate: statement(
    "aggregate",
    "select cursorpage, continuation from documentdb_api.aggregate_cursor_first_page($1, $2)",
  ),
  listCollections: statement(
    "listCollections",
    "select cursorpage, continuation from documentdb_api.list_collections_cursor_first_page($1, $2)",
  ),
  listIndexes: statement(
    "listIndexes",
    "select cursorpage, continuation from documentdb_api.list_indexes_cursor_first_page($1, $2)",
  ),
};

/** The other statements the gateway runs; the result document is the first column unless said otherwise. */
export const SQL = {
  getMore: statement(
    "getMore",
    "select cursorpage, continuation from documentdb_api.cursor_get_more($1, $2, $3)",
  ),
  deleteCursors: statement("deleteCursors", "select documentdb_api_internal.delete_cursors(array[$1::int8])"),
  /** [result, success] */
  write: statement("write", "select result, success from aizy_gateway.write($1, $2, $3, $4, $5, $6)"),
  rememberCommit: statement("rememberCommit", "select 1::int8 from aizy_gateway.remember_commit($1, $2)"),
  /** One row when this transaction of this session is known to have been committed. */
  wasCommitted: statement(
    "wasCommitted",
    "select 1::int8 from aizy_gateway.session_writes where lsid = $1 and txn_number = $2 and is_commit",
  ),
  forgetOldSessions: statement(
    "forgetOldSessions",
    "delete from aizy_gateway.session_writes where written_at < now() - interval '30 minutes'",
  ),
  count: statement("count", "select document from documentdb_api.count_query($1, $2)"),
  distinct: statement("distinct", "select document from documentdb_api.distinct_query($1, $2)"),
  create: statement("create", "select documentdb_api.create_collection_view($1, $2)"),
  createIndexes: statement(
    "createIndexes",
    "select documentdb_api_internal.create_indexes_non_concurrently($1, $2, true)",
  ),
  dropIndexes: statement("dropIndexes", "call documentdb_api.drop_indexes($1, $2, null)"),
  dropCollection: statement("dropCollection", "select documentdb_api.drop_collection($1, $2)"),
  dropDatabase: statement("dropDatabase", "select 1::int8 from documentdb_api.drop_database($1)"),
  listDatabases: statement("listDatabases", "select documentdb_api.list_databases($1)"),
  renameCollection: statement("renameCollection", "select documentdb_api.rename_collection($1)"),
  collMod: statement("collMod", "select documentdb_api.coll_mod($1, $2, $3)"),
  collStats: statement("collStats", "select documentdb_api.coll_stats($1, $2, $3)"),
  dbStats: statement("dbStats", "select documentdb_api.db_stats($1, $2, $3)"),
  validate: statement("validate", "select document from documentdb_api.validate($1, $2)"),
  currentOp: statement("currentOp", "select document from documentdb_api.current_op_command($1)"),
  ping: statement("ping", "select 1::int8"),
  analyze: statement("analyze", "select 1::int8 from aizy_gateway.analyze($1, $2)"),
  /** [index key] of an index by its name. */
  indexKey: statement(
    "indexKey",
    `select (i.index_spec).index_key from documentdb_api_catalog.collection_indexes i
     join documentdb_api_catalog.collections c using (collection_id)
     where c.database_name = $1 and c.collection_name = $2 and (i.index_spec).index_name = $3`,
  ),
  /** [name] of an index by the engine's number, which is in the name of PostgreSQL's index. */
  indexName: statement(
    "indexName",
    "select convert_to((index_spec).index_name, 'UTF8') from documentdb_api_catalog.collection_indexes where index_id::text = $1",
  ),
} satisfies Record<string, Statement>;
