import { beforeAll, expect, test } from "bun:test";
import { anEvent, sent } from "../../test/analytics";
import { type SignedInPerson, useTestApp } from "../../test/app";

const t = useTestApp();
let manager: SignedInPerson;
beforeAll(async () => {
  manager = await t.signIn({ roles: ["manager"] });
});

const health = async (query = "") => {
  const answer = await t.request(`/api/analytics/health${query}`, { token: manager.accessToken });
  expect(answer.status).toBe(200);
  // biome-ignore lint/suspicious/noExplicitAny: the test reads what it knows.
  return ((await answer.json()) as any).data;
};

test("what became of events shows by minute and reason, with samples that name nobody", async () => {
  const bad = anEvent({ context: { page: { referrer: { secret: "ann" } } }, properties: { name: "ann" } });
  const twice = anEvent();
  const key = anEvent({ properties: { "ann\u0000": 1 } });
  await sent(t, { batch: [anEvent({ anonymousId: "ann", foo: 1 }), twice, twice, bad, bad, key, "ann"] });
  t.clock.advance(60_000);
  const order = { event: "Order Completed", properties: { total: "ann", currency: "EUR" } };
  await sent(t, { batch: [anEvent(order)], context: { campaign: "ann" } });
  const data = await health();
  expect(data.total).toEqual({ accepted: 3, duplicate: 1, rejected: 4, flagged: 1, ignored: 2 });
  expect(data.minutes).toHaveLength(2);
  expect(data.minutes[1]).toMatchObject({ accepted: 1, rejected: 0, flagged: 1 });
  const [first] = data.reasons;
  expect(first).toMatchObject({ outcome: "rejected", count: 2 });
  expect(first.reason).toStartWith("context.page.referrer");
  expect(first.samples[0]).toEqual({
    origin: "browser",
    type: "track",
    kind: "view",
    fields: expect.arrayContaining(["messageId", "context"]),
  });
  expect(data.reasons.map(({ reason }: { reason: string }) => reason)).toEqual(
    expect.arrayContaining(["invalid_key", "unreadable_amount", "unknown field", "context.campaign"]),
  );
  expect(JSON.stringify(data)).not.toContain("ann");
  expect((await health("?hours=1")).total.accepted).toBe(3);
  const customer = await t.signIn();
  const refused = await t.request("/api/analytics/health?hours=0", { token: customer.accessToken });
  expect(refused.status).toBe(403);
});
