import { beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { anEvent, emptyAnalytics, sent } from "../../test/analytics";
import { type SignedInPerson, useTestApp } from "../../test/app";
import { documentsRead, type Explainable } from "../../test/explain";
import { eventually, type ServerProcess, startServer } from "../../test/processes";
import { HOUR, MINUTE } from "../lib/clock";
import { EVENT_LIST_INDEX, RECEIVED_INDEX } from "./events.store";
import { type LiveMessage, live, liveIdOf, maskPath } from "./live";
import { analyticsSessionModel, eventModel } from "./model";
import type { EventResponse, SessionResponse } from "./sessions/schema";
import { sessionListIndex } from "./sessions.store";
import { settle } from "./settle";

const t = useTestApp();
let manager: SignedInPerson;
beforeAll(async () => {
  manager = await t.signIn({ roles: ["manager"] });
});
beforeEach(() => emptyAnalytics(t));

const get = (path: string, headers: Record<string, string> = {}) =>
  t.request(`/api/analytics/${path}`, { token: manager.accessToken, headers });

interface Page<Row> {
  data: Row[];
  page: { nextCursor: string | null; hasMore: boolean };
}

async function page<Row>(path: string): Promise<Page<Row>> {
  const answer = await get(path);
  expect([path, answer.status]).toEqual([path, 200]);
  return (await answer.json()) as Page<Row>;
}

describe("live", () => {
  const FAST = { every: 5, summaryEvery: 60_000 };

  /** Watches until `enough` says so. @returns the ids of the events that were shown */
  async function watch(enough: (ids: string[]) => boolean, resume?: string): Promise<string[]> {
    const ids: string[] = [];
    const end = new AbortController();
    for await (const { event, data } of live(t.deps, end.signal, resume, FAST)) {
      if (event === "events") ids.push(...(JSON.parse(data) as { id: string }[]).map(({ id }) => id));
      if (enough(ids)) end.abort();
    }
    return ids;
  }

  test("shows each event once, as it comes, and nothing that tells who it was", async () => {
    const messages: LiveMessage[] = [];
    const end = new AbortController();
    const mine = Array.from({ length: 40 }, () =>
      anEvent({ anonymousId: "secret-device", userId: "secret-person", properties: { product_id: "p1" } }),
    );
    const watching = (async () => {
      for await (const message of live(t.deps, end.signal, undefined, FAST)) messages.push(message);
    })();
    for (let index = 0; index < mine.length; index += 10) {
      await sent(t, { batch: mine.slice(index, index + 10) });
      t.clock.advance(7);
    }
    const shown = () =>
      messages
        .filter(({ event }) => event === "events")
        .flatMap(({ data }) => JSON.parse(data) as { id: string; productId: string }[]);
    while (shown().length < mine.length) await Bun.sleep(5);
    await Bun.sleep(30);
    end.abort();
    await watching;
    expect(
      shown()
        .map(({ id }) => id)
        .sort(),
    ).toEqual(mine.map(({ messageId }) => liveIdOf(messageId)).sort());
    expect(JSON.stringify(messages)).not.toContain("secret");
    expect(JSON.parse(messages[0]?.data ?? "")).toMatchObject({ minutes: 5, people: { visitors: 0 } });
  });

  test("tells no title, path or id that names somebody, and counts the minutes in which something happened", async () => {
    const events = [
      { type: "page", event: undefined, name: "Letters to ann", path: "/users/ann" },
      { type: "page", event: undefined, messageId: "ann-1", path: "/lamps/ann@shop.example/x9" },
      { event: "Mailed ann", path: "/account/reset/ann" },
      {
        properties: { product_id: "ann@shop.example" },
        context: { campaign: { source: "ann@shop.example" } },
      },
    ].map(({ path, ...more }) => anEvent({ context: { page: { path, title: "For ann" } }, ...more }));
    await sent(t, { batch: events });
    const old = new Date(t.clock.now().getTime() - 20 * MINUTE).toISOString();
    await sent(t, { batch: [anEvent({ anonymousId: "late", timestamp: old })] });
    const messages: string[] = [];
    const end = new AbortController();
    for await (const { event, data } of live(t.deps, end.signal, undefined, FAST)) {
      messages.push(data);
      if (event === "events") end.abort();
    }
    expect(JSON.stringify(messages)).not.toContain("ann");
    expect(JSON.parse(messages[0] ?? "")).toMatchObject({ people: { visitors: 1, events: 4 } });
    expect(maskPath("/lamps/table-lamps/LMP-7")).toBe("/lamps/table-lamps/*");
  });

  test("goes on after the last id that a client has seen", async () => {
    const early = anEvent();
    await sent(t, { batch: [early] });
    const id = String(t.clock.now().getTime());
    t.clock.advance(4 * MINUTE);
    const late = anEvent();
    await sent(t, { batch: [late] });
    expect(await watch((ids) => ids.length >= 2, id)).toEqual(
      [early, late].map(({ messageId }) => liveIdOf(messageId)),
    );
    expect(await watch((ids) => ids.length >= 1, "not an id")).toEqual([liveIdOf(late.messageId)]);
  });

  /** A live view over HTTP, read until something is in it or it ends. */
  async function open(token: string, address?: string) {
    const init = { headers: { authorization: `Bearer ${token}` } };
    const answer = await (address
      ? fetch(`${address}/api/analytics/live`, init)
      : t.request("/api/analytics/live", init));
    expect(answer.status).toBe(200);
    expect(answer.headers.get("content-type")).toContain("text/event-stream");
    const reader = answer.body?.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    return {
      async until(pattern: RegExp): Promise<string> {
        while (!pattern.test(text)) {
          const next = await reader?.read();
          if (!next || next.done) throw new Error(`the stream ended before ${pattern}: ${text}`);
          text += next.value;
        }
        return text;
      },
      async ended(): Promise<string> {
        for (let next = await reader?.read(); next && !next.done; next = await reader?.read())
          text += next.value;
        return text;
      },
      close: () => reader?.cancel(),
    };
  }

  test("is server-sent events over HTTP, with a summary again and again so that no proxy ends it", async () => {
    await sent(t, { batch: [anEvent()] });
    const view = await open(manager.accessToken);
    expect(await view.until(/event: events/)).toStartWith("event: summary\ndata: {");
    await view.until(/event: summary[\s\S]*event: summary/);
    await view.close();
  }, 60_000);

  test("ends when the session does, when the role goes, and when the key is revoked", async () => {
    const people = await Promise.all([1, 2, 3].map(() => t.signIn({ roles: ["manager"] })));
    const [leaves, loses, revokes] = people as [SignedInPerson, SignedInPerson, SignedInPerson];
    const made = await t.request("/auth/api-keys", {
      method: "POST",
      json: { name: "Wall", permissions: ["analytics:read"], password: revokes.password },
      token: revokes.accessToken,
    });
    const key = ((await made.json()) as { data: { id: string; key: string } }).data;
    const views = await Promise.all(
      [leaves.accessToken, loses.accessToken, key.key, manager.accessToken].map((token) => open(token)),
    );
    await Promise.all(views.map((view) => view.until(/event: summary/)));
    await t.request("/auth/logout", { method: "POST", token: leaves.accessToken });
    await t.deps.mysql.on().userRole.deleteMany({ where: { userId: loses.id, role: { name: "manager" } } });
    await t.request(`/auth/api-keys/${key.id}`, { method: "DELETE", token: revokes.accessToken });
    const [first, second, third, stays] = views;
    for (const view of [first, second, third]) expect(await view?.ended()).not.toContain("event: error");
    // Whoever still may goes on: another summary comes.
    await stays?.until(/event: summary[\s\S]*event: summary/);
    await stays?.close();
  }, 60_000);

  test("as many as one process serves, and no more; HEAD and what was closed hold no place", async () => {
    for (let index = 0; index < 60; index++) {
      const head = await t.request("/api/analytics/live", { method: "HEAD", token: manager.accessToken });
      expect([head.status, head.headers.get("content-type")]).toEqual([200, "text/event-stream"]);
    }
    const views = await Promise.all(Array.from({ length: 50 }, () => open(manager.accessToken)));
    const refused = await get("live");
    expect(refused.status).toBe(429);
    expect(refused.headers.get("retry-after")).toBe("30");
    await Promise.all(views.map((view) => view.close()));
    await eventually(async () => {
      const answer = await get("live");
      await answer.body?.cancel();
      return answer.status === 200;
    }, "a place that is free again");
  }, 60_000);

  test("shows what another process received, and ends when its own stops", async () => {
    const servers = await Promise.all([startServer(), startServer()]);
    try {
      const [watched, other] = servers as [ServerProcess, ServerProcess];
      const { accessToken } = await t.signIn({ roles: ["manager"] });
      const view = await open(accessToken, watched.address);
      await view.until(/event: summary/);
      const one = anEvent({ anonymousId: "secret-device" });
      const answer = await fetch(`${other.address}/api/analytics/events`, {
        method: "POST",
        headers: { "content-type": "text/plain;charset=UTF-8" },
        body: JSON.stringify({ batch: [one] }),
      });
      expect(answer.status).toBe(202);
      await view.until(new RegExp(liveIdOf(one.messageId)));
      const ended = view.ended();
      expect(await watched.kill("SIGTERM")).toBe(0);
      expect(await ended).not.toContain("secret");
    } finally {
      await Promise.all(servers.map((server) => server.kill("SIGTERM")));
    }
  }, 120_000);
});

describe("sessions over HTTP", () => {
  test("are listed in pages, each once, and read with their events", async () => {
    const now = t.clock.now().getTime();
    const batch = Array.from({ length: 25 }, (_, index) =>
      anEvent({
        anonymousId: `d${index % 5}`,
        timestamp: new Date(now - (index + 1) * HOUR).toISOString(),
        properties: { $x: index },
      }),
    );
    await sent(t, { batch });
    await settle(t.deps);
    const seen: SessionResponse[] = [];
    let cursor: string | null = "";
    while (cursor !== null) {
      const { data, page: next }: Page<SessionResponse> = await page(
        `sessions?limit=4${cursor && `&cursor=${cursor}`}`,
      );
      seen.push(...data);
      cursor = next.nextCursor;
    }
    expect(seen).toHaveLength(25);
    expect(new Set(seen.map(({ id }) => id)).size).toBe(25);
    expect(seen.map(({ start }) => start)).toEqual(
      seen
        .map(({ start }) => start)
        .sort()
        .toReversed(),
    );
    const own = await page<SessionResponse>("sessions?visitor=d:d3&limit=100");
    expect(own.data).toHaveLength(5);
    const [session] = own.data;
    const events = await page<EventResponse>(`sessions/${session?.id}/events`);
    expect(events.data.map(({ properties }) => properties)).toEqual([{ $x: 3 }]);
    expect((await get(`sessions/${session?.id}`)).status).toBe(200);
    expect((await get(`sessions/${"0".repeat(32)}`)).status).toBe(404);
    expect((await get("sessions/..%2f")).status).toBe(422);
  }, 60_000);

  test("reads a page, however many there are", async () => {
    const now = t.clock.now().getTime();
    for (let batch = 0; batch < 2; batch++) {
      const events = Array.from({ length: 300 }, (_, index) =>
        anEvent({
          anonymousId: `many-${batch}-${index}`,
          timestamp: new Date(now - index * HOUR).toISOString(),
        }),
      );
      await sent(t, { batch: events });
    }
    await settle(t.deps);
    const { nextCursor } = (await page<SessionResponse>("sessions?limit=10")).page;
    expect(nextCursor).toBeString();
    const Session = analyticsSessionModel(t.deps.mongo.connection);
    const Event = eventModel(t.deps.mongo.connection);
    const start = { $gte: new Date(now - 400 * HOUR), $lt: new Date(now + HOUR) };
    const sorted = { start: -1, _id: -1 } as const;
    const plans: Record<string, Explainable> = {
      sessions: Session.find({ bot: false, start })
        .sort(sorted)
        .hint(sessionListIndex({ bot: false })),
      "sessions of a visitor": Session.find({ visitor: "d:many-0-1", start })
        .sort(sorted)
        .hint(sessionListIndex({ visitor: "" })),
      "events of a session": Event.find({ visitor: "d:many-0-1", at: start })
        .sort({ at: 1, sequence: 1, _id: 1 })
        .hint(EVENT_LIST_INDEX),
      live: Event.find({ receivedAt: { $gte: new Date(now - HOUR) } })
        .sort({ receivedAt: -1, _id: -1 })
        .hint(RECEIVED_INDEX),
    };
    for (const [name, query] of Object.entries(plans)) {
      expect([name, (await documentsRead(query, 11)) <= 2 * 11]).toEqual([name, true]);
    }
  }, 90_000);

  test("a cursor is good for its own list only", async () => {
    await sent(t, { batch: [anEvent({ anonymousId: "a" }), anEvent({ anonymousId: "b" })] });
    const { nextCursor } = (await page<SessionResponse>("sessions?limit=1")).page;
    expect((await get(`sessions?limit=1&traffic=bots&cursor=${nextCursor}`)).status).toBe(400);
    expect((await get(`sessions?limit=1&cursor=${nextCursor}x`)).status).toBe(400);
    expect((await get("sessions?visitor=$ne")).status).toBe(422);
    expect((await get("sessions?visitor[$ne]=x")).status).toBe(422);
  });
});
