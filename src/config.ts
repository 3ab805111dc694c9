// Longer than others: every variable of the environment and its rule, so that one place tells what can be set.
import { isIP } from "node:net";
import { z } from "zod";
import { isGuessable } from "./lib/guessable";

/** What was wrong with the environment: every problem at once, each with its variable and the fix. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  constructor(readonly problems: { variable: string; problem: string }[]) {
    super(
      `The configuration has ${problems.length} problem${problems.length === 1 ? "" : "s"}:\n${problems
        .map(({ variable, problem }) => `  ${variable}: ${problem}`)
        .join("\n")}\nSee .env.example for every variable and its meaning.`,
    );
  }
}

const integer = (min: number, max: number, fallback: number, what: string) =>
  z
    .string()
    .regex(/^\d{1,9}$/, `must be a whole number (${what}); for example ${fallback}`)
    .transform(Number)
    .refine((n) => n >= min && n <= max, `must be between ${min} and ${max} (${what})`)
    .default(fallback);

/** Whether every escape in a text is one: what is decoded later would throw otherwise. */
function isDecodable(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}

const url = (protocols: string[], example: string) =>
  z.string().refine(
    (text) => {
      const parsed = URL.parse(text);
      return (
        parsed !== null &&
        protocols.some((protocol) => parsed.protocol === protocol && text.startsWith(`${protocol}//`)) &&
        parsed.hostname !== "" &&
        parsed.port !== "0" &&
        isDecodable(parsed.username + parsed.password + parsed.pathname)
      );
    },
    {
      error: `must be a URL such as ${example}; in names and passwords write % as %25, @ as %40`,
      abort: true,
    },
  );

/** The address of a service, to which paths are added. */
const endpoint = (example: string) =>
  url(["http:", "https:"], example).refine((text) => !/[?#]/.test(text), {
    error: `must end with the host or a path; for example ${example}`,
  });

const origin = z
  .string()
  .refine(
    (text) => /^https?:/.test(text) && URL.parse(text)?.origin === text,
    "must be an origin without a path or a slash at the end, as browsers send it: in lower case and without a usual port; for example http://localhost:3000",
  );

/** As apps send it whose pages come out of the app itself, such as capacitor://localhost. */
const appOrigin = z
  .string()
  .regex(
    /^[a-z][a-z0-9+.-]*:\/\/[a-z0-9.-]+(:\d{1,5})?$/,
    "must be an origin without a path, as the app sends it; for example capacitor://localhost",
  );

/** An address, or a network with the length of its prefix. An IPv4 peer is compared as IPv4, so no `::ffff:…`. */
function isNetwork(text: string): boolean {
  const [, address = "", prefix] = /^([0-9a-f.:]+)(?:\/(\d{1,3}))?$/i.exec(text) ?? [];
  const family = isIP(address);
  return family !== 0 && !/^::ffff:/i.test(address) && Number(prefix ?? 0) <= (family === 4 ? 32 : 128);
}

const network = z
  .string()
  .refine(
    isNetwork,
    "must be addresses or CIDR ranges (a prefix of at most 32 for IPv4, 128 for IPv6); for example 10.0.0.0/8",
  );

const flag = z
  .enum(["true", "false"], "must be true or false")
  .default("false")
  .transform((text) => text === "true");

const list = <T extends z.ZodType<unknown, string>>(item: T) =>
  z
    .string()
    .transform((text) => text.split(",").flatMap((part) => (part.trim() === "" ? [] : [part.trim()])))
    .pipe(z.array(item).min(1, "must name at least one, or be left out"));

const secret = z
  .string()
  .refine(
    (text) => new TextEncoder().encode(text).length >= 32,
    "must be at least 32 bytes; make one with: openssl rand -base64 48",
  );

/** `v2:BASE64,v1:BASE64`: the first key encrypts, every key decrypts. */
const dataKeys = z.string().transform((text, ctx) => {
  const keys = new Map<string, Uint8Array<ArrayBuffer>>();
  for (const part of text.split(",")) {
    const [, version, base64] = /^(v\d{1,4}):([A-Za-z0-9+/]{43}=)$/.exec(part.trim()) ?? [];
    if (version === undefined || base64 === undefined || keys.has(version)) {
      ctx.addIssue({
        code: "custom",
        message: 'must be "v1:" and 32 bytes in base64; make one with: echo "v1:$(openssl rand -base64 32)"',
      });
      return z.NEVER;
    }
    keys.set(
      version,
      Uint8Array.from(atob(base64), (char) => char.charCodeAt(0)),
    );
  }
  return keys;
});

