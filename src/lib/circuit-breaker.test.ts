import { expect, test } from "bun:test";
import { createCircuitBreaker } from "./circuit-breaker";

function watched() {
  const it = { now: 0, said: [] as boolean[] };
  const breaker = createCircuitBreaker(
    (isOpen) => it.said.push(isOpen),
    () => it.now,
  );
  return Object.assign(it, { breaker });
}

test("opens for a second, then twice as long after each failure, up to half a minute", () => {
  const it = watched();
  const { breaker } = it;
  expect(breaker.state()).toBe("closed");
  for (const seconds of [1, 2, 4, 8, 16, 30, 30]) {
    breaker.failed(it.now);
    it.now += seconds * 1000 - 1;
    expect(breaker.state()).toBe("open");
    it.now += 1;
    expect(breaker.state()).toBe("half-open");
  }
  breaker.succeeded();
  expect(breaker.state()).toBe("closed");
  breaker.failed(it.now);
  it.now += 1000;
  expect(breaker.state()).toBe("half-open");
  expect(it.said).toEqual([true, false, true]);
});

test("calls that were under way when it opened say nothing new", () => {
  const it = watched();
  it.now = 10_000;
  for (const began of [0, 1500, 9999]) it.breaker.failed(began);
  it.now += 1000;
  expect(it.breaker.state()).toBe("half-open");
});
