import { describe, expect, test } from "bun:test";
import { useTestApp } from "../../test/app";
import { after } from "../lib/clock";
import { AppError } from "../lib/errors";
import { type IdempotencyStore, type IdempotentRequest, LEASE_MS } from "./idempotency";

const t = useTestApp();

const request = (change: Partial<IdempotentRequest> = {}): IdempotentRequest => ({
  callerId: "user:somebody",
  key: t.deps.random.id(),
  hash: new Uint8Array(32).fill(1),
  now: t.clock.now(),
  leaseToken: t.deps.random.id(),
  ...change,
});

for (const database of ["mysql", "mongo"] as const)
  describe(`idempotency keys in ${database}`, () => {
    const store = () => t.deps.idempotency[database] as IdempotencyStore<never>;

    test("a claim that is sent again, because its answer was lost, knows itself; another one waits", async () => {
      const own = request();
      expect(await store().claim(own)).toEqual({ state: "claimed" });
      expect(await store().claim(own)).toEqual({ state: "claimed" });
      const other = { ...own, leaseToken: t.deps.random.id() };
      expect(await store().claim(other)).toEqual({ state: "in_flight" });
      expect(await store().claim({ ...other, hash: new Uint8Array(32) })).toEqual({ state: "other_request" });
      await store().complete(own, { status: 201, body: { data: 1 } });
      expect(await store().claim(other)).toEqual({
        state: "done",
        answer: { status: 201, body: { data: 1 } },
      });
    });

    test("a lease that has ended is taken over once, and by one of many; the first holder records no more", async () => {
      const dead = request();
      expect(await store().claim(dead)).toEqual({ state: "claimed" });
      const now = after(dead.now, LEASE_MS);
      const rivals = Array.from({ length: 8 }, () => ({ ...dead, now, leaseToken: t.deps.random.id() }));
      const claims = await Promise.all(rivals.map((rival) => store().claim(rival)));
      expect(claims.filter(({ state }) => state === "claimed").length).toBe(1);
      expect(claims.filter(({ state }) => state === "in_flight").length).toBe(7);
      const winner = rivals[claims.findIndex(({ state }) => state === "claimed")] as IdempotentRequest;
      expect(await store().claim(winner)).toEqual({ state: "claimed" });
      const late = await store()
        .complete(dead, { status: 200, body: null })
        .catch((error) => error);
      expect(late).toBeInstanceOf(AppError);
      expect(late.code).toBe("conflict");
      await store().release(dead);
      await store().complete(winner, { status: 200, body: null });
    });

    test("many at once, ten for each key: each key is claimed by one of them", async () => {
      const keys = Array.from({ length: 20 }, () => t.deps.random.id());
      const claims = await Promise.all(
        Array.from({ length: 200 }, async (_, index) => {
          const key = keys[index % keys.length] ?? "";
          return { key, ...(await store().claim(request({ key }))) };
        }),
      );
      const claimed = claims.filter(({ state }) => state === "claimed").map(({ key }) => key);
      expect(claimed.toSorted()).toEqual(keys.toSorted());
      expect(claims.filter(({ state }) => state === "in_flight").length).toBe(180);
    });

    test("what is recorded stays: neither freed nor recorded anew", async () => {
      const own = request();
      await store().claim(own);
      await store().complete(own, { status: 200, body: "first" });
      await store().release(own);
      await expect(store().complete(own, { status: 409, body: "second" })).rejects.toThrow("conflict");
      expect(await store().claim({ ...own, leaseToken: t.deps.random.id() })).toEqual({
        state: "done",
        answer: { status: 200, body: "first" },
      });
    });
  });
