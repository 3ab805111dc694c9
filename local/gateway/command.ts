import {
  arrayElement,
  booleanValue,
  documentValue,
  type Element,
  elements,
  integerValue,
  stringValue,
  withElement,
} from "./bson.ts";
import { MongoError } from "./errors.ts";
import type { Client, TransactionRequest } from "./sessions.ts";
import type { Request } from "./wire.ts";

/**
 * How PostgreSQL plans a statement:
 * - `ordered`: the rule; an index gives the order of a page, nothing is collected and sorted first.
 * - `union`: for `$or` without a sort, so that each alternative may use its own index.
 * - `text`: the engine does not find its text index when it plans with statistics on indexed paths.
 */
export type Planner = "ordered" | "union" | "text";

const TEXT_OPERATOR = Buffer.from("\x03$text\0");
const OR_OPERATOR = Buffer.from("\x04$or\0");
const SORT_STAGE = Buffer.from("\x03$sort\0");

/** A command with what the gateway itself reads of it. */
export class Command {
  readonly name: string;
  readonly fields: Map<string, Element>;
  readonly database: string;
  readonly body: Buffer;
  readonly sequences: Map<string, Buffer>;
  readonly client: Client;

  constructor(request: Request, client: Client) {
    this.body = request.body;
    this.sequences = request.sequences;
    this.client = client;
    this.fields = elements(request.body);
    const first = this.fields.keys().next().value;
    if (first === undefined) throw new MongoError(59, "CommandNotFound", "empty command");
    this.name = first === "findandmodify" ? "findAndModify" : first;
    const database = this.string("$db");
    if (database === undefined)
      throw new MongoError(40571, "Location40571", "OP_MSG requests require a $db argument");
    this.database = database;
  }

  /** The command's own value when it is a string: mostly the collection's name. */
  get collection(): string {
    const value = stringValue(this.body, this.fields.values().next().value);
    if (value === undefined) {
      throw new MongoError(73, "InvalidNamespace", `collection name has invalid type in '${this.name}'`);
    }
    return value;
  }

  /** `database.collection`. */
  get namespace(): string {
    return `${this.database}.${this.collection}`;
  }

  /** How the engine should plan it. */
  get planner(): Planner {
    const conditions = this.sequences.get("updates") ?? this.sequences.get("deletes") ?? this.body;
    if (conditions.includes(TEXT_OPERATOR)) return "text";
    if (!conditions.includes(OR_OPERATOR)) return "ordered";
    return this.fields.has("sort") || conditions.includes(SORT_STAGE) ? "ordered" : "union";
  }

  /** What a read outside a transaction says of a snapshot: its time, once it has one. */
  get snapshot(): { at: bigint | undefined } | undefined {
    const concern = documentValue(this.body, this.fields.get("readConcern"));
    if (concern === undefined || this.fields.has("autocommit")) return undefined;
    const said = elements(concern);
    if (stringValue(concern, said.get("level")) !== "snapshot") return undefined;
    const at = said.get("atClusterTime");
    return { at: at?.type === 17 ? concern.readBigUInt64LE(at.value) : undefined };
  }

  string(name: string): string | undefined {
    return stringValue(this.body, this.fields.get(name));
  }

  integer(name: string): bigint | undefined {
    return integerValue(this.body, this.fields.get(name));
  }

  boolean(name: string): boolean | undefined {
    return booleanValue(this.body, this.fields.get(name));
  }

  /** The logical session's id, if the command names one. */
  sessionId(): Buffer | undefined {
    const lsid = documentValue(this.body, this.fields.get("lsid"));
    if (lsid === undefined) return undefined;
    const id = elements(lsid).get("id");
    if (id?.type !== 5) throw new MongoError(14, "TypeMismatch", "lsid.id must be a UUID");
    return lsid.subarray(id.value + 5, id.end);
  }

  /** What the command says of a transaction; undefined outside one. */
  transaction(): TransactionRequest | undefined {
    if (this.boolean("autocommit") !== false) return undefined;
    const sessionId = this.sessionId();
    const number = this.integer("txnNumber");
    if (sessionId === undefined || number === undefined) {
      throw new MongoError(72, "InvalidOptions", "a transaction needs lsid and txnNumber");
    }
    return { sessionId, number, start: this.boolean("startTransaction") === true };
  }

  /** The body with its document sequences as arrays inside, for statements that take one document. */
  wholeBody(): Buffer {
    let body = this.body;
    for (const [name, sequence] of this.sequences) body = withElement(body, arrayElement(name, sequence));
    return body;
  }
}
