import { anyOrigin, libraryRoutes } from "./analytics/intake/library.routes";
import { analyticsPathOf } from "./analytics/path";
import { analyticsRoutes } from "./analytics/routes";
import { auditRoutes, ownAuditRoutes } from "./audit/routes";
import { authRoutes } from "./auth/routes";
import { docsRoutes } from "./http/docs";
import { factory } from "./http/factory";
import { healthRoutes } from "./http/health";
import { pathOf } from "./http/host";
import { notFound } from "./http/methods";
import { edge } from "./http/middleware";
import { onError } from "./http/problems";
import { LiteralRouter } from "./http/router";
import { inventoryRoutes, productInventoryRoutes } from "./inventory/routes";
import { jobRoutes } from "./jobs/routes";
import { mailboxRoutes } from "./mail/routes";
import { productRoutes } from "./products/routes";
import { metricsRoutes } from "./telemetry/metrics";
import { userRoutes } from "./users/routes";
import type { Deps } from "./wire";

/** The application: the one place where route groups are mounted. */
export function createApp(deps: Deps) {
  const app = factory.createApp({
    router: new LiteralRouter(),
    // Hono asks `getPath` of an application that is strict only; ours is as tolerant of a slash at the end.
    strict: true,
    getPath: (request) => analyticsPathOf(deps.config.analyticsPath, pathOf(request)),
  });
  app.onError(onError);
  app.notFound(notFound(() => app));
  app.use("/v1/*", anyOrigin());
  app.use(edge(deps, () => app));

  return app
    .route("/health", healthRoutes(deps))
    .route("/metrics", metricsRoutes(deps))
    .route("/auth", authRoutes(deps))
    .route("/api/users/me/audit", ownAuditRoutes(deps))
    .route("/api/users/audit-log", auditRoutes(deps))
    .route("/api/users", userRoutes(deps))
    .route("/api/products/inventory", inventoryRoutes(deps))
    .route("/api/products/:id/inventory", productInventoryRoutes(deps))
    .route("/api/products", productRoutes(deps))
    .route("/api/analytics", analyticsRoutes(deps))
    .route("/v1", libraryRoutes(deps))
    .route("/api/jobs", jobRoutes(deps))
    .route("/dev", mailboxRoutes(deps))
    .route(
      "/",
      docsRoutes(() => app),
    );
}

export type AppType = ReturnType<typeof createApp>;
