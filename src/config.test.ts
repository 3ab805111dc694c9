import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { ConfigError, parseConfig } from "./config";
import { checkMongoUri } from "./db/mongo";
import { mysqlOptions } from "./db/prisma";
import { createAddressReader, serverUrl } from "./http/address";

const S3 = {
  S3_ENDPOINT: "https://s3.example.com",
  S3_REGION: "eu-central-1",
  S3_BUCKET: "bucket",
  S3_ACCESS_KEY_ID: "id",
  S3_SECRET_ACCESS_KEY: "secret",
};
const KEY = `v1:${Buffer.alloc(32, 1).toString("base64")}`;
const COMPLETE = {
  DATABASE_URL: "mysql://user:secret-word@localhost:3306/aizy_users",
  MONGODB_URI: "mongodb://localhost:27017/aizy?replicaSet=rs0",
  JWT_SECRET: "x".repeat(32),
  DATA_KEY: KEY,
};

/** As `openssl rand` makes them. */
const RANDOM = "q7Xw0ZkT3nVb5yRf8LhJ2sDgA9mCe4Uo";
const PRODUCTION = {
  ...COMPLETE,
  NODE_ENV: "production",
  JWT_SECRET: RANDOM,
  DATA_KEY: `v1:${Buffer.from(RANDOM).toString("base64")}`,
  APP_URL: "https://shop.test",
  CORS_ORIGINS: "https://admin.test",
  SMTP_URL: "smtp://mail.test",
  MAIL_FROM: "Shop <no-reply@shop.test>",
};

