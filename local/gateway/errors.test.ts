import { describe, expect, test } from "bun:test";
import { ConnectionLost, errorDocument, PostgresError, toMongoError, unpackSqlState } from "./errors.ts";

/** MAKE_SQLSTATE of src/include/utils/elog.h, the other way round. */
const pack = (state: string): number =>
  [...state].reduce((sum, character, index) => sum + ((character.charCodeAt(0) - 48) << (6 * index)), 0);

describe("errors of PostgreSQL as MongoDB's", () => {
  test.each(["40001", "40P01", "55P03"])(
    "%s in a transaction is 112 at the top, labelled transient",
    (state) => {
      expect(errorDocument(toMongoError(new PostgresError(state, "in the way"), true))).toEqual({
        ok: 0,
        code: 112,
        codeName: "WriteConflict",
        errmsg: "in the way",
        errorLabels: ["TransientTransactionError"],
      });
      expect(toMongoError(new PostgresError(state, "in the way"), false).labels).toEqual([]);
    },
  );

  test("a lost engine: run the transaction again, or send the write again", () => {
    expect(toMongoError(new ConnectionLost("gone"), true)).toMatchObject({
      code: 91,
      labels: ["TransientTransactionError"],
    });
    expect(toMongoError(new ConnectionLost("gone"), false)).toMatchObject({
      code: 91,
      labels: ["RetryableWriteError"],
    });
  });

  test("a cancelled statement is MaxTimeMSExpired; a failed transaction is NoSuchTransaction, labelled", () => {
    expect(toMongoError(new PostgresError("57014", "canceling statement"), false)).toMatchObject({
      code: 50,
      codeName: "MaxTimeMSExpired",
    });
    expect(toMongoError(new PostgresError("25P02", "failed"), true)).toMatchObject({
      code: 251,
      labels: ["TransientTransactionError"],
    });
  });

  test("an error without a counterpart names PostgreSQL's state", () => {
    expect(toMongoError(new PostgresError("XX001", "damaged"), false)).toMatchObject({
      code: 8,
      message: "damaged (XX001)",
    });
  });

  test("packed states are read as PostgreSQL packs them", () => {
    for (const state of ["23505", "40001", "40P01", "55P03", "M001C", "ZZZZZ", "00000"]) {
      expect(unpackSqlState(pack(state))).toBe(state);
    }
  });
});
