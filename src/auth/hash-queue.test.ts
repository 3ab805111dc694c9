import { describe, expect, test } from "bun:test";
import { useTestApp } from "../../test/app";
import { codeOf } from "../../test/second-factor";
import { createFairQueue, type Requester } from "./hash-queue";

const stranger = (source: string): Requester => ({ source, known: false });
const device = (source: string): Requester => ({ source, known: true });

/** A queue whose work ends when it is told to, one piece at a time. */
function held(capacity: number) {
  const { inTurn } = createFairQueue(1, capacity);
  const started: string[] = [];
  const refused: string[] = [];
  let finish: (() => void) | undefined;
  const add = (by: Requester, name: string) =>
    inTurn(by, () => {
      started.push(name);
      return new Promise<void>((resolve) => {
        finish = resolve;
      });
    }).catch(() => {
      refused.push(name);
    });
  const drain = async (all: Promise<void>[]) => {
    const end = Promise.all(all).then(() => true);
    while (!(await Promise.race([end, Bun.sleep(0)]))) finish?.();
  };
  return { add, drain, started, refused };
}

describe("the queue of hashes", () => {
  test("sources take turns: whoever comes after a hundred of one source is next but one", async () => {
    const { add, drain, started } = held(200);
    const all = Array.from({ length: 100 }, (_, i) => add(stranger("flood"), `flood ${i}`));
    all.push(add(stranger("owner"), "owner"));
    await drain(all);
    expect(started.indexOf("owner")).toBe(2);
    expect(started).toHaveLength(101);
  });

  test("known devices go first, and strangers still get each fourth turn", async () => {
    const { add, drain, started } = held(200);
    const all = [add(stranger("a"), "first")];
    for (let i = 0; i < 4; i++) all.push(add(stranger(`s${i}`), "s"));
    for (let i = 0; i < 8; i++) all.push(add(device(`d${i}`), "d"));
    await drain(all);
    expect(started.slice(1).join("")).toBe("dddsdddsddss");
  });

  test("when it is full the longest line gives way, and a flood refuses only itself", async () => {
    const { add, drain, started, refused } = held(4);
    const all = Array.from({ length: 8 }, (_, i) => add(stranger("flood"), `flood ${i}`));
    all.push(add(stranger("owner"), "owner"), add(device("phone"), "phone"));
    await drain(all);
    expect(started).toContain("owner");
    expect(started[1]).toBe("phone");
    expect(refused).toHaveLength(5);
    expect(refused.every((name) => name.startsWith("flood"))).toBe(true);
  });

  test("is empty after work that failed", async () => {
    const { inTurn } = createFairQueue(1, 1);
    const failing = () => Promise.reject(new Error("no"));
    await Promise.allSettled([inTurn(stranger("a"), failing), inTurn(stranger("b"), failing)]);
    expect(await inTurn(stranger("c"), async () => "done")).toBe("done");
  });
});

describe("cheap refusals come first", () => {
  const t = useTestApp();

  test("ten confirmations at once with one code hash backup codes for one", async () => {
    const person = await t.signIn();
    const post = (path: string, json: unknown) =>
      t.request(`/auth/mfa/${path}`, { method: "POST", json, token: person.accessToken });
    const { secret } = (await (await post("enrol", { password: person.password })).json()).data;
    const code = codeOf(secret, t.clock.now());
    const { hash } = t.deps.passwords;
    let hashes = 0;
    t.deps.passwords.hash = (...given) => {
      hashes++;
      return hash(...given);
    };
    try {
      const answers = await Promise.all(Array.from({ length: 10 }, () => post("confirm", { code })));
      expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
      expect(hashes).toBe(10);
    } finally {
      t.deps.passwords.hash = hash;
    }
  });
});
