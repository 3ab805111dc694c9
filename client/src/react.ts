import { useSyncExternalStore } from "react";
import type { Client } from "./client.js";
import type { User } from "./models.js";
import type { CallOptions } from "./types.js";

/** A method of a route, such as `shop.api.products.$get`. */
type Method<Given, Body> = (given: Given, options?: CallOptions) => PromiseLike<Body>;
/** What a method takes; left out where it takes nothing. */
type GivenTo<Given> = undefined extends Given ? [given?: Given] : [given: Given];
type Key = readonly [route: string, given?: unknown];

/**
 * Who is signed in: `undefined` before it is known, `null` for nobody. Rendered again when that changes, in any tab.
 * @example const user = useUser(shop);
 */
export const useUser = ({ session }: Pick<Client, "session">): User | null | undefined =>
  useSyncExternalStore(
    (changed) => session.subscribe(changed),
    () => session.user,
    () => undefined,
  );

/**
 * The key that TanStack Query keeps an answer under; of all answers of a route when nothing else is given.
 * @example queryClient.invalidateQueries({ queryKey: keyOf(shop.api.users.me.$get) })
 */
export const keyOf = <Given, Body>(method: Method<Given, Body>, given?: Given): Key => {
  const { route } = method as unknown as { route: string };
  return given === undefined ? [route] : [route, given];
};

/**
 * The client repeats what is safe itself. An answer is left as it came, because `ifMatch` knows what was read by the
 * object that it is, which sharing parts of an older answer would copy.
 */
const AS_IT_COMES = { retry: false, structuralSharing: false } as const;

/**
 * Options for `useQuery` and its like.
 * @example const { data, error } = useQuery(queryOf(shop.api.products[":id"].$get, { param: { id } }));
 */
export const queryOf = <Given, Body>(method: Method<Given, Body>, ...[given]: GivenTo<Given>) => ({
  ...AS_IT_COMES,
  queryKey: keyOf(method, given),
  queryFn: async ({ signal }: { signal: AbortSignal }): Promise<Body> => method(given as Given, { signal }),
});

/**
 * Options for `useInfiniteQuery`: a list page by page.
 * @example const list = useInfiniteQuery(pagesOf(shop.api.products.$get, { query: { limit: 24 } }));
 */
export const pagesOf = <Given extends { query?: object | undefined } | undefined, Body extends Page>(
  method: Method<Given, Body>,
  ...[given]: GivenTo<Given>
) => ({
  ...AS_IT_COMES,
  // Apart from what `queryOf` keeps of the same list, which is one page of it.
  queryKey: [...keyOf(method, given ?? ({} as Given)), "pages"] as readonly unknown[],
  initialPageParam: undefined as string | undefined,
  queryFn: async ({ signal, pageParam }: { signal: AbortSignal; pageParam: unknown }): Promise<Body> => {
    const query = pageParam === undefined ? given?.query : { ...given?.query, cursor: pageParam };
    return method({ ...given, query } as Given, { signal });
  },
  getNextPageParam: ({ page }: Page) => page.nextCursor ?? undefined,
});

interface Page {
  page: { nextCursor: string | null };
}

type Told = Pick<CallOptions, "ifMatch" | "idempotencyKey" | "onProgress" | "signal">;
// biome-ignore lint/suspicious/noConfusingVoidType: `mutate()` without words asks for it.
type Change<Given> = undefined extends Given ? (NonNullable<Given> & Told) | void : Given & Told;

/**
 * Options for `useMutation`; what is changed takes `ifMatch` and its like along. The client makes the idempotency key,
 * and sends it again when a change that broke off is made once more.
 * @example useMutation(changeOf(shop.api.users.me.$patch)).mutate({ json: { name }, ifMatch: me })
 */
export const changeOf = <Given, Body>(method: Method<Given, Body>) => ({
  mutationKey: keyOf(method),
  mutationFn: async (change: Change<Given>): Promise<Body> => {
    const { ifMatch, idempotencyKey, onProgress, signal, ...given } = (change ?? {}) as Told;
    return method(given as Given, { ifMatch, idempotencyKey, onProgress, signal });
  },
});