const visible = z
  .string()
  .regex(/^[\x21-\x7e]+$/, "must be visible ASCII characters without spaces, as the store gave it");

/** OWASP's least for argon2id with two passes, in KiB. */
const LEAST_PASSWORD_MEMORY = 19456;

const hostName = z
  .string()
  .toLowerCase()
  .regex(
    /^[a-z0-9-]+(\.[a-z0-9-]+)+$/,
    "must be names of hosts such as shop.example, without https:// or a path",
  );

/** From where people come back after a payment: that is not where a visit came from. */
const PAYMENT_PROVIDERS = [
  "paypal.com",
  "stripe.com",
  "klarna.com",
  "adyen.com",
  "mollie.com",
  "checkout.com",
  "worldpay.com",
  "sagepay.com",
  "amazonpay.com",
  "pay.amazon.com",
  "pay.google.com",
  "afterpay.com",
  "affirm.com",
  "razorpay.com",
  "mercadopago.com",
];

const schema = z.object({
  NODE_ENV: z
    .enum(["development", "test", "production"], "must be development, test or production")
    .default("development"),
  PORT: integer(0, 65535, 5000, "the port to listen on"),
  HOST: z
    .string()
    .refine(
      // No URL can hold an address with a zone ("fe80::1%eth0").
      (text) =>
        (isIP(text) !== 0 && !text.includes("%")) ||
        (/^[a-z][a-z0-9.-]*$/i.test(text) && URL.canParse(`http://${text}`)),
      "must be an address of this machine, such as 127.0.0.1 (only this machine), 0.0.0.0 or :: (all networks)",
    )
    .optional(),
  // Several servers of a replica set are no URL that others read; the driver reads the rest when it connects.
  MONGODB_URI: z
    .string()
    .regex(
      /^mongodb(\+srv)?:\/\/([^@/?#\s]+@)?[^@/?#\s]+(\/[^/?#\s]*)?(\?\S*)?$/,
      "must be a URL such as mongodb://localhost:27017/aizy?replicaSet=rs0; in names and passwords write % as %25, @ as %40",
    ),
  DATABASE_URL: url(["mysql:", "mariadb:"], "mysql://username:password@localhost:3306/aizy_users").refine(
    (text) => (URL.parse(text)?.pathname.length ?? 0) > 1,
    "must name a database after the host; for example mysql://username:password@localhost:3306/aizy_users",
  ),
  JWT_SECRET: secret,
  JWT_SECRET_NEXT: secret.optional(),
  JWT_SECRET_PREVIOUS: secret.optional(),
  DATA_KEY: dataKeys,
  CORS_ORIGINS: list(origin).default(["http://localhost:3000"]),
  CROSS_SITE_ORIGINS: list(origin).default([]),
  NATIVE_ORIGINS: list(appOrigin).default([]),
  APP_URL: origin.default("http://localhost:3000"),
  SMTP_URL: url(["smtp:", "smtps:"], "smtp://user:password@mail.example.com:587").optional(),
  MAIL_FROM: z
    .string()
    .regex(
      /^[^<>\r\n]*<[^<>\s@]+@[^<>\s@]+>$|^[^<>\s@]+@[^<>\s@]+$/,
      "must be an address, with or without a name",
    )
    .default("Aizy <no-reply@localhost>"),
  TRUSTED_PROXIES: list(network).default([]),
  S3_ENDPOINT: endpoint("https://s3.eu-central-1.amazonaws.com").optional(),
  S3_REGION: z
    .string()
    .regex(/^[A-Za-z0-9-]{1,64}$/, "must be a region such as eu-central-1")
    .optional(),
  S3_BUCKET: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,254}$/, "must be the name of a bucket, such as aizy-files")
    .optional(),
  S3_ACCESS_KEY_ID: visible.optional(),
  S3_SECRET_ACCESS_KEY: visible.optional(),
  PASSWORD_MEMORY: integer(8, 1_048_576, LEAST_PASSWORD_MEMORY, "KiB that hashing a password takes"),
  STORAGE_DIR: z.string().default(".data/files"),
  REDIS_URL: url(["redis:", "rediss:"], "redis://localhost:6379")
    .refine(
      (text) => /^(\/\d{0,3})?$/.test(URL.parse(text)?.pathname ?? ""),
      "must end with the host or the number of a database; for example redis://localhost:6379/0",
    )
    .optional(),
  DATABASE_POOL: integer(1, 100, 10, "MySQL connections of one process"),
  MONGODB_POOL: integer(2, 500, 20, "MongoDB connections of one process"),
  WEB_CONCURRENCY: integer(1, 64, 1, "server processes that share the port"),
  LOG_LEVEL: z
    .enum(
      ["fatal", "error", "warn", "info", "debug", "trace", "silent"],
      "must be fatal, error, warn, info, debug, trace or silent",
    )
    .default("info"),
  DEFAULT_CURRENCY: z
    .string()
    .refine(
      (code) => Intl.supportedValuesOf("currency").includes(code),
      "must be an ISO 4217 code such as USD",
    )
    .default("USD"),
  SHOPPER_RESERVATIONS: flag,
  SHOPPER_RESERVATION_UNITS: integer(1, 10_000, 10, "units that one shopper may hold at once"),
  SHOPPER_RESERVATION_ADDRESS_UNITS: integer(
    1,
    100_000,
    50,
    "units that shoppers of one address may hold at once",
  ),
  SHOPPER_RESERVATION_MINUTES: integer(1, 1440, 15, "how long a shopper may hold them"),
  IMPORT_PICTURES_HTTP: flag,
  IMPORT_PICTURES_NETWORKS: list(network).default([]),
  ANALYTICS_PATH: z
    .string()
    .regex(
      /^(\/[a-z0-9_-]{1,40}){1,4}$/,
      "must be a path such as /api/x, in lower case, without a slash at the end",
    )
    .refine(
      (path) =>
        !/^\/(v1|auth|health|metrics|docs|dev|openapi|api\/(analytics|products|users))(\/|$)/.test(path),
      "must not be an address that something else has",
    )
    .refine((path) => path !== "/api", "must not be an address that something else has")
    .default("/api/x"),
  ANALYTICS_OWN_HOSTS: list(hostName).default([]),
  ANALYTICS_IGNORED_HOSTS: list(hostName).default(PAYMENT_PROVIDERS),
  OTEL_EXPORTER_OTLP_ENDPOINT: endpoint("http://localhost:4318").optional(),
  METRICS_TOKEN: z
    .string()
    .regex(
      /^[\x21-\x7e]{16,}$/,
      "must be at least 16 visible ASCII characters; make one with: openssl rand -hex 24",
    )
    .optional(),
  DRAIN_SECONDS: integer(0, 60, 0, "for how long a stopping server still takes requests"),
});

