import { QueryClient } from "@tanstack/react-query";
import { createAnalytics } from "aizy-backend/analytics";
import { createClient, isApiError } from "aizy-backend/client";
import { useUser as userOf } from "aizy-backend/react";
import { useSyncExternalStore } from "react";

const address = document.querySelector<HTMLMetaElement>('meta[name="api"]')?.content ?? "";

export const shop = createClient(address);
/** A refusal is remembered here, an agreement by the helper. */
const refused = localStorage.getItem("consent") === "no";
export const analytics = createAnalytics(shop.url("/api/x"), refused ? { consent: "denied" } : {});

/** Who is signed in: undefined before it is known, null for nobody. */
export const useUser = () => userOf(shop);

/** What was read, for as long as it may be shown again. */
export const answers = new QueryClient({ defaultOptions: { queries: { staleTime: 30_000 } } });
// Whoever is signed in now sees nothing of whoever was before. Goods are the same for all.
shop.session.subscribe(() => {
  const isOfPerson = (route: unknown) => !String(route).includes("/api/products");
  void answers.resetQueries({ predicate: ({ queryKey: [route] }) => isOfPerson(route) });
});

/** What to tell people of an error; nothing when there is none. */
export function tell(error: unknown): string {
  if (error == null) return "";
  if (!isApiError(error)) throw error;
  if (error.is("network_error", "timeout")) return "No connection. Please try again.";
  if (error.is("invalid_credentials")) return "The address or the password is not right.";
  const [fault] = error.fields;
  if (!fault) return error.message;
  return `${fault.path.charAt(0).toUpperCase()}${fault.path.slice(1)} ${fault.message}`;
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
