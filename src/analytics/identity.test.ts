import { beforeEach, describe, expect, test } from "bun:test";
import { anEvent, emptyAnalytics, sent } from "../../test/analytics";
import { useTestApp } from "../../test/app";
import { DAY } from "../lib/clock";
import { rebuild } from "./rebuild";
import { overviewReport } from "./reports/overview";
import { retentionReport } from "./reports/retention";
import { periodQuery } from "./reports/schema";
import { settle } from "./settle";

const t = useTestApp();
beforeEach(() => emptyAnalytics(t));

const visit = (days: number, anonymousId: string, userId?: string) =>
  anEvent({
    anonymousId,
    userId,
    timestamp: new Date(t.clock.now().getTime() - days * DAY).toISOString(),
  });
const counted = async () => {
  await settle(t.deps);
  const { visitors, newVisitors, sessions } = await overviewReport(t.deps, periodQuery.parse({}));
  return { visitors, newVisitors, sessions };
};
/** Also after everything was counted again. */
const expectCounted = async (expected: object) => {
  expect(await counted()).toEqual(expected as never);
  expect(await rebuild(t.deps)).toBe(true);
  expect(await counted()).toEqual(expected as never);
};

describe("who comes back is one visitor", () => {
  test("who signs in sometimes, on one device", async () => {
    await sent(t, { batch: [visit(9, "phone"), visit(1, "phone")] });
    expect(await counted()).toEqual({ visitors: 1, newVisitors: 1, sessions: 2 });
    await sent(t, { batch: [visit(5, "phone", "ann"), visit(3, "phone")] });
    await expectCounted({ visitors: 1, newVisitors: 1, sessions: 4 });
  });

  test("across devices after a sign-in on each, new once, in whatever order they are reported", async () => {
    await sent(t, { batch: [visit(2, "laptop"), visit(6, "phone")] });
    expect(await counted()).toEqual({ visitors: 2, newVisitors: 2, sessions: 2 });
    await sent(t, { batch: [visit(1, "laptop", "ann")] });
    await sent(t, { batch: [visit(8, "phone", "ann"), visit(12, "phone")] });
    await expectCounted({ visitors: 1, newVisitors: 1, sessions: 5 });
    const { cohorts } = await retentionReport(t.deps, periodQuery.parse({}));
    expect(cohorts.reduce((sum, { visitors }) => sum + visitors, 0)).toBe(1);
  });

  test("but a device of two people is neither's while nobody is signed in", async () => {
    await sent(t, { batch: [visit(9, "till"), visit(7, "till", "ann")] });
    expect(await counted()).toEqual({ visitors: 1, newVisitors: 1, sessions: 2 });
    await sent(t, { batch: [visit(5, "till", "bob"), visit(3, "till")] });
    await expectCounted({ visitors: 3, newVisitors: 3, sessions: 4 });
  });
});
