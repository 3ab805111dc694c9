import { describe, expect, test } from "bun:test";
import mariadb from "mariadb";
import * as mongo from "mongodb";
import mongoose from "mongoose";
import { z } from "zod";
import { Prisma } from "../generated/prisma/client";
import { JobRefused } from "../jobs/runner";
import { AppError } from "../lib/errors";
import { MailRefused } from "../mail/mail";
import { describeError, errorText, withoutAddresses } from "./errors";

// It is not exported: only the driver makes one.
const { WriteError } = (await import("mongodb/lib/bulk/common.js" as string)) as typeof mongo;

/** What a person typed; no error may tell it. */
const TYPED = "ann.typed@example.com";

const thrownBy = (work: () => unknown): unknown => {
  try {
    work();
  } catch (error) {
    return error;
  }
  throw new Error("nothing was thrown");
};

const clientVersion = "7";
/** Errors that hold what a person typed, as those who throw them make them; and what is told of each in one line. */
const HOLDING: [string, unknown, string][] = [
  [
    "a bulk write of MongoDB",
    new mongo.MongoBulkWriteError(
      {
        message: `Document failed: ${TYPED}`,
        code: 11602,
        writeErrors: [
          new WriteError({ index: 0, code: 11602, errmsg: TYPED, errInfo: {}, op: { email: TYPED } }),
        ],
      },
      {} as mongo.BulkWriteResult,
    ),
    "MongoBulkWriteError 11602",
  ],
  [
    "a key that is taken in MongoDB",
    new mongo.MongoServerError({
      message: `E11000 dup key: { email: "${TYPED}" }`,
      code: 11000,
      keyValue: { email: TYPED },
      errorResponse: { errmsg: TYPED },
    }),
    "MongoServerError 11000",
  ],
  [
    "a value of another type, in Mongoose",
    new mongoose.Error.CastError("Number", TYPED, "price"),
    "CastError Number",
  ],
  [
    "MySQL",
    new mariadb.SqlError(
      `Duplicate entry '${TYPED}' for key 'email'`,
      `INSERT ${TYPED}`,
      false,
      undefined,
      "23000",
      1062,
    ),
    "SqlError ER_DUP_ENTRY 1062 23000",
  ],
  [
    "MySQL, under Prisma's adapter",
    Object.assign(new Error(`Value too long: ${TYPED}`), {
      name: "DriverAdapterError",
      cause: { kind: "mysql", originalCode: "1366", originalMessage: `Incorrect string value: '${TYPED}'` },
    }),
    "DriverAdapterError mysql 1366",
  ],
  [
    "a query of Prisma",
    new Prisma.PrismaClientKnownRequestError(`Invalid \`create()\` invocation: { email: "${TYPED}" }`, {
      code: "P2002",
      clientVersion,
      meta: {
        modelName: "User",
        target: TYPED,
        driverAdapterError: Object.assign(new Error(TYPED), {
          name: "DriverAdapterError",
          cause: { kind: "UniqueConstraintViolation", originalCode: "1062", originalMessage: TYPED },
        }),
      },
    }),
    "PrismaClientKnownRequestError P2002 UniqueConstraintViolation 1062",
  ],
  [
    "arguments that Prisma refuses",
    new Prisma.PrismaClientValidationError(`Argument email: ${TYPED}`, { clientVersion }),
    "PrismaClientValidationError",
  ],
  ["a schema", thrownBy(() => z.strictObject({}).parse({ [TYPED]: 1 })), "ZodError"],
  ["JSON that is none", thrownBy(() => JSON.parse(`{"a": ${TYPED}`)), "SyntaxError"],
  [
    "a time zone that is none",
    thrownBy(() => new Intl.DateTimeFormat("en", { timeZone: TYPED })),
    "RangeError",
  ],
  ["an address that is none", thrownBy(() => new URL(TYPED)), "TypeError ERR_INVALID_URL"],
  [
    "a text that is no function",
    thrownBy(() => (TYPED as unknown as () => void)()),
    // The engine writes the value in quotes.
    `TYPED is not a function. (In 'TYPED()', 'TYPED' is "…"`,
  ],
  [
    "a mail server",
    new MailRefused(
      Object.assign(new Error(`550 <${TYPED}>`), {
        response: `550 5.1.1 <${TYPED}>`,
        command: "RCPT TO",
        code: "EENVELOPE",
      }),
    ),
    "the mail was not taken at RCPT TO: 550 5.1.1 EENVELOPE",
  ],
  [
    "a mail server, by an error of no name of its own",
    Object.assign(new Error(`refused: ${TYPED}`), {
      response: `550 ${TYPED}`,
      rejected: [TYPED],
      responseCode: 550,
    }),
    "Error 550",
  ],
];

