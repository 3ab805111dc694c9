/**
 * The events that the reports understand, by their names in Segment's e-commerce specification (v2):
 * https://segment.com/docs/connections/spec/ecommerce/v2/. Any other name is stored and counted as an event.
 */
const KINDS = {
  "products searched": "search",
  "product list viewed": "list",
  "product list filtered": "list",
  "product clicked": "click",
  "product viewed": "view",
  "product added": "add",
  "product removed": "remove",
  "cart viewed": "cart",
  "checkout started": "checkout",
  "order completed": "order",
  "order updated": "update",
  "order refunded": "refund",
  "order cancelled": "cancel",
} as const;

export type EventKind = (typeof KINDS)[keyof typeof KINDS] | "page";

/** What a `track` event of this name is; null for a name of the shop's own. */
export const kindOf = (name: string): EventKind | null => {
  const key = name.trim().toLowerCase();
  return Object.hasOwn(KINDS, key) ? KINDS[key as keyof typeof KINDS] : null;
};
