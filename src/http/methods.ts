import type { Context, Hono, NotFoundHandler } from "hono";
import { METHOD_NAME_ALL } from "hono/router";
import type { AppEnv } from "./factory";
import { problem } from "./problems";

const METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"];

const refuse = (c: Context<AppEnv>, methods: Iterable<string>) => {
  const allowed = [...methods].flatMap((method) => (method === "GET" ? ["GET", "HEAD"] : [method]));
  c.header("Allow", allowed.join(", "));
  return problem(c, "method_not_allowed", `Use ${allowed.join(" or ")} here.`);
};

/**
 * Answers 405 with `Allow` where a path without parameters knows other methods (RFC 9110 §15.5.6), before a route with
 * a parameter takes its last part for an id: `DELETE /api/products/search` deletes no product.
 * @param app the application, asked at the first request, when its routes are all there
 */
export function refuseOtherMethods(app: () => Hono<AppEnv>) {
  let known: Map<string, Set<string>> | undefined;
  const read = () => {
    const found = new Map<string, Set<string>>();
    for (const { method, path } of app().routes) {
      if (method === METHOD_NAME_ALL || /[:*]/.test(path)) continue;
      const literal = path.replace(/(.)\/$/, "$1");
      found.set(literal, (found.get(literal) ?? new Set()).add(method));
    }
    return found;
  };
  return (c: Context<AppEnv>): Response | undefined => {
    known ??= read();
    const { method, path } = c.req;
    const methods = known.get(path.length > 1 && path.endsWith("/") ? path.slice(0, -1) : path);
    if (methods === undefined || methods.has(method) || method === "OPTIONS") return undefined;
    return method === "HEAD" && methods.has("GET") ? undefined : refuse(c, methods);
  };
}

/** Answers 405 where the path is known with other methods, and 404 where it is not known at all. */
export const notFound =
  (app: () => Hono<AppEnv>): NotFoundHandler<AppEnv> =>
  (c) => {
    const methods = METHODS.filter((method) =>
      app()
        .router.match(method, c.req.path)[0]
        .some(([[, route]]) => route.method !== METHOD_NAME_ALL),
    );
    if (methods.length > 0) return refuse(c, methods);
    return problem(
      c,
      "not_found",
      `There is nothing at ${c.req.method} ${c.req.path}. See /docs for what there is.`,
    );
  };
