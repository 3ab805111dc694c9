import { createAnalytics } from "aizy-backend/analytics";
import { createClient, isApiError } from "aizy-backend/client";
import { useEffect, useState, useSyncExternalStore } from "react";

const address = document.querySelector<HTMLMetaElement>('meta[name="api"]')?.content ?? "";

export const shop = createClient(address);
/** A refusal is remembered here, an agreement by the helper. */
const refused = localStorage.getItem("consent") === "no";
export const analytics = createAnalytics(shop.url("/api/x"), refused ? { consent: "denied" } : {});

/** Who is signed in: undefined before it is known, null for nobody. */
export const useUser = () =>
  useSyncExternalStore(shop.session.subscribe.bind(shop.session), () => shop.session.user);

/** What to tell people of an error. */
export function tell(error: unknown): string {
  if (!isApiError(error)) throw error;
  if (error.is("network_error", "timeout")) return "No connection. Please try again.";
  if (error.is("invalid_credentials")) return "The address or the password is not right.";
  const [fault] = error.fields;
  return fault ? `${fault.path} ${fault.message}` : error.message;
}

/** What a promise gives, made anew when `key` is another; `undefined` until it is there. */
export function useLoaded<Value>(key: string, load: (signal: AbortSignal) => Promise<Value>) {
  const [state, setState] = useState<{ key: string; value?: Value; problem?: string }>({ key });
  // biome-ignore lint/correctness/useExhaustiveDependencies: `key` stands for what `load` reads.
  useEffect(() => {
    const left = new AbortController();
    load(left.signal).then(
      (value) => setState({ key, value }),
      (error: unknown) => {
        if (!left.signal.aborted) setState({ key, problem: tell(error) });
      },
    );
    return () => left.abort();
  }, [key]);
  return state.key === key ? state : { key };
}

const listeners = new Set<() => void>();
addEventListener("popstate", () => {
  for (const listener of listeners) listener();
});

export const here = () => location.pathname + location.search;
export const useAddress = () =>
  useSyncExternalStore((listener) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  }, here);

/** Shows another page. */
export function go(to: string): void {
  history.pushState(null, "", to);
  scrollTo(0, 0);
  analytics.page();
  for (const listener of listeners) listener();
}