/** Every setting, parsed; nothing else in the project reads the environment. */
export interface Config {
  environment: "development" | "test" | "production";
  port: number;
  /** Address or name of this machine to listen on. */
  host: string;
  mongodbUri: string;
  databaseUrl: string;
  jwtSecret: string;
  /** Accepted, so that other copies may use it already. */
  jwtSecretNext: string | undefined;
  /** Accepted for as long as what was made under it lives. */
  jwtSecretPrevious: string | undefined;
  /** By version, the encrypting key first. */
  dataKeys: ReadonlyMap<string, Uint8Array<ArrayBuffer>>;
  /** Every origin whose pages may call and sign in, the frontend's own first. */
  corsOrigins: string[];
  /** Those of them that are on another site than this server: their cookies are SameSite=None and Partitioned. */
  crossSiteOrigins: string[];
  /** Apps that send an origin, which may call too: they get tokens in the body and no cookie. */
  nativeOrigins: string[];
  appUrl: string;
  smtpUrl: string | undefined;
  mailFrom: string;
  trustedProxies: string[];
  s3:
    | { endpoint: string; region: string; bucket: string; accessKeyId: string; secretAccessKey: string }
    | undefined;
  storageDir: string;
  redisUrl: string | undefined;
  /** Memory of one password's hash, in KiB. */
  passwordMemory: number;
  databasePool: number;
  mongodbPool: number;
  webConcurrency: number;
  logLevel: "fatal" | "error" | "warn" | "info" | "debug" | "trace" | "silent";
  defaultCurrency: string;
  /** Whether shoppers may hold units for themselves, and how many for how long. */
  shopperReservations: { on: boolean; units: number; addressUnits: number; minutes: number };
  /** Pictures that imports fetch: over plain http too, and from which networks that are not public. */
  importPictures: { allowHttp: boolean; networks: string[] };
  otelEndpoint: string | undefined;
  /** Opens /metrics to who sends it; without it they are for development alone. */
  metricsToken: string | undefined;
  /** For how long a stopping server still takes requests, in seconds, so that a balancer can notice. */
  drainSeconds: number;
  /** Second address of analytics, which no blocker's list names. */
  analyticsPath: string;
  /** The shop's own hosts, and those from where people come back, as from a payment; their sub-domains too. */
  analyticsHosts: { own: string[]; ignored: string[] };
}

