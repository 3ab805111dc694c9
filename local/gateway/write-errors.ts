/** Write errors of the engine, told as MongoDB tells them. */
import type { Document } from "bson";
import { decode, encode } from "./bson.ts";
import type { Command } from "./commands.ts";
import { codeOf, MongoError, unpackSqlState } from "./errors.ts";
import type { Pool } from "./pool.ts";

/** Translates write errors; keeps what it learned of indexes. */
export class WriteErrors {
  readonly pool: Pool;

  constructor(pool: Pool) {
    this.pool = pool;
  }

  /** The result of a write with the engine's packed codes replaced by MongoDB's. */
  async translate(command: Command, result: Buffer): Promise<Buffer> {
    const document = decode(result);
    for (const error of (document.writeErrors ?? []) as Document[]) {
      const [code] = codeOf(unpackSqlState(Number(error.code)));
      error.code = code;
      if (code === 11000) error.errmsg = duplicateKey(command, String(error.errmsg));
    }
    return encode(document);
  }

  /** The same for an error of a whole command. */
  async translateThrown(command: Command, error: MongoError): Promise<MongoError> {
    if (error.code !== 11000) return error;
    return new MongoError(11000, "DuplicateKey", duplicateKey(command, error.message), error.labels);
  }
}

function duplicateKey(command: Command, message: string): string {
  const index = /Index '(.+)'/.exec(message)?.[1] ?? "_id_";
  return `E11000 duplicate key error collection: ${command.namespace} index: ${index} dup key`;
}
