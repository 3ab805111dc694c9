import { createHash } from "node:crypto";
import { isMac, type Keys, macOf } from "./crypto";
import { AppError } from "./errors";
import type { JsonValue } from "./json";

/** Makes and reads the cursors of lists: signed, and good only for the list they came from. */
export interface Cursors {
  /** @param position the sort key's value and the last row's id; @param filter whatever decides the list */
  encode(position: JsonValue[], filter: JsonValue): string;
  /** @throws AppError invalid_cursor when it was changed, or is of a list with another filter or sort */
  decode(cursor: string, filter: JsonValue): JsonValue[];
}

const MAC_BYTES = 16;

/** @param keys the derived keys of the purpose "cursor" */
export function createCursors(keys: Keys): Cursors {
  const hashOf = (filter: JsonValue) =>
    createHash("sha256").update(JSON.stringify(filter)).digest("base64url").slice(0, 16);
  const refuse = () =>
    new AppError(
      "invalid_cursor",
      "The cursor was changed or belongs to another list. Start again without it.",
    );

  return {
    encode(position, filter) {
      const payload = Buffer.from(JSON.stringify([hashOf(filter), position]));
      return Buffer.concat([macOf(keys[0], payload).subarray(0, MAC_BYTES), payload]).toString("base64url");
    },
    decode(cursor, filter) {
      const bytes = Buffer.from(cursor, "base64url");
      // Base64 has spare bits: only the one spelling that we made is ours.
      if (bytes.length <= MAC_BYTES || bytes.toString("base64url") !== cursor) throw refuse();
      const payload = bytes.subarray(MAC_BYTES);
      if (!isMac(keys, payload, bytes.subarray(0, MAC_BYTES))) throw refuse();
      const [hash, position] = JSON.parse(payload.toString()) as [string, JsonValue[]];
      if (hash !== hashOf(filter)) throw refuse();
      return position;
    },
  };
}
