import { beforeAll, expect, test } from "bun:test";
import { anEvent, eventsOf, sent, sessionsOf } from "../../test/analytics";
import { type SignedInPerson, useTestApp } from "../../test/app";
import { settle } from "./settle";

const t = useTestApp();
let admin: SignedInPerson;
let manager: SignedInPerson;
beforeAll(async () => {
  admin = await t.signIn({ roles: ["admin"] });
  manager = await t.signIn({ roles: ["manager"] });
});
const call = (path: string, method = "GET", token = admin.accessToken) =>
  t.request(`/api/analytics/visitors/${path}`, { method, token });

test("a visitor, or the shop's own id of a person, is exported and erased, and nobody else", async () => {
  await sent(t, {
    batch: [
      ...Array.from({ length: 5 }, () => anEvent({ anonymousId: "d1" })),
      anEvent({ anonymousId: "d2", userId: "shop-7" }),
      anEvent({ anonymousId: "d2" }),
      anEvent({ anonymousId: "d3" }),
    ],
  });
  await settle(t.deps);
  for (const [visitor, count] of [
    ["d:d1", 5],
    ["u:shop-7", 2],
  ] as const) {
    const ids: string[] = [];
    for (let cursor: string | null = ""; cursor !== null; ) {
      const answer = await call(`${visitor}/events?limit=2${cursor && `&cursor=${cursor}`}`);
      const body = (await answer.json()) as { data: { id: string }[]; page: { nextCursor: string | null } };
      ids.push(...body.data.map(({ id }) => id));
      cursor = body.page.nextCursor;
    }
    expect([visitor, new Set(ids).size, ids.length]).toEqual([visitor, count, count]);
    expect((await call(visitor, "DELETE", manager.accessToken)).status).toBe(403);
    expect(await (await call(visitor, "DELETE")).json()).toEqual({ data: { erased: count } });
    expect(await (await call(visitor, "DELETE")).json()).toEqual({ data: { erased: 0 } });
  }
  expect(await eventsOf(t).distinct("device")).toEqual(["d3"]);
  expect(await sessionsOf(t).distinct("visitor")).toEqual(["d:d3"]);
  expect((await call("d1/events")).status).toBe(422);
  expect((await call("d:d1/events", "GET", manager.accessToken)).status).toBe(403);
});
