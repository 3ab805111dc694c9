import { describeRoute, resolver } from "hono-openapi";
import { z } from "zod";
import { ERRORS, type ErrorCode } from "../lib/errors";
import { problemSchema } from "./problems";

export interface RouteDescription {
  summary: string;
  description?: string;
  tag: string;
  /** The schema of the success answer's body; none for 204. */
  response?: z.ZodType;
  status?: 200 | 201 | 202 | 204;
  /** Other successes, by status. */
  also?: Partial<Record<200 | 201 | 202, z.ZodType>>;
  /** What can go wrong beside 422 (validated routes) and 500. */
  errors?: ErrorCode[];
  /** True for routes that need a signed-in caller. */
  secured?: boolean;
}

/** `{ data }`, the envelope of every success. */
export const dataOf = <Schema extends z.ZodType>(schema: Schema) => z.object({ data: schema });

/** `{ data: [], page }`, the envelope of every list. */
export const pageOf = <Schema extends z.ZodType>(schema: Schema) =>
  z.object({
    data: z.array(schema),
    page: z.object({
      nextCursor: z.string().nullable(),
      hasMore: z.boolean(),
      total: z.object({ value: z.number().int(), relation: z.enum(["eq", "gte"]) }).optional(),
    }),
  });

/** Describes a route in the OpenAPI document. */
export function describe({ status = 200, ...route }: RouteDescription) {
  const problems = new Map<number, ErrorCode[]>();
  for (const code of [...(route.errors ?? []), ...(route.secured ? (["unauthenticated"] as const) : [])]) {
    const [errorStatus] = ERRORS[code];
    problems.set(errorStatus, [...(problems.get(errorStatus) ?? []), code]);
  }
  return describeRoute({
    summary: route.summary,
    ...(route.description === undefined ? {} : { description: route.description }),
    tags: [route.tag],
    ...(route.secured ? { security: [{ bearer: [] }] } : {}),
    responses: {
      [status]: {
        description: status === 204 ? "Done" : "Success",
        ...(route.response ? { content: { "application/json": { schema: resolver(route.response) } } } : {}),
      },
      ...Object.fromEntries(
        Object.entries(route.also ?? {}).map(([other, schema]) => [
          other,
          { description: "Success", content: { "application/json": { schema: resolver(schema) } } },
        ]),
      ),
      ...Object.fromEntries(
        [...problems].map(([errorStatus, codes]) => [
          errorStatus,
          {
            description: codes.map((code) => `${code}: ${ERRORS[code][1]}`).join("; "),
            content: { "application/problem+json": { schema: resolver(problemSchema) } },
          },
        ]),
      ),
    },
  });
}
