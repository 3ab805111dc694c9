import { type ApplyGlobalResponse, hc } from "hono/client";
import type { AppType } from "./app";
import type { Problem } from "./lib/errors";

/**
 * The application's type with the answers that any route may give: what is thrown is invisible to `hc`, so
 * it is added here. After `if (answer.ok)` only the success is left.
 */
export type ApiType = ApplyGlobalResponse<
  AppType,
  {
    400: { json: Problem };
    401: { json: Problem };
    403: { json: Problem };
    404: { json: Problem };
    409: { json: Problem };
    412: { json: Problem };
    413: { json: Problem };
    415: { json: Problem };
    422: { json: Problem };
    428: { json: Problem };
    429: { json: Problem };
    500: { json: Problem };
    503: { json: Problem };
  }
>;

/** The API with its types, as `createClient("http://localhost:5000")` gives it. */
export type Client = ReturnType<typeof hc<ApiType>>;

/**
 * A typed client.
 * @param baseUrl where the backend is, such as http://localhost:5000
 * @param options what `hc` takes: headers (or a function that gives them), fetch
 */
export const createClient = (...options: Parameters<typeof hc>): Client => hc<ApiType>(...options);
