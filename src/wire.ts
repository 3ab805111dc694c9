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
import { systemClock } from "./lib/clock";
import { createKeyRing } from "./lib/crypto";
import { createCursors } from "./lib/cursor";
import { createRandom } from "./lib/random";
import { countMails } from "./mail/mail";
import { createMailbox } from "./mail/mailbox";
import { createSmtpMailer } from "./mail/smtp";
import { createPictureSource } from "./media";
import { createImportPictureStore } from "./products/bulk/pictures.store";
import { createBulkStore } from "./products/bulk/store";
import { createCategoryStore } from "./products/categories/store";
import { createCounts } from "./products/counts";
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
import { traced } from "./telemetry/traced";
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
  const store = <T extends object>(name: string, made: T): T => traced(given.tracing, name, made);
  const clock = given.clock ?? systemClock;
  const random = given.random ?? createRandom(clock);
  const mysql = store("mysql", given.mysql ?? connectMySql(config.databaseUrl, config.databasePool));
  const mongo = store("mongo", given.mongo ?? connectMongo(config.mongodbUri, config.mongodbPool));
  const mailbox =
    given.mail === undefined && config.smtpUrl === undefined
      ? createMailbox(join(config.storageDir, "..", "mail"), clock, random)
      : undefined;
  const metrics = createMetrics();
  const mail = countMails(
    given.mail ?? mailbox ?? createSmtpMailer(config.smtpUrl ?? "", config.mailFrom),
    metrics.counter("aizy_mails_total", "Mails by outcome", "outcome"),
    log,
  );
  const counters = createMySqlLimiters(mysql, clock);
  const redis =
    config.redisUrl === undefined ? undefined : connectRedisLimiters(config.redisUrl, counters, log);
  const listeners: (() => void)[] = [];
  const keys = createKeyRing(config);

  const inventory = store("inventory", createInventoryStore(mongo));
  const mongoJobs = store("jobs.mongo", createMongoJobStore(mongo));
  const categories = store("categories", createCategoryStore(mongo));
  const searchIndex = store("searchIndex", createIndexStore(mongo));
  const curationStore = store("curationStore", createCurationStore(mongo));
  const search = createBuiltinEngine({
    store: searchIndex,
    clock,
    random,
    log,
    categoriesOf: (ids) => categories.findByIds(ids),
    countProducts: () => products.count(),
    eachProduct: (onPage, onDone) => walkProducts(mongo, products, onPage, onDone),
  });
  const products = store("products", createProductStore(mongo, search));

  const deps: Deps = {
    config,
    log,
    clock,
    random,
    mysql,
    mongo,
    users: store("users", createUserStore(mysql)),
    roles: store("roles", createRoleStore(mysql)),
    settings: store("settings", createSettingStore(mysql)),
    emailChanges: store("emailChanges", createEmailChangeStore(mysql)),
    exports: store("exports", createExportStore(mysql)),
    codes: store("codes", createCodeStore(mysql)),
    sessions: store("sessions", createSessionStore(mysql)),
    apiKeys: store("apiKeys", createApiKeyStore(mysql)),
    audit: store("audit", createAuditStore(mysql)),
    devices: store("devices", createDeviceStore(mysql)),
    mfa: store("mfa", createMfaStore(mysql)),
    passkeys: store("passkeys", createPasskeyStore(mysql)),
    categories,
    products,
    search,
    searchIndex,
    searchQueries: store("searchQueries", createQueryStore(mongo)),
    curationStore,
    curation: createCuration(curationStore, categories),
    counts: createCounts(products, clock),
    formerSlugs: store("formerSlugs", createFormerSlugStore(mongo)),
    productPopularity: store("productPopularity", createProductPopularityStore(mongo)),
    pictures: store("pictures", createPictureStore(mongo)),
    bulk: store("bulk", createBulkStore(mongo)),
    importPictures: store("importPictures", createImportPictureStore(mongo)),
    pictureSource: createPictureSource(config.importPictures),
    storage: store(
      "storage",
      config.s3 ? createS3Storage(config.s3) : createDiskStorage(config.storageDir, random),
    ),
    inventory,
    stock: createStockCommitter({ mongo, store: inventory, enqueue: mongoJobs.enqueue, clock, random }),
    analytics: store("analytics", createAnalyticsStore(mongo)),
    intakeLimits: createIntakeLimits(redis?.limiters ?? counters, clock),
    idempotency: store("idempotency", {
      mysql: createMySqlIdempotencyStore(mysql),
      mongo: createMongoIdempotencyStore(mongo),
    }),
    jobs: {
      mysql: store("jobs.mysql", createMySqlJobStore(mysql)),
      mongo: mongoJobs,
      wake: () => {
        for (const listener of listeners) listener();
      },
      onWake: (listener) => {
        listeners.push(listener);
      },
    },
    passwords: createPasswords(config.passwordMemory),
    keys,
    otp: createOtp(keys("verification-code")),
    tokens: createTokens(keys, clock),
    vault: createVault(config.dataKeys, random),
    throttle: createThrottle(redis?.limiters ?? counters),
    cursors: createCursors(keys("cursor")),
    metrics,
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
