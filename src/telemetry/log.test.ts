import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type BulkWriteResult, MongoBulkWriteError } from "mongodb";
import pino from "pino";
import { createLogger, logRequest } from "./log";

// It is not exported: only the driver makes one.
const { WriteError } = (await import("mongodb/lib/bulk/common.js" as string)) as typeof import("mongodb");

/** What a logger of production writes for one call. */
async function lineOf(write: (log: Awaited<ReturnType<typeof createLogger>>) => void): Promise<string> {
  let text = "";
  write(
    await createLogger(
      { environment: "production", logLevel: "debug" },
      {
        write: (line) => {
          text += line;
        },
      },
    ),
  );
  return text;
}

describe("the log", () => {
  test("one JSON line an event, with the time in UTC", async () => {
    const text = await lineOf((log) => log.info({ path: "/x" }, "two\nlines"));
    expect(text.trimEnd()).not.toContain("\n");
    expect(JSON.parse(text)).toMatchObject({ level: "info", path: "/x", msg: "two\nlines" });
    expect(JSON.parse(text).time).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  });

  test.each([
    "password",
    "newPassword",
    "current_password",
    "hashedPassword",
    "otp",
    "otpCode",
    "code",
    "token",
    "refreshToken",
    "accessToken",
    "Authorization",
    "cookie",
    "Set-Cookie",
    "x-api-key",
    "JWT_SECRET",
    "DATA_KEY",
  ])("%s is left out at any depth, in lists and in errors", async (name) => {
    const secret = "482913";
    const error = Object.assign(new Error("it failed"), { config: { headers: { [name]: secret } } });
    const text = await lineOf((log) => {
      log.info({ [name]: secret });
      log.info({ a: { b: { c: { [name]: secret } } } });
      log.info({ list: [{ [name]: [secret] }] });
      log.child({ [name]: "x" }).error({ err: error }, "failed");
    });
    expect(text.trimEnd().split("\n")).toHaveLength(4);
    expect(text).not.toContain(secret);
    expect(text).toContain("it failed");
  });

  test("an error keeps what says why: its code, message, stack and cause", async () => {
    const cause = new Error("connection refused");
    for (const code of ["ECONNREFUSED", "P2002", "internal_error", 11000]) {
      const text = await lineOf((log) =>
        log.error({ err: Object.assign(new Error("outer", { cause }), { code }) }, "failed"),
      );
      expect(JSON.parse(text).err).toMatchObject({ code, type: "Error" });
      expect(JSON.parse(text).err.stack).toContain("connection refused");
    }
  });

  test("what a person typed is left out wherever an error is in a line, and of what objects make of themselves", async () => {
    const typed = "ann.typed@example.com";
    const write = new WriteError({ index: 0, code: 11602, errmsg: typed, errInfo: {}, op: { name: typed } });
    const result = {} as BulkWriteResult;
    const error = new MongoBulkWriteError({ message: typed, code: 11602, writeErrors: [write] }, result);
    const text = await lineOf((log) => {
      log.error({ err: error }, "one");
      log.error({ err: error });
      log.error(error);
      log.error(error, "four");
      log.error({ reason: error, results: [{ error }] }, "five");
      log.child({ err: error }).error("six");
      log.error({ write, params: new URLSearchParams({ a: "b" }) }, "seven");
      log.error({ url: "https://s3.example/a?X-Amz-Signature=typed", text: `to ${typed}` }, "eight");
      log.error({ err: { code: 1, op: { name: typed }, response: `550 ${typed}` } }, "nine");
    });
    expect(text).not.toContain("typed");
    const lines = text
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(lines).toHaveLength(9);
    for (const line of lines.slice(0, 4))
      expect(line.err).toMatchObject({ type: "MongoBulkWriteError", code: 11602 });
    expect(lines.map(({ msg }) => msg).slice(0, 4)).toEqual([
      "one",
      "MongoBulkWriteError 11602",
      "MongoBulkWriteError 11602",
      "four",
    ]);
    expect(lines[6].write).toMatchObject({ code: 11602, index: 0 });
    expect(lines[7].url).toBe("https://s3.example/a");
  });

  test("what is logged is not changed, and a circle does not hang", async () => {
    const body: Record<string, unknown> = { password: "x" };
    body.self = body;
    expect(await lineOf((log) => log.info({ body }))).toContain("[deeper]");
    expect(body.password).toBe("x");
  });
});

describe("the line of a request", () => {
  test("is what the logger itself would write, whatever the caller sends", async () => {
    const answers = fc.record({
      requestId: fc.stringMatching(/^[\w\-=]{1,100}$/),
      // As RFC 9110, 5.6.2 has it: nothing else gets past the server.
      method: fc.oneof(fc.constantFrom("GET", "POST"), fc.stringMatching(/^[\w!#$%&'*+.^`|~-]{1,20}$/)),
      path: fc.oneof(fc.string({ unit: "binary" }), fc.constant("/api/users/ann@example.com")),
      status: fc.integer({ min: 200, max: 599 }),
      ms: fc.integer({ min: 0, max: 100_000 }).map((tenths) => tenths / 10),
      from: fc.constantFrom("loopback" as const, "public-v6" as const),
      userId: fc.option(fc.uuid(), { nil: undefined }),
    });
    await fc.assert(
      fc.asyncProperty(answers, async (answered) => {
        const ours = await lineOf((log) => logRequest(log.child({ worker: 1 }), answered));
        const theirs = await lineOf((log) => {
          const level = answered.status >= 500 ? "error" : "info";
          log.child({ worker: 1 })[level](answered, "request");
        });
        expect(ours.split("\n")).toHaveLength(2);
        const { time: _, ...fields } = JSON.parse(ours);
        const { time: __, ...expected } = JSON.parse(theirs);
        expect(Object.entries(fields)).toEqual(Object.entries(expected));
      }),
    );
  });

  test("is left out below the level of the log", async () => {
    const lines: string[] = [];
    const log = pino({ level: "error" }, { write: (line: string) => void lines.push(line) });
    const answered = { requestId: "a", method: "GET", path: "/", ms: 1, from: "loopback" as const };
    logRequest(log, { ...answered, status: 200 });
    expect(lines).toEqual([]);
    logRequest(log, { ...answered, status: 500 });
    expect(lines.map((line) => JSON.parse(line).status)).toEqual([500]);
  });
});
