/** The API's client: calls with types, sessions, lists, files and events, without a library. */
import type { Routes } from "./routes.js";

export { type Client, type ClientOptions, createClient } from "./client.js";
export { type AnyCode, ApiError, type Changes, type ClientCode, isApiError } from "./errors.js";
export type * from "./models.js";
export type { Routes } from "./routes.js";
export type { SecretStorage, Session, SignedOutReason } from "./session.js";
export type {
  Answer,
  CallOptions,
  EventOptions,
  List,
  ListOptions,
  Ok,
  ServerEvent,
} from "./types.js";

type DataOf<Method extends (...words: never[]) => PromiseLike<{ data: unknown }>> = Awaited<
  ReturnType<Method>
>["data"];

/** A product by itself, with its variants. */
export type Product = DataOf<Routes["api"]["products"][":id"]["$get"]>;
/** A product in a list. */
export type ListedProduct = DataOf<Routes["api"]["products"]["$get"]>[number];
/** A product that a search found. */
export type FoundProduct = DataOf<Routes["api"]["products"]["search"]["$get"]>[number];
/** A picture of a product. */
export type Picture = DataOf<Routes["api"]["products"][":id"]["images"]["$get"]>[number];
/** One of one's own sign-ins. */
export type SignedInSession = DataOf<Routes["auth"]["sessions"]["$get"]>[number];
