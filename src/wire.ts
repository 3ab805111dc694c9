import { join } from "node:path";
import { createIntakeLimits } from "./analytics/intake/limits";
import { createAnalyticsStore } from "./analytics/store";
import { createAuditStore } from "./audit/store";
import { createApiKeyStore } from "./auth/api-keys/store";
import { authenticate } from "./auth/authenticate";
import { createCodeStore } from "./auth/codes.store";
import { createDeviceStore } from "./auth/devices/store";
import { createMfaStore } from "./auth/mfa/store";
import { createOtp } from "./auth/otp";
import { createPasskeyStore } from "./auth/passkeys/store";
import { createPasswords } from "./auth/passwords";
import { createSessionStore } from "./auth/sessions.store";
import { createThrottle } from "./auth/throttle";
import { createTokens } from "./auth/tokens";
import { createVault } from "./auth/vault";
import type { Config } from "./config";
import { createMongoIdempotencyStore } from "./db/idempotency.mongo";
import { createMySqlIdempotencyStore } from "./db/idempotency.mysql";
import { createMySqlLimiters } from "./db/limiter";
import { connectMongo } from "./db/mongo";
import { connectMySql } from "./db/prisma";
import { connectRedisLimiters } from "./db/redis";
import { createStockCommitter } from "./inventory/committer";
import type { InventoryDeps } from "./inventory/deps";
import { watchCrossings } from "./inventory/in-stock";
import { createInventoryStore } from "./inventory/store";
import { createMongoJobStore } from "./jobs/mongo.store";
import { createMySqlJobStore } from "./jobs/mysql.store";
import { createCircuitBreaker } from "./lib/circuit-breaker";
import { systemClock } from "./lib/clock";
import { createKeyRing } from "./lib/crypto";
import { createCursors } from "./lib/cursor";
import { createRandom } from "./lib/random";
import { watchMails } from "./mail/mail";
import { createMailbox } from "./mail/mailbox";
import { createSmtpMailer } from "./mail/smtp";
import { createPictureSource } from "./media";
import { createImportPictureStore } from "./products/bulk/pictures.store";
import { createBulkStore } from "./products/bulk/store";
import { createCategoryStore } from "./products/categories/store";
import { createCounts } from "./products/counts";
import { createProductCreations } from "./products/creations";
import { createFormerSlugStore } from "./products/former-slugs.store";
import { createPictureStore } from "./products/images/store";
import { createProductPopularityStore } from "./products/popularity.store";
import { createBuiltinEngine } from "./products/search/builtin";
import { createCuration } from "./products/search/curation/current";
import { createCurationStore } from "./products/search/curation/store";
import { createQueryStore } from "./products/search/queries.store";
import { createIndexStore } from "./products/search/store";
import { walkProducts } from "./products/search/walk";
import { createProductStore } from "./products/store";
import { createDiskStorage } from "./storage/disk";
import { createS3Storage } from "./storage/s3";
import type { Logger } from "./telemetry/log";
import { createMetrics } from "./telemetry/metrics";
import { tracedEach } from "./telemetry/traced";
import type { AccountDeps } from "./users/me/deps";
import { createEmailChangeStore } from "./users/me/email-changes.store";
import { createExportStore } from "./users/me/exports.store";
import { createRoleStore } from "./users/roles/store";
import { createSettingStore } from "./users/settings.store";
import { createUserStore } from "./users/store";

/** Everything of a process: the slices of all features. */
export interface Deps extends InventoryDeps, Omit<AccountDeps, keyof InventoryDeps> {
  close(): Promise<void>;
}

