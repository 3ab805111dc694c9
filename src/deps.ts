import { join } from "node:path";
import { type AnalyticsStore, createAnalyticsStore } from "./analytics/store";
import { type AuditStore, createAuditStore } from "./audit/store";
import { type ApiKeyStore, createApiKeyStore } from "./auth/api-keys/store";
import { authenticate } from "./auth/authenticate";
import { type CodeStore, createCodeStore } from "./auth/codes.store";
import { createDeviceStore, type DeviceStore } from "./auth/devices/store";
import { createMfaStore, type MfaStore } from "./auth/mfa/store";
import { createOtp, type Otp } from "./auth/otp";
import { createPasskeyStore, type PasskeyStore } from "./auth/passkeys/store";
import { createPasswords, type Passwords } from "./auth/passwords";
import { createSessionStore, type SessionStore } from "./auth/sessions.store";
import { createThrottle, type Throttle } from "./auth/throttle";
import { createTokens, type Tokens } from "./auth/tokens";
import { createVault, type Vault } from "./auth/vault";
import type { Config } from "./config";
import type { IdempotencyStore } from "./db/idempotency";
import { createMongoIdempotencyStore } from "./db/idempotency.mongo";
import { createMySqlIdempotencyStore, type MySqlIdempotencyStore } from "./db/idempotency.mysql";
import { createMySqlLimiters } from "./db/limiter";
import { connectMongo, type Mongo, type MongoTx } from "./db/mongo";
import { connectMySql, type MySql, type MySqlTx } from "./db/prisma";
import { connectRedisLimiters } from "./db/redis";
import type { GuardDeps } from "./http/guards";
import { createStockCommitter, type StockCommitter } from "./inventory/committer";
import { watchCrossings } from "./inventory/in-stock";
import { createInventoryStore, type InventoryStore } from "./inventory/store";
import type { JobStore } from "./jobs/jobs";
import { createMongoJobStore } from "./jobs/mongo.store";
import { createMySqlJobStore } from "./jobs/mysql.store";
import { type Clock, systemClock } from "./lib/clock";
import { createKeyRing, type KeyRing } from "./lib/crypto";
import { type Cursors, createCursors } from "./lib/cursor";
import { createRandom, type Random } from "./lib/random";
import type { Mailer } from "./mail/mail";
import { createMailbox, type Mailbox } from "./mail/mailbox";
import { createSmtpMailer } from "./mail/smtp";
import { type BulkStore, createBulkStore } from "./products/bulk/store";
import { type CategoryStore, createCategoryStore } from "./products/categories/store";
import { type CatalogueCounts, createCounts } from "./products/counts";
import { createFormerSlugStore, type FormerSlugStore } from "./products/former-slugs.store";
import { createPictureStore, type PictureStore } from "./products/images/store";
import { createProductPopularityStore, type ProductPopularityStore } from "./products/popularity.store";
import { createBuiltinEngine } from "./products/search/builtin";
import type { SearchEngine } from "./products/search/engine";
import { createQueryStore, type QueryStore } from "./products/search/queries.store";
import { createIndexStore, type IndexStore } from "./products/search/store";
import { walkProducts } from "./products/search/walk";
import { createProductStore, type ProductStore } from "./products/store";
import { createDiskStorage } from "./storage/disk";
import { createS3Storage } from "./storage/s3";
import type { Storage } from "./storage/storage";
import type { Logger } from "./telemetry/log";
import { createMetrics, type Metrics } from "./telemetry/metrics";
import type { Tracing } from "./telemetry/tracing";
import { createEmailChangeStore, type EmailChangeStore } from "./users/me/email-changes.store";
import { createExportStore, type ExportStore } from "./users/me/exports.store";
import { createRoleStore, type RoleStore } from "./users/roles/store";
import { createSettingStore, type SettingStore } from "./users/settings.store";
import { createUserStore, type UserStore } from "./users/store";

/** Everything a feature needs from outside. Tests build the same with another clock, mail or storage. */
export interface Deps extends GuardDeps {
  config: Config;
  log: Logger;
  clock: Clock;
  random: Random;
  mysql: MySql;
  mongo: Mongo;
  users: UserStore;
  roles: RoleStore;
  settings: SettingStore;
  emailChanges: EmailChangeStore;
  exports: ExportStore;
  codes: CodeStore;
  sessions: SessionStore;
  apiKeys: ApiKeyStore;
  devices: DeviceStore;
  /** Who did what to whom; recorded in the transaction of the change. */
  audit: AuditStore;
  mfa: MfaStore;
  passkeys: PasskeyStore;
  categories: CategoryStore;
  products: ProductStore;
  /** Finds products by text. */
  search: SearchEngine;
  searchIndex: IndexStore;
  /** What was searched for. */
  searchQueries: QueryStore;
  formerSlugs: FormerSlugStore;
  /** What analytics reads and writes of products. */
  productPopularity: ProductPopularityStore;
  /** How many products categories and brands have. */
  counts: CatalogueCounts;
  pictures: PictureStore;
  bulk: BulkStore;
  storage: Storage;
  inventory: InventoryStore;
  /** Writes every change of stock of this process. */
  stock: StockCommitter;
  analytics: AnalyticsStore;
  idempotency: { mysql: MySqlIdempotencyStore; mongo: IdempotencyStore<MongoTx> };
  jobs: {
    mysql: JobStore<MySqlTx>;
    mongo: JobStore<MongoTx>;
    /** Called after a change enqueued something, so that it need not wait for the next poll. */
    wake(): void;
    /** Whoever runs jobs in this process hears of it. */
    onWake(listener: () => void): void;
  };
  passwords: Passwords;
  keys: KeyRing;
  otp: Otp;
  tokens: Tokens;
  vault: Vault;
  throttle: Throttle;
  cursors: Cursors;
  metrics: Metrics;
  /** Only where a collector is configured. */
  tracing: Tracing | undefined;
  mail: Mailer;
  /** Mail of development, for /dev/mail; undefined where mail is really sent. */
  mailbox: Mailbox | undefined;
  /** Aborted when the process begins to stop: what would go on for ever ends then. */
  stopping: AbortController;
  close(): Promise<void>;
}