/** What to do about a variable that is needed and not there. */
const HOW_TO_SET: Record<string, string> = {
  MONGODB_URI: "is not set; for example mongodb://localhost:27017/aizy?replicaSet=rs0 (bin/dev provides one)",
  DATABASE_URL:
    "is not set; for example mysql://username:password@localhost:3306/aizy_users (bin/dev provides one)",
  JWT_SECRET: "is not set; make one with: openssl rand -base64 48 (bin/dev makes one)",
  DATA_KEY: 'is not set; make one with: echo "v1:$(openssl rand -base64 32)" (bin/dev makes one)',
};

/** What has a value in development that would be wrong anywhere else. */
const PRODUCTION_NEEDS = {
  APP_URL: "is not set; links in mails lead to the frontend there, for example https://shop.example",
  CORS_ORIGINS: "is not set; name the origins of browsers that may call, for example https://shop.example",
  SMTP_URL: "is not set; mail needs a server in production, for example smtp://user:password@host:587",
  MAIL_FROM: "is not set; name the sender of mails, for example Shop <no-reply@shop.example>",
};

/** How to make the secrets that nobody should guess. */
const SECRETS = {
  JWT_SECRET: "openssl rand -base64 48",
  JWT_SECRET_NEXT: "openssl rand -base64 48",
  JWT_SECRET_PREVIOUS: "openssl rand -base64 48",
  DATA_KEY: 'echo "v1:$(openssl rand -base64 32)"',
  METRICS_TOKEN: "openssl rand -hex 24",
};

/** What names hosts; samples do it with names that nobody can own (RFC 2606). */
const ADDRESSES = [
  "APP_URL",
  "CORS_ORIGINS",
  "CROSS_SITE_ORIGINS",
  "SMTP_URL",
  "MAIL_FROM",
  "S3_ENDPOINT",
] as const;
const SAMPLE_HOST = /(^|\.)(example|invalid|example\.(com|net|org))$/i;
const SAMPLE_LOGIN = /^\w+:\/\/user(name)?:password@/i;

/** The host of a URL or of a mail address, with or without a name before it. */
const hostOf = (text: string): string => URL.parse(text)?.hostname ?? text.replace(/^.*@|>$/g, "");

/**
 * What comes from a sample and would be wrong where people use it.
 * @param given variables without other problems
 */
function samplesIn(given: Record<string, string | undefined>): ConfigError["problems"] {
  const partsOf = (variable: string) => (given[variable] ?? "").split(",").map((part) => part.trim());
  const problems: ConfigError["problems"] = [];
  for (const [variable, command] of Object.entries(SECRETS)) {
    const secrets =
      variable === "DATA_KEY"
        ? partsOf(variable).map((part) => atob(part.replace(/^v\d+:/, "")))
        : [given[variable] ?? ""];
    if (secrets.some((text) => text !== "" && isGuessable(text)))
      problems.push({ variable, problem: `is easily guessed, or a sample; make one with: ${command}` });
  }
  for (const variable of ADDRESSES) {
    const sample = partsOf(variable)
      .map(hostOf)
      .find((host) => SAMPLE_HOST.test(host));
    if (sample !== undefined)
      problems.push({ variable, problem: `names ${sample}, which is a sample; write a host of your own` });
  }
  for (const variable of ["SMTP_URL", "DATABASE_URL"])
    if (SAMPLE_LOGIN.test(given[variable] ?? ""))
      problems.push({ variable, problem: "has the user and password of the sample; write your own" });
  return problems;
}

