/**
 * Open cursors. The engine keeps a cursor's results in a file or continues from a position, so an open
 * cursor holds no PostgreSQL connection, except inside a transaction, whose connection it shares.
 */
import type { Client, Transaction } from "./sessions.ts";

/** How long a cursor outlives the connections it was read over (a pool may close idle ones in between). */
const ORPHAN_MS = 10_000;

/** What is needed to continue a cursor. */
export interface Cursor {
  id: bigint;
  database: string;
  /** `database.collection`, as in the cursor's first page. */
  namespace: string;
  continuation: Buffer;
  transaction: Transaction | undefined;
  clients: Set<Client>;
  /** When it is dropped, in ms since the epoch; undefined for noCursorTimeout. */
  expires: number | undefined;
  noTimeout: boolean;
}

/** The cursors of one gateway. */
export class Cursors {
  private readonly cursors = new Map<bigint, Cursor>();
  private readonly idleMs: number;
  private readonly drop: (cursor: Cursor) => void;

  /**
   * @param idleMs a cursor not read for this long is dropped (cursorTimeoutMillis).
   * @param drop frees what the engine keeps for a cursor.
   */
  constructor(idleMs: number, drop: (cursor: Cursor) => void) {
    this.idleMs = idleMs;
    this.drop = drop;
  }

  /** Remembers a cursor. */
  add(cursor: Omit<Cursor, "expires">): void {
    cursor.transaction?.cursors.add(cursor.id);
    const added: Cursor = { ...cursor, expires: undefined };
    this.touch(added);
    this.cursors.set(added.id, added);
  }

  /** The cursor of that id, if it is still open. */
  get(id: bigint): Cursor | undefined {
    return this.cursors.get(id);
  }

  /** Starts a cursor's idle time anew. */
  touch(cursor: Cursor): void {
    cursor.expires = cursor.noTimeout ? undefined : Date.now() + this.idleMs;
  }

  /** Closes a cursor; false if there is none of that id. */
  close(id: bigint, exhausted = false): boolean {
    const cursor = this.cursors.get(id);
    if (cursor === undefined) return false;
    this.cursors.delete(id);
    cursor.transaction?.cursors.delete(id);
    if (!exhausted && cursor.transaction === undefined) this.drop(cursor);
    return true;
  }

  /** Closes the cursors of an ended transaction. */
  closeAll(transaction: Transaction): void {
    for (const id of transaction.cursors) this.cursors.delete(id);
    transaction.cursors.clear();
  }

  /** A client's connection is gone: its cursors are dropped soon, unless another connection reads on. */
  clientGone(client: Client): void {
    for (const cursor of this.cursors.values()) {
      if (cursor.clients.delete(client) && cursor.clients.size === 0) {
        cursor.expires = Math.min(cursor.expires ?? Number.POSITIVE_INFINITY, Date.now() + ORPHAN_MS);
      }
    }
  }

  /** Drops what has expired. */
  sweep(): void {
    const now = Date.now();
    for (const cursor of this.cursors.values()) {
      if (cursor.transaction === undefined && (cursor.expires ?? now) < now) this.close(cursor.id);
    }
  }

  /** How many cursors are open. */
  get size(): number {
    return this.cursors.size;
  }
}
