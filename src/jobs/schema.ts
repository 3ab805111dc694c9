import { z } from "zod";
import { dataOf } from "../http/envelopes";
import { countSchema } from "../http/fields";
import { JOB_STATES } from "./jobs";

export const jobsQuery = z.strictObject({
  state: z.enum(JOB_STATES, `must be ${JOB_STATES.join(", ")}`).optional(),
  kind: z
    .string()
    .regex(/^[a-z][A-Za-z.-]{0,59}$/, "must be a kind such as analytics.settle")
    .optional(),
  limit: countSchema(100, 20),
});
export const jobParam = z.object({
  id: z.string().regex(/^[0-9a-f-]{36}$/, "must be the id of a job"),
});

const jobResponse = z
  .object({
    id: z.string(),
    kind: z.string(),
    state: z.enum(JOB_STATES),
    runAt: z.iso.datetime().meta({ description: "When it is due; while it runs, when its lease ends" }),
    ageSeconds: z.int(),
    attempts: z.int(),
    maxAttempts: z.int(),
    reason: z.string().nullable().meta({ description: "Why the last try failed" }),
    finishedAt: z.iso.datetime().nullable(),
  })
  .meta({ id: "Job" });
export type JobResponse = z.output<typeof jobResponse>;

export const jobsAnswer = dataOf(
  z.object({
    backlog: z.object({
      waiting: z.int(),
      running: z.int(),
      failed: z.int(),
      lagSeconds: z.int().meta({ description: "For how long the oldest job is due that nobody has taken" }),
    }),
    jobs: z.array(jobResponse),
  }),
);
