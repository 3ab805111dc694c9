/**
 * Write errors of the engine, told as MongoDB tells them: its own codes, and for a duplicate key the index,
 * the pattern of its keys and, where they can be known, the offending values.
 */
import { type Document, Long, ObjectId } from "bson";
import { decode, decodePlain, encode } from "./bson.ts";
import type { Command } from "./command.ts";
import { codeOf, MongoError, unpackSqlState } from "./errors.ts";
import type { Pool } from "./pool.ts";
import { SQL } from "./schema.ts";

const DUPLICATE_KEY = 11000;

/** A duplicate key as MongoDB describes it. */
interface DuplicateKey {
  errmsg: string;
  fields: { keyPattern?: Document; keyValue?: Document };
}

/** Translates the engine's write errors. */
export class WriteErrors {
  private readonly pool: Pool;

  constructor(pool: Pool) {
    this.pool = pool;
  }

  /** The result of a write with the engine's packed codes replaced by MongoDB's. */
  async translate(command: Command, result: Buffer): Promise<Buffer> {
    const document = decode(result);
    for (const error of (document.writeErrors ?? []) as Document[]) {
      const sqlState = unpackSqlState(Number(error.code));
      const [code] = codeOf(sqlState);
      error.code = code;
      if (code !== DUPLICATE_KEY) continue;
      const statement = statementAt(command, Number(error.index));
      const { errmsg, fields } = await this.duplicateKey(command, String(error.errmsg), statement);
      Object.assign(error, fields, { errmsg });
    }
    return encode(document);
  }

  /** The same for an error of a whole command, such as findAndModify's. */
  async translateThrown(command: Command, error: MongoError): Promise<MongoError> {
    if (error.code !== DUPLICATE_KEY) return error;
    const { query: q, update: u } = decodePlain(command.wholeBody());
    const { errmsg, fields } = await this.duplicateKey(command, error.message, { q, u });
    return new MongoError(DUPLICATE_KEY, "DuplicateKey", errmsg, error.labels, fields);
  }

  private async duplicateKey(command: Command, message: string, statement: Document): Promise<DuplicateKey> {
    const index = await this.indexOf(message);
    const keyPattern = await this.keyPattern(command, index);
    const keyValue = keyPattern === undefined ? undefined : keyValues(keyPattern, statement);
    const values = keyValue === undefined ? "" : `: ${shellText(keyValue)}`;
    return {
      errmsg: `E11000 duplicate key error collection: ${command.namespace} index: ${index} dup key${values}`,
      fields: { ...(keyPattern && { keyPattern }), ...(keyValue && { keyValue }) },
    };
  }

  /** The index that an error of the engine or of PostgreSQL speaks of. */
  private async indexOf(message: string): Promise<string> {
    const name = /Index '(.+)'/.exec(message)?.[1];
    if (name !== undefined) return name;
    const number = /documents_rum_index_(\d+)/.exec(message)?.[1];
    if (number === undefined) return "_id_";
    const { rows } = await this.pool.use("work", (connection) => connection.execute(SQL.indexName, [number]));
    return rows[0]?.[0]?.toString("utf8") ?? "_id_";
  }

  private async keyPattern(command: Command, index: string): Promise<Document | undefined> {
    if (index === "_id_") return { _id: 1 };
    const { rows } = await this.pool.use("work", (connection) =>
      connection.execute(SQL.indexKey, [command.database, command.collection, index]),
    );
    const key = rows[0]?.[0];
    return key ? decodePlain(key) : undefined;
  }
}

/** What the failed statement would have stored: `{ document }` of an insert, `{ q, u }` of an update. */
function statementAt(command: Command, index: number): Document {
  const body = decodePlain(command.wholeBody());
  if (command.name === "insert") return { document: body.documents?.[index] };
  return body.updates?.[index] ?? {};
}

/**
 * The values of an index's keys in the document a statement would have stored; undefined when the
 * statement alone does not tell them (an update by operators may leave a key as the document has it).
 */
function keyValues(pattern: Document, statement: Document): Document | undefined {
  const values: Document = {};
  for (const path of Object.keys(pattern)) {
    const value = valueAt(path, statement);
    // Which element of an array clashed is not known.
    if (value === undefined || Array.isArray(value)) return undefined;
    values[path] = value;
  }
  return values;
}

function valueAt(path: string, { document, q, u }: Document): unknown {
  if (document !== undefined) return follow(document, path) ?? null;
  if (Array.isArray(u)) return undefined;
  const first = Object.keys(u ?? {})[0];
  if (first !== undefined && !first.startsWith("$")) {
    return path === "_id" ? (follow(u, path) ?? follow(q, path)) : (follow(u, path) ?? null);
  }
  const value = u?.$set?.[path] ?? u?.$setOnInsert?.[path] ?? q?.[path];
  const isOperator = value?.constructor === Object && Object.keys(value)[0]?.startsWith("$");
  return isOperator ? undefined : value;
}

function follow(document: unknown, path: string): unknown {
  let value = document;
  for (const part of path.split(".")) {
    if (value === null || typeof value !== "object") return undefined;
    value = (value as Document)[part];
  }
  return value;
}

/** The way MongoDB's own messages write values, as far as keys need it. */
function shellText(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (value instanceof ObjectId) return `ObjectId('${value.toHexString()}')`;
  if (value instanceof Date) return `new Date(${value.getTime()})`;
  if (value instanceof Long) return value.toString();
  if (value?.constructor === Object) {
    const parts = Object.entries(value).map(([key, item]) => `${key}: ${shellText(item)}`);
    return `{ ${parts.join(", ")} }`;
  }
  return String(value);
}