describe("what is told of an error", () => {
  test.each(HOLDING)("%s: its kind and codes, nothing that was typed, at any depth", (_, error, line) => {
    expect(errorText(error)).toBe(line);
    for (const holding of [
      error,
      new Error("outer", { cause: error }),
      new AggregateError([new Error("other"), error], "several"),
      new AppError("service_unavailable", "Try again.", { cause: new Error("middle", { cause: error }) }),
    ]) {
      const told = JSON.stringify(describeError(holding));
      expect(told).not.toContain("typed");
      // As JSON writes it.
      expect(told).toContain(JSON.stringify(line.split(" ")[0]).slice(1, -1));
    }
  });

  test("of what is no error, its type alone", () => {
    expect([errorText(TYPED), errorText(undefined), errorText(null)]).toEqual([
      "string",
      "undefined",
      "object",
    ]);
    expect(JSON.stringify(describeError(new Error("outer", { cause: TYPED })))).not.toContain("typed");
  });

  test("texts of this project and of the system stay, with the places in the code", () => {
    for (const error of [
      new JobRefused("its file is gone"),
      new Error("connect ECONNREFUSED 127.0.0.1:3306"),
      thrownBy(() => (undefined as unknown as { name: string }).name),
    ] as Error[]) {
      const { message = "", stack = "" } = describeError(error);
      expect(message).toBe(error.message);
      expect(stack.split("\n")[0]).toContain(message);
      expect(stack).toContain("errors.test.ts");
    }
  });

  test("the stack of a driver's error has its places and not its text, however many lines that has", () => {
    const error = new mongo.MongoServerError({
      message: `one\n    at ${TYPED} (a.ts:1:1)\n${TYPED}`,
      code: 2,
    });
    const { stack } = describeError(error);
    expect(stack).toContain("errors.test.ts");
    expect(stack).not.toContain("typed");
  });

  test("codes are told of causes too, and a circle ends", () => {
    const circle = new Error("outer", {
      cause: new mariadb.SqlError(TYPED, "", false, undefined, "HY000", 1114),
    });
    (circle.cause as Error).cause = circle;
    expect(describeError(circle)).toMatchObject({
      message: "outer",
      cause: { type: "SqlError", errno: 1114, sqlState: "HY000" },
      stack: expect.stringMatching(/^Error: outer\n.*\ncaused by: SqlError\n {4}at /s),
    });
  });

  test("six digits in a text may be the code that a person got", () => {
    expect(describeError(Object.assign(new Error("x"), { code: "482913" }))).not.toHaveProperty("code");
  });
});

test("addresses in texts lose what may be secret", () => {
  for (const [text, left] of [
    ["GET https://s3.example/a/b?X-Amz-Signature=abc&x=1 failed", "GET https://s3.example/a/b failed"],
    ["see https://shop.example/reset#token=abc", "see https://shop.example/reset"],
    ["mysql://root:secret@db:3306/shop is away", "mysql://db:3306/shop is away"],
    ["to <ann@example.com>, bob@example.com", "to <[address]>, [address]"],
    ["nothing to hide: 12:30, a/b?c", "nothing to hide: 12:30, a/b?c"],
  ] as const)
    expect(withoutAddresses(text)).toBe(left);
});
