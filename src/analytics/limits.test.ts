import { beforeAll, beforeEach, expect, test } from "bun:test";
import { anEvent, emptyAnalytics, eventsOf, sendBatch, sentByServer } from "../../test/analytics";
import { type SignedInPerson, useTestApp } from "../../test/app";
import { createMySqlLimiters, type Limiters } from "../db/limiter";
import { createIntakeLimits } from "./intake/limits";

const t = useTestApp(() => ({ trustedProxies: ["127.0.0.1"] }));
const limiters = () => createMySqlLimiters(t.deps.mysql, t.clock);
let manager: SignedInPerson;
beforeAll(async () => {
  manager = await t.signIn({ roles: ["manager"] });
});
beforeEach(async () => {
  await emptyAnalytics(t);
  t.clock.advance(61_000);
});

const tooMany = { code: "too_many_requests" };
const SOURCE = 30_000;

/** The limits as another process has them. */
const another = () => createIntakeLimits(limiters(), t.clock);

test("events without a key are limited by address, an IPv6 network as one, for all processes together", async () => {
  const [here, there] = [another(), another()];
  const address = "192.0.2.77";
  await here.spend({ address }, SOURCE - 1000);
  await there.spend({ address }, 1000);
  await expect(there.spend({ address }, 1)).rejects.toMatchObject(tooMany);
  await expect(here.spend({ address }, 1)).rejects.toMatchObject(tooMany);
  await here.spend({ address: "192.0.2.78" }, 1);
  await here.spend({ address: "2001:db8:1:2::1" }, SOURCE);
  await expect(here.spend({ address: "2001:db8:1:2:ffff::9" }, 1)).rejects.toMatchObject(tooMany);
  await here.spend({ address: "2001:db8:1:3::1" }, 1);
  t.clock.advance(61_000);
  await here.spend({ address }, 1);
});

test("many small batches at once come to the same limit, and cost few writes", async () => {
  let consumed = 0;
  const counted: Limiters = (options) => {
    const limiter = limiters()(options);
    const consume = limiter.consume.bind(limiter);
    limiter.consume = (...words) => {
      consumed++;
      return consume(...words);
    };
    return limiter;
  };
  const { spend } = createIntakeLimits(counted, t.clock);
  const address = "198.51.100.9";
  const passed = await Promise.all(
    Array.from({ length: 350 }, () =>
      spend({ address }, 100).then(
        () => true,
        () => false,
      ),
    ),
  );
  expect(passed.filter(Boolean).length * 100).toBe(SOURCE);
  await expect(spend({ address }, 100)).rejects.toMatchObject(tooMany);
  t.clock.advance(61_000);
  consumed = 0;
  for (let batch = 0; batch < 250; batch++) await spend({ address }, 100);
  expect(consumed).toBeLessThan(60);
});

test("a refused batch stores nothing, says when to come again, and is in the health of the intake", async () => {
  // As a proxy names the visitor: this machine itself is not limited.
  const body = { batch: [anEvent(), anEvent()] };
  const headers = { "x-forwarded-for": "203.0.113.50" };
  await t.deps.intakeLimits.spend({ address: "203.0.113.50" }, SOURCE);
  const answer = await sendBatch(t, body, { headers });
  expect([answer.status, Number(answer.headers.get("retry-after")) > 0]).toEqual([429, true]);
  expect(await eventsOf(t).countDocuments()).toBe(0);
  const health = await t.request("/api/analytics/health?hours=1", { token: manager.accessToken });
  expect(await health.json()).toMatchObject({
    data: {
      reasons: expect.arrayContaining([
        expect.objectContaining({ outcome: "rejected", reason: "too_many_requests", count: 2 }),
      ]),
    },
  });
  expect((await sendBatch(t, body)).status).toBe(202);
});

test("an API key is limited as a whole, wherever its servers are", async () => {
  const key = "key:limited";
  await t.deps.intakeLimits.spend({ key }, 600_000);
  await expect(sentByServer(t, { batch: [anEvent()] }, key)).rejects.toMatchObject(tooMany);
  expect((await sentByServer(t, { batch: [anEvent()] }, "key:other")).accepted).toBe(1);
});
