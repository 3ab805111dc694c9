/**
 * What the speed benchmark (`bun run bench speed`) is held to. A ratio is this project's value by another side's, of
 * runs that were interleaved; processor time is that of the server for one request.
 */
export interface SpeedGoal {
  scenario: string;
  against: "replaced" | "floor" | "better-auth";
  measure: "server" | "perSecond" | "p99" | "memory";
  /** Met at or below, or at or above. */
  goal: ["<=" | ">=", number];
}

const least = (scenario: string, against: SpeedGoal["against"], times: number): SpeedGoal => ({
  scenario,
  against,
  measure: "server",
  goal: ["<=", Math.round(1000 / times) / 1000],
});
const most = (scenario: string, against: SpeedGoal["against"], times: number): SpeedGoal => ({
  scenario,
  against,
  measure: "server",
  goal: ["<=", times],
});

/** `least` of so many times the speed is at most its inverse in processor time. */
export const SPEED_GOALS: SpeedGoal[] = [
  least("plain", "replaced", 2),
  most("plain", "floor", 3),
  ...["me-admin", "me-customer"].flatMap((scenario) => [
    least(scenario, "replaced", 7),
    least(scenario, "better-auth", 1.5),
    most(scenario, "floor", 2.5),
  ]),
  { scenario: "me-800", against: "replaced", measure: "p99", goal: ["<=", 0.1] },
  least("product", "replaced", 2),
  most("product", "floor", 1.5),
  most("list", "replaced", 0.4),
  most("list", "floor", 1.25),
  least("create", "replaced", 1),
  most("create", "floor", 4),
  { scenario: "sign-in", against: "replaced", measure: "perSecond", goal: [">=", 1.05] },
  { scenario: "sign-in", against: "floor", measure: "perSecond", goal: [">=", 0.95] },
  { scenario: "idle", against: "replaced", measure: "memory", goal: ["<=", 1] },
  { scenario: "product", against: "replaced", measure: "memory", goal: ["<=", 0.6] },
];

/** Time from the start of the process to its first answer, by that of the replaced stack. */
export const START_GOALS = { built: 0.5 };
/** Time of a page of 20 of 100,000 products, by that of a page of a few thousand. */
export const GROWTH_GOAL = 1.3;
/** Requests a second of two processes, by those of one. */
export const PROCESSES_GOAL = 1.5;
/** A ratio that got worse than before by this share is warned of. */
export const WORSE_BY = 1 / 3;
