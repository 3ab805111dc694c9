import { describe, expect, test } from "bun:test";
import { createLogger } from "./log";

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

  test("what is logged is not changed, and a circle does not hang", async () => {
    const body: Record<string, unknown> = { password: "x" };
    body.self = body;
    expect(await lineOf((log) => log.info({ body }))).toContain("[deeper]");
    expect(body.password).toBe("x");
  });
});
