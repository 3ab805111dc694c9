import { isId } from "../lib/text";

/**
 * Slugs that no product gets: `/api/products/search` and the like are routes of their own, so a product of that
 * slug could not be read by it. A test holds that every such route is named here.
 */
const ROUTES = new Set([
  "brands",
  "categories",
  "deleted",
  "export",
  "import",
  "inventory",
  "menu",
  "search",
]);

/** Whether a slug cannot stand in a product's address: a route does, or an id would be read from it. */
export const isReserved = (slug: string): boolean => ROUTES.has(slug) || isId(slug);
