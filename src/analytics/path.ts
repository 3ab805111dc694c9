/**
 * The path behind a second address of analytics. Blockers' lists name `/api/analytics/` and `/v1/batch` for everybody,
 * so the same is also at an address without a telling word: `PREFIX` alone takes events, `PREFIX/v1/…` is what
 * libraries call, and `PREFIX/…` is `/api/analytics/…`. Any other path is itself.
 * @example analyticsPathOf("/api/x", "/api/x/v1/t") // "/v1/t"
 */
export function analyticsPathOf(prefix: string, path: string): string {
  if (path === prefix || path === `${prefix}/`) return "/api/analytics/events";
  if (!path.startsWith(`${prefix}/`)) return path;
  const rest = path.slice(prefix.length);
  return rest.startsWith("/v1/") ? rest : `/api/analytics${rest}`;
}