/** Wires a process. `given` replaces what a test or a script brings itself. */
export function createDeps(
  config: Config,
  log: Logger,
  given: Partial<Pick<Deps, "clock" | "random" | "mail" | "mysql" | "mongo" | "tracing">> = {},
): Deps {
  const stores = <T extends Record<string, object>>(made: T): T => tracedEach(given.tracing, made);
  const clock = given.clock ?? systemClock;
  const random = given.random ?? createRandom(clock);
  const { mysql, mongo } = stores({
    mysql: given.mysql ?? connectMySql(config.databaseUrl, config.databasePool),
    mongo:
      given.mongo ??
      connectMongo(config.mongodbUri, config.mongodbPool, {
        say: (why) =>
          why === undefined ? log.info("MongoDB answers") : log.warn(`${why}; it is tried again`),
      }),
  });
  const mailbox =
    given.mail === undefined && config.smtpUrl === undefined
      ? createMailbox(join(config.storageDir, "..", "mail"), clock, random)
      : undefined;
  const metrics = createMetrics();
  const listeners: (() => void)[] = [];
  const wake = () => {
    for (const listener of listeners) listener();
  };
  const mailServer = createCircuitBreaker((isOpen) => {
    if (isOpen) return log.warn("the mail server is away: jobs that need it wait");
    log.info("the mail server answers again");
    wake();
  });
  const mail = watchMails(
    given.mail ?? mailbox ?? createSmtpMailer(config.smtpUrl ?? "", config.mailFrom),
    metrics.counter("aizy_mails_total", "Mails by outcome", "outcome", ["sent", "failed"]),
    mailServer,
    log,
  );
  const counters = createMySqlLimiters(mysql, clock);
  const redis =
    config.redisUrl === undefined ? undefined : connectRedisLimiters(config.redisUrl, counters, log);
  const keys = createKeyRing(config);

  const { inventory, jobs, categories, searchIndex, curationStore } = stores({
    inventory: createInventoryStore(mongo),
    jobs: { mysql: createMySqlJobStore(mysql), mongo: createMongoJobStore(mongo) },
    categories: createCategoryStore(mongo),
    searchIndex: createIndexStore(mongo),
    curationStore: createCurationStore(mongo),
  });
  const search = createBuiltinEngine({
    store: searchIndex,
    clock,
    random,
    log,
    categoriesOf: (ids) => categories.findByIds(ids),
    countProducts: () => products.count(),
    eachProduct: (onPage, onDone) => walkProducts(deps, onPage, onDone),
  });
  const { products } = stores({ products: createProductStore(mongo, search) });

  const deps: Deps = {
    config,
    log,
    clock,
    random,
    mysql,
    mongo,
    ...stores({
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
      searchQueries: createQueryStore(mongo),
      formerSlugs: createFormerSlugStore(mongo),
      productPopularity: createProductPopularityStore(mongo),
      pictures: createPictureStore(mongo),
      bulk: createBulkStore(mongo),
      importPictures: createImportPictureStore(mongo),
      analytics: createAnalyticsStore(mongo),
      storage: config.s3 ? createS3Storage(config.s3) : createDiskStorage(config.storageDir, random),
      idempotency: {
        mysql: createMySqlIdempotencyStore(mysql),
        mongo: createMongoIdempotencyStore(mongo),
      },
      // No stores of ours, but what a request or a job waits for just the same.
      mail,
      pictureSource: createPictureSource(config.importPictures),
      throttle: createThrottle(redis?.limiters ?? counters),
      intakeLimits: createIntakeLimits(redis?.limiters ?? counters, clock),
    }),
    categories,
    products,
    search,
    searchIndex,
    curationStore,
    curation: createCuration(curationStore, categories),
    counts: createCounts(products, clock),
    inventory,
    stock: createStockCommitter({ mongo, store: inventory, jobs: jobs.mongo, clock, random }),
    creations: createProductCreations({ mongo, products, search, inventory, jobs: jobs.mongo, clock }),
    jobs: {
      ...jobs,
      wake,
      onWake: (listener) => {
        listeners.push(listener);
      },
    },
    passwords: createPasswords(config.passwordMemory),
    keys,
    otp: createOtp(keys("verification-code")),
    tokens: createTokens(keys, clock),
    vault: createVault(config.dataKeys, random),
    cursors: createCursors(keys("cursor")),
    metrics,
    tracing: given.tracing,
    mailServer,
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