/** Everything that is wrong with the variables that are set, or lack. */
function problemsOf(given: Record<string, string | undefined>, parsed: ReturnType<typeof schema.safeParse>) {
  const problems: ConfigError["problems"] = (parsed.error?.issues ?? []).map((issue) => {
    const variable = String(issue.path[0]);
    const missing = given[variable] === undefined;
    return { variable, problem: missing ? (HOW_TO_SET[variable] ?? issue.message) : issue.message };
  });
  const s3Names = [
    "S3_ENDPOINT",
    "S3_REGION",
    "S3_BUCKET",
    "S3_ACCESS_KEY_ID",
    "S3_SECRET_ACCESS_KEY",
  ] as const;
  const s3Missing = s3Names.filter((name) => given[name] === undefined);
  if (s3Missing.length > 0 && s3Missing.length < s3Names.length) {
    for (const variable of s3Missing)
      problems.push({ variable, problem: "is not set, but other S3_ variables are" });
  }
  if (given.NODE_ENV === "production") {
    for (const [variable, problem] of Object.entries(PRODUCTION_NEEDS))
      if (given[variable] === undefined) problems.push({ variable, problem });
    const named = new Set(problems.map(({ variable }) => variable));
    problems.push(
      ...samplesIn(Object.fromEntries(Object.entries(given).filter(([name]) => !named.has(name)))),
    );
  }
  // Tests sign in thousands of times; anywhere else a cheaper hash is a weaker one.
  if (parsed.data && parsed.data.NODE_ENV !== "test" && parsed.data.PASSWORD_MEMORY < LEAST_PASSWORD_MEMORY) {
    const problem = `must be at least ${LEAST_PASSWORD_MEMORY} (KiB that hashing a password takes)`;
    problems.push({ variable: "PASSWORD_MEMORY", problem });
  }
  return problems;
}

/**
 * Reads the environment. Pure. An empty value counts as unset, as in a copied `.env.example`.
 * @throws ConfigError naming every variable that is missing or malformed, and the fix
 */
export function parseConfig(env: Record<string, string | undefined>): Config {
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value?.trim() !== ""));
  const parsed = schema.safeParse(given);
  const problems = problemsOf(given, parsed);
  if (problems.length > 0 || !parsed.success) throw new ConfigError(problems);

  const data = parsed.data;
  return {
    environment: data.NODE_ENV,
    port: data.PORT,
    host: data.HOST ?? (data.NODE_ENV === "production" ? "0.0.0.0" : "127.0.0.1"),
    mongodbUri: data.MONGODB_URI,
    databaseUrl: data.DATABASE_URL,
    jwtSecret: data.JWT_SECRET,
    jwtSecretNext: data.JWT_SECRET_NEXT,
    jwtSecretPrevious: data.JWT_SECRET_PREVIOUS,
    dataKeys: data.DATA_KEY,
    corsOrigins: [...new Set([data.APP_URL, ...data.CORS_ORIGINS, ...data.CROSS_SITE_ORIGINS])],
    crossSiteOrigins: data.CROSS_SITE_ORIGINS,
    nativeOrigins: data.NATIVE_ORIGINS,
    appUrl: data.APP_URL,
    smtpUrl: data.SMTP_URL,
    mailFrom: data.MAIL_FROM,
    trustedProxies: data.TRUSTED_PROXIES,
    s3:
      data.S3_ENDPOINT &&
      data.S3_REGION &&
      data.S3_BUCKET &&
      data.S3_ACCESS_KEY_ID &&
      data.S3_SECRET_ACCESS_KEY
        ? {
            endpoint: data.S3_ENDPOINT,
            region: data.S3_REGION,
            bucket: data.S3_BUCKET,
            accessKeyId: data.S3_ACCESS_KEY_ID,
            secretAccessKey: data.S3_SECRET_ACCESS_KEY,
          }
        : undefined,
    storageDir: data.STORAGE_DIR,
    redisUrl: data.REDIS_URL,
    passwordMemory: data.PASSWORD_MEMORY,
    databasePool: data.DATABASE_POOL,
    mongodbPool: data.MONGODB_POOL,
    webConcurrency: data.WEB_CONCURRENCY,
    logLevel: data.LOG_LEVEL,
    defaultCurrency: data.DEFAULT_CURRENCY,
    shopperReservations: {
      on: data.SHOPPER_RESERVATIONS,
      units: data.SHOPPER_RESERVATION_UNITS,
      addressUnits: data.SHOPPER_RESERVATION_ADDRESS_UNITS,
      minutes: data.SHOPPER_RESERVATION_MINUTES,
    },
    importPictures: { allowHttp: data.IMPORT_PICTURES_HTTP, networks: data.IMPORT_PICTURES_NETWORKS },
    otelEndpoint: data.OTEL_EXPORTER_OTLP_ENDPOINT,
    metricsToken: data.METRICS_TOKEN,
    drainSeconds: data.DRAIN_SECONDS,
    analyticsPath: data.ANALYTICS_PATH,
    analyticsHosts: {
      own: [new URL(data.APP_URL).hostname.replace(/^www\./, ""), ...data.ANALYTICS_OWN_HOSTS],
      ignored: data.ANALYTICS_IGNORED_HOSTS,
    },
  };
}