/** Every variable that the server reads. */
const NAMES = [...readFileSync("src/config.ts", "utf8").matchAll(/^ {2}([A-Z][A-Z0-9_]+): /gm)].map(
  ([, name]) => name ?? "",
);

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
      host: "127.0.0.1",
      corsOrigins: ["http://localhost:3000"],
      appUrl: "http://localhost:3000",
      databasePool: 10,
      mongodbPool: 20,
      trustedProxies: [],
      s3: undefined,
    });
  });

  test("an empty value is the same as none", () => {
    const blank = { ...COMPLETE, PORT: "", SMTP_URL: " ", CORS_ORIGINS: "", REDIS_URL: "\n", HOST: "" };
    expect(parseConfig(blank)).toEqual(parseConfig(COMPLETE));
  });

  test("says everything that is missing, each with an example or a command", () => {
    const found = problemsOf({});
    expect(Object.keys(found).sort()).toEqual(["DATABASE_URL", "DATA_KEY", "JWT_SECRET", "MONGODB_URI"]);
    for (const text of Object.values(found)) expect(text).toMatch(/^is not set; (for example|make one with)/);
  });

  test("production takes nothing that only development has, and names all of it at once", () => {
    const missing = ["APP_URL", "CORS_ORIGINS", "MAIL_FROM", "SMTP_URL"];
    const { APP_URL: _, CORS_ORIGINS: __, SMTP_URL: ___, MAIL_FROM: ____, ...bare } = PRODUCTION;
    expect(Object.keys(problemsOf(bare)).sort()).toEqual(missing);
    const found = problemsOf({ NODE_ENV: "production" });
    expect(Object.keys(found).sort()).toEqual([...Object.keys(COMPLETE), ...missing].sort());
    for (const text of Object.values(found)) expect(text).toMatch(/^is not set; /);
    expect(JSON.stringify(Object.values(found))).not.toContain("http://localhost:3000");
  });

  test("production listens on every network unless HOST says otherwise", () => {
    expect(parseConfig(PRODUCTION)).toMatchObject({ environment: "production", host: "0.0.0.0" });
    expect(parseConfig({ ...PRODUCTION, HOST: "10.1.2.3" }).host).toBe("10.1.2.3");
    expect(parseConfig({ ...COMPLETE, HOST: "::" }).host).toBe("::");
  });

  test("the frontend's own origin is one of those that may call, named or not", () => {
    expect(parseConfig(PRODUCTION).corsOrigins).toEqual(["https://shop.test", "https://admin.test"]);
    const both = { ...PRODUCTION, CORS_ORIGINS: "https://admin.test, https://shop.test" };
    expect(parseConfig(both).corsOrigins).toEqual(["https://shop.test", "https://admin.test"]);
  });

  test.each([
    ["APP_URL", "https://shop.example", /names shop\.example, which is a sample/],
    ["APP_URL", "https://www.example.com", /names www\.example\.com/],
    ["CORS_ORIGINS", "https://shop.test,https://admin.example.org:8443", /names admin\.example\.org/],
    ["CROSS_SITE_ORIGINS", "https://shop.example", /names shop\.example/],
    ["SMTP_URL", "smtp://me:word@mail.example.com:587", /names mail\.example\.com/],
    ["SMTP_URL", "smtp://user:password@mail.shop.test:587", /user and password of the sample/],
    ["MAIL_FROM", "Shop <no-reply@shop.example>", /names shop\.example/],
    ["MAIL_FROM", "no-reply@example.com", /names example\.com/],
    [
      "DATABASE_URL",
      "mysql://username:password@localhost:3306/aizy_users",
      /user and password of the sample/,
    ],
    ["JWT_SECRET", "x".repeat(32), /easily guessed.*openssl rand -base64 48/],
    ["JWT_SECRET_NEXT", "changeme".repeat(4), /easily guessed/],
    ["JWT_SECRET_PREVIOUS", "your-secret-of-at-least-32-bytes", /easily guessed/],
    ["DATA_KEY", KEY, /easily guessed.*openssl rand -base64 32/],
    ["DATA_KEY", `${PRODUCTION.DATA_KEY},v2:${Buffer.alloc(32).toString("base64")}`, /easily guessed/],
    ["METRICS_TOKEN", "0123456789abcdef", /easily guessed.*openssl rand -hex 24/],
  ])("production refuses the sample %s=%s, which development takes", (variable, value, problem) => {
    const found = problemsOf({ ...PRODUCTION, [variable]: value });
    expect(Object.keys(found)).toEqual([variable]);
    expect(found[variable]).toMatch(problem);
    expect(problemsOf({ ...PRODUCTION, [variable]: value, NODE_ENV: "development" })).toEqual({});
  });

  test("a replica set of several servers is one address", () => {
    const uri = "mongodb://user:p%40ss@a.example:27017,b.example:27018,c.example/shop?replicaSet=rs0";
    expect(parseConfig({ ...COMPLETE, MONGODB_URI: uri }).mongodbUri).toBe(uri);
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
    ["DATABASE_URL", "mysql:///aizy", /must be a URL/],
    ["DATABASE_URL", "mysql:localhost/aizy", /must be a URL/],
    ["DATABASE_URL", "mysql://a%zz:b@localhost/aizy", /write % as %25/],
    ["DATABASE_URL", "mysql://localhost/%zz", /write % as %25/],
    ["DATABASE_URL", "mysql://localhost:0/aizy", /must be a URL/],
    ["DATABASE_URL", "mysql://localhost:99999/aizy", /must be a URL/],
    ["MONGODB_URI", "http://localhost", /mongodb:\/\/localhost/],
    ["MONGODB_URI", "mongodb://", /mongodb:\/\/localhost/],
    ["MONGODB_URI", "mongodb:///aizy", /mongodb:\/\/localhost/],
    ["MONGODB_URI", "mongodb://a@b@c/aizy", /write % as %25/],
    ["HOST", "0.0.0.0:5000", /an address of this machine/],
    ["HOST", "[::]", /an address of this machine/],
    ["HOST", "http://localhost", /an address of this machine/],
    ["HOST", "999.0.0.1", /an address of this machine/],
    ["HOST", "*", /an address of this machine/],
    ["JWT_SECRET", "x".repeat(31), /at least 32 bytes/],
    ["DATA_KEY", "v1:short", /32 bytes in base64/],
    ["DATA_KEY", `${KEY},${KEY}`, /32 bytes in base64/],
    ["CORS_ORIGINS", "http://localhost:3000/", /origin without a path/],
    ["CORS_ORIGINS", "*", /origin without a path/],
    ["CORS_ORIGINS", "null", /origin without a path/],
    ["CORS_ORIGINS", "ftp://shop.example", /origin without a path/],
    ["CORS_ORIGINS", "https://shop.example,https://Shop.example", /in lower case/],
    ["CORS_ORIGINS", "https://shop.example:443", /without a usual port/],
    ["CORS_ORIGINS", ",", /at least one/],
    ["APP_URL", "localhost:3000", /origin without a path/],
    ["APP_URL", "https://shop.example/", /origin without a path/],
    ["APP_URL", "https://user@shop.example", /origin without a path/],
    ["APP_URL", "ws://shop.example", /origin without a path/],
    ["TRUSTED_PROXIES", "10.0.0.0/8,proxy", /CIDR/],
    ["TRUSTED_PROXIES", "10.0.0.0/99", /at most 32 for IPv4/],
    ["TRUSTED_PROXIES", "10.0.0.0/33", /at most 32 for IPv4/],
    ["TRUSTED_PROXIES", "fd00::/129", /128 for IPv6/],
    ["TRUSTED_PROXIES", "10.0.0/8", /CIDR/],
    ["TRUSTED_PROXIES", "256.0.0.1", /CIDR/],
    ["TRUSTED_PROXIES", "10.0.0.0/", /CIDR/],
    ["TRUSTED_PROXIES", "10.0.0.0/8/8", /CIDR/],
    ["TRUSTED_PROXIES", "fe80::1%eth0", /CIDR/],
    ["TRUSTED_PROXIES", "::ffff:10.0.0.0/104", /CIDR/],
    ["TRUSTED_PROXIES", " , ", /at least one/],
    ["S3_ENDPOINT", "s3.example.com", /must be a URL/],
    ["S3_ENDPOINT", "https://s3.example.com/?x=1", /must end with the host or a path/],
    ["S3_REGION", "eu central", /must be a region/],
    ["S3_BUCKET", "../other", /name of a bucket/],
    ["S3_BUCKET", "a/b/c", /name of a bucket/],
    ["S3_ACCESS_KEY_ID", "a key", /visible ASCII/],
    ["S3_SECRET_ACCESS_KEY", "secret\n", /visible ASCII/],
    ["REDIS_URL", "localhost:6379", /must be a URL/],
    ["REDIS_URL", "redis://", /must be a URL/],
    ["REDIS_URL", "redis://localhost/cache", /number of a database/],
    ["OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:4318", /must be a URL/],
    ["OTEL_EXPORTER_OTLP_ENDPOINT", "grpc://localhost:4317", /must be a URL/],
    ["OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318/#x", /must end with the host or a path/],
    ["WEB_CONCURRENCY", "0", /between 1 and 64/],
    ["WEB_CONCURRENCY", "auto", /whole number/],
    ["MONGODB_POOL", "1", /between 2 and 500/],
    ["PASSWORD_MEMORY", "19455", /at least 19456/],
    ["PASSWORD_MEMORY", "7", /between 8 and 1048576/],
    ["JWT_SECRET_PREVIOUS", "short", /at least 32 bytes/],
    ["DATABASE_POOL", "1e1", /whole number/],
    ["LOG_LEVEL", "loud", /must be fatal/],
    ["HOST", "fe80::1%eth0", /an address of this machine/],
    ["NODE_ENV", "prod", /must be development/],
    ["DATABASE_POOL", "0", /between 1 and 100/],
    ["SHOPPER_RESERVATIONS", "1", /true or false/],
    ["SHOPPER_RESERVATION_UNITS", "0", /between 1 and/],
    ["IMPORT_PICTURES_HTTP", "yes", /true or false/],
    ["IMPORT_PICTURES_NETWORKS", "10.0.0.0/99", /CIDR/],
    ["DEFAULT_CURRENCY", "usd", /ISO 4217/],
    ["DEFAULT_CURRENCY", "ZZZ", /ISO 4217/],
    ["DEFAULT_CURRENCY", "US", /ISO 4217/],
    ["MAIL_FROM", "Shop", /must be an address/],
    ["SMTP_URL", "smtp://", /must be a URL/],
    ["MAIL_FROM", "a@example.com\r\nBcc: b@example.com", /must be an address/],
    ["SMTP_URL", "mail.example.com", /must be a URL/],
  ])("%s=%s is refused by its name and with the fix", (variable, value, fix) => {
    const found = problemsOf({ ...COMPLETE, ...S3, [variable]: value });
    expect(Object.keys(found)).toEqual([variable]);
    expect(found[variable]).toMatch(fix);
  });

  test("whatever a variable holds, it is refused by its name or the parts of a server can be made of it", () => {
    const { NODE_ENV: _, ...complete } = PRODUCTION;
    const like = fc.constantFrom(
      ...Object.values(complete),
      "10.0.0.0/8",
      "::1",
      "%",
      "/",
      "@",
      "?",
      ",",
      " ",
      "\0",
    );
    const hostile = fc.oneof(
      fc.string({ unit: "grapheme" }),
      fc.array(like, { maxLength: 4 }).map((of) => of.join("")),
    );
    fc.assert(
      fc.property(fc.constantFrom(...NAMES), hostile, (variable, value) => {
        const env = { ...complete, ...S3, [variable]: value };
        const found = problemsOf(env);
        expect(Object.keys(found).filter((name) => name !== variable)).toEqual([]);
        if (found[variable] !== undefined || value.trim() === "") return;
        const config = parseConfig(env);
        mysqlOptions(config.databaseUrl);
        createAddressReader(config.trustedProxies)("10.0.0.1", "192.0.2.1");
        expect(URL.canParse(serverUrl(config.host, config.port))).toBe(true);
        for (const origin of config.corsOrigins) expect(new URL(origin).origin).toBe(origin);
        try {
          checkMongoUri(config.mongodbUri);
        } catch (error) {
          expect((error as ConfigError).problems).toMatchObject([{ variable: "MONGODB_URI" }]);
        }
      }),
      { numRuns: 3000 },
    );
  });

  test("what the driver of MongoDB does not understand is said under MONGODB_URI, without a password", () => {
    for (const tail of ["aizy?nonsense=1", "aizy?w=majority&maxPoolSize=many", "a.b", "aizy?tls=perhaps"]) {
      const uri = `mongodb://user:secret-word@localhost:27017/${tail}`;
      expect(() => checkMongoUri(uri)).toThrow(/MONGODB_URI: is not what MongoDB's driver understands: ./);
      expect(() => checkMongoUri(uri)).not.toThrow(/secret-word/);
    }
  });

  test("a hash of a password is cheaper than 19 MiB in tests alone", () => {
    expect(parseConfig(COMPLETE).passwordMemory).toBe(19456);
    expect(parseConfig({ ...COMPLETE, NODE_ENV: "test", PASSWORD_MEMORY: "64" }).passwordMemory).toBe(64);
    for (const NODE_ENV of ["development", "production"])
      expect(problemsOf({ ...PRODUCTION, NODE_ENV, PASSWORD_MEMORY: "64" })).toHaveProperty(
        "PASSWORD_MEMORY",
      );
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
    expect(NAMES.length).toBeGreaterThan(20);
    // NODE_ENV belongs to the way a server is started, not to a file that is copied; the file explains it.
    const missing = NAMES.filter(
      (name) => name !== "NODE_ENV" && !new RegExp(`^#? ?${name}=`, "m").test(example),
    );
    expect(missing).toEqual([]);
    for (const file of [".env.example", "README.md", "docs/operations.md"])
      expect(readFileSync(file, "utf8")).toContain("NODE_ENV=production");
  });

  test("is harmless when copied: it sets nothing", () => {
    expect(example.split("\n").filter((line) => line !== "" && !line.startsWith("#"))).toEqual([]);
  });
});
