import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { ConfigError, parseConfig } from "./config";

const KEY = `v1:${Buffer.alloc(32, 1).toString("base64")}`;
const COMPLETE = {
  DATABASE_URL: "mysql://user:secret-word@localhost:3306/aizy_users",
  MONGODB_URI: "mongodb://localhost:27017/aizy?replicaSet=rs0",
  JWT_SECRET: "x".repeat(32),
  DATA_KEY: KEY,
};

/** The variables that a configuration is refused for, each with what is said. */
function problemsOf(env: Record<string, string | undefined>): Record<string, string> {
  try {
    parseConfig(env);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return Object.fromEntries(error.problems.map(({ variable, problem }) => [variable, problem]));
  }
  return {};
}

describe("parseConfig", () => {
  test("fills in everything that has a default", () => {
    expect(parseConfig(COMPLETE)).toMatchObject({
      environment: "development",
      port: 5000,
      corsOrigins: ["http://localhost:3000"],
      appUrl: "http://localhost:3000",
      databasePool: 10,
      mongodbPool: 20,
      trustedProxies: [],
      s3: undefined,
    });
  });

  test("an empty value is the same as none", () => {
    const blank = { ...COMPLETE, PORT: "", SMTP_URL: "", CORS_ORIGINS: "", REDIS_URL: "" };
    expect(parseConfig(blank)).toEqual(parseConfig(COMPLETE));
  });

  test("says everything that is missing, each with an example or a command", () => {
    const found = problemsOf({});
    expect(Object.keys(found).sort()).toEqual(["DATABASE_URL", "DATA_KEY", "JWT_SECRET", "MONGODB_URI"]);
    for (const text of Object.values(found)) expect(text).toMatch(/^is not set; (for example|make one with)/);
  });

  test("production needs a mail server as well, and makes nothing up", () => {
    expect(Object.keys(problemsOf({ ...COMPLETE, NODE_ENV: "production" }))).toEqual(["SMTP_URL"]);
  });

  test.each([
    ["PORT", "0x50", /whole number/],
    ["PORT", "65536", /between 0 and 65535/],
    ["PORT", "-1", /whole number/],
    ["PORT", "5000.5", /whole number/],
    ["PORT", "١٢٣", /whole number/],
    ["DATABASE_URL", "postgres://localhost/x", /mysql:\/\/username:password@localhost/],
    ["DATABASE_URL", "mysql://localhost", /must name a database/],
    ["DATABASE_URL", "mysql://localhost/", /must name a database/],
    ["DATABASE_URL", "nonsense", /must be a URL/],
    ["MONGODB_URI", "http://localhost", /mongodb:\/\/localhost/],
    ["JWT_SECRET", "x".repeat(31), /at least 32 bytes/],
    ["DATA_KEY", "v1:short", /32 bytes in base64/],
    ["DATA_KEY", `${KEY},${KEY}`, /32 bytes in base64/],
    ["CORS_ORIGINS", "http://localhost:3000/", /origin without a path/],
    ["CORS_ORIGINS", "*", /origin without a path/],
    ["APP_URL", "localhost:3000", /origin without a path/],
    ["TRUSTED_PROXIES", "10.0.0.0/8,proxy", /CIDR/],
    ["LOG_LEVEL", "loud", /must be fatal/],
    ["NODE_ENV", "prod", /must be development/],
    ["DATABASE_POOL", "0", /between 1 and 100/],
    ["DEFAULT_CURRENCY", "usd", /ISO 4217/],
    ["MAIL_FROM", "a@example.com\r\nBcc: b@example.com", /must be an address/],
    ["SMTP_URL", "mail.example.com", /must be a URL/],
  ])("%s=%s is refused by its name and with the fix", (variable, value, fix) => {
    const found = problemsOf({ ...COMPLETE, [variable]: value });
    expect(Object.keys(found)).toEqual([variable]);
    expect(found[variable]).toMatch(fix);
  });

  test("a secret of 32 bytes may have fewer characters", () => {
    expect(parseConfig({ ...COMPLETE, JWT_SECRET: "ä".repeat(16) }).jwtSecret).toHaveLength(16);
  });

  test("half a configuration of S3 names the other half", () => {
    expect(Object.keys(problemsOf({ ...COMPLETE, S3_BUCKET: "b", S3_REGION: "r" })).sort()).toEqual([
      "S3_ACCESS_KEY_ID",
      "S3_ENDPOINT",
      "S3_SECRET_ACCESS_KEY",
    ]);
  });

  test("no message repeats a value, which may be a secret", () => {
    const secrets = {
      DATABASE_URL: "mysql://u:secret-word@localhost",
      JWT_SECRET: "secret-word",
      DATA_KEY: "secret-word",
      SMTP_URL: "secret-word",
    };
    expect(JSON.stringify(problemsOf(secrets))).not.toContain("secret-word");
  });
});

describe(".env.example", () => {
  const example = readFileSync(".env.example", "utf8");

  test("names every variable that the server reads", () => {
    const source = readFileSync("src/config.ts", "utf8");
    const names = [...source.matchAll(/^ {2}([A-Z][A-Z0-9_]+): /gm)].map(([, name]) => name ?? "");
    expect(names.length).toBeGreaterThan(20);
    // NODE_ENV belongs to the way a command is started, not to a file that is copied.
    const missing = names.filter(
      (name) => name !== "NODE_ENV" && !new RegExp(`^#? ?${name}=`, "m").test(example),
    );
    expect(missing).toEqual([]);
  });

  test("is harmless when copied: it sets nothing", () => {
    expect(example.split("\n").filter((line) => line !== "" && !line.startsWith("#"))).toEqual([]);
  });
});
