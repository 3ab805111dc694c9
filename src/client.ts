import { hc } from "hono/client";
import type { AppType } from "./app";

/** The application's type: every route with what it takes, its success and the problem answers that it states. */
export type ApiType = AppType;

/** The API with its types, as `createClient("http://localhost:5000")` gives it. */
export type Client = ReturnType<typeof hc<ApiType>>;

/**
 * A typed client.
 * @param baseUrl where the backend is, such as http://localhost:5000
 * @param options what `hc` takes: headers (or a function that gives them), fetch
 */
export const createClient = (...options: Parameters<typeof hc>): Client => hc<ApiType>(...options);