/** Wires a process. `given` replaces what a test or a script brings itself. */
export function createDeps(
  config: Config,
  log: Logger,
  given: Partial<Pick<Deps, "clock" | "random" | "mail" | "mysql" | "mongo" | "tracing">> = {},
): Deps {
  const clock = given.clock ?? systemClock;
  const random = given.random ?? createRandom(clock);
  const mysql = given.mysql ?? connectMySql(config.databaseUrl, config.databasePool);
  const mongo = given.mongo ?? connectMongo(config.mongodbUri, config.mongodbPool);
  const mailbox =
    given.mail === undefined && config.smtpUrl === undefined
      ? createMailbox(join(config.storageDir, "..", "mail"), clock, random)
      : undefined;
  const mail = given.mail ?? mailbox ?? createSmtpMailer(config.smtpUrl ?? "", config.mailFrom);
  const counters = createMySqlLimiters(mysql, clock);
  const redis =
    config.redisUrl === undefined ? undefined : connectRedisLimiters(config.redisUrl, counters, log);
  const listeners: (() => void)[] = [];
  const keys = createKeyRing(config);

  const inventory = createInventoryStore(mongo);
  const mongoJobs = createMongoJobStore(mongo);
  const categories = createCategoryStore(mongo);
  const searchIndex = createIndexStore(mongo);
  const search = createBuiltinEngine({
    store: searchIndex,
    clock,
    random,
    log,
    categoriesOf: (ids) => categories.findByIds(ids),
    countProducts: () => products.count(),
    eachProduct: (onPage, onDone) => walkProducts(mongo, products, onPage, onDone),
  });
  const products = createProductStore(mongo, search);

  const deps: Deps = {
    config,
    log,
    clock,
    random,
    mysql,
    mongo,
    users: createUserStore(mysql),
    roles: createRoleStore(mysql),
    settings: createSettingStore(mysql),
    emailChanges: createEmailChangeStore(mysql),
    exports: createExportStore(mysql),
    codes: createCodeStore(mysql),
    sessions: createSessionStore(mysql),
    apiKeys: createApiKeyStore(mysql),
    audit: createAuditStore(mysql),
    devices: createDeviceStore(mysql),
    mfa: createMfaStore(mysql),
    passkeys: createPasskeyStore(mysql),
    categories,
    products,
    search,
    searchIndex,
    searchQueries: createQueryStore(mongo),
    counts: createCounts(products, clock),
    formerSlugs: createFormerSlugStore(mongo),
    productPopularity: createProductPopularityStore(mongo),
    pictures: createPictureStore(mongo),
    bulk: createBulkStore(mongo),
    storage: config.s3 ? createS3Storage(config.s3) : createDiskStorage(config.storageDir, random),
    inventory,
    stock: createStockCommitter({ mongo, store: inventory, enqueue: mongoJobs.enqueue, clock, random }),
    analytics: createAnalyticsStore(mongo),
    idempotency: { mysql: createMySqlIdempotencyStore(mysql), mongo: createMongoIdempotencyStore(mongo) },
    jobs: {
      mysql: createMySqlJobStore(mysql),
      mongo: mongoJobs,
      wake: () => {
        for (const listener of listeners) listener();
      },
      onWake: (listener) => {
        listeners.push(listener);
      },
    },
    passwords: createPasswords(),
    keys,
    otp: createOtp(keys("verification-code")),
    tokens: createTokens(keys, clock),
    vault: createVault(config.dataKeys, random),
    throttle: createThrottle(redis?.limiters ?? counters),
    cursors: createCursors(keys("cursor")),
    metrics: createMetrics(),
    tracing: given.tracing,
    mail,
    mailbox,
    authenticate: (token, options) => authenticate(deps, token, options),
    stopping: new AbortController(),
    async close() {
      mail.close();
      redis?.close();
      await Promise.all([mysql.close(), mongo.close(), given.tracing?.close()]);
    },
  };
  watchCrossings(deps);
  return deps;
}
