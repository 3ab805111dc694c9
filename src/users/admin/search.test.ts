import { beforeAll, describe, expect, test } from "bun:test";
import { type SignedInPerson, useTestApp } from "../../../test/app";
import { planWords } from "../reindex";
import { termsOf, wordsOf } from "../words";

const t = useTestApp();
let admin: SignedInPerson;
beforeAll(async () => {
  admin = await t.signIn({ roles: ["admin"], email: "root@admin.example", name: "Root" });
  for (const [email, name] of [
    ["zoe@one.example", "Zoë Straße"],
    ["bo@b\u00fccher.example", "Bo Anders Olsen"],
    ["emoji@one.example", "🦊Fox 🎉Party"],
    ["wang@two.example", "王小明"],
    ["obrien@two.example", "Mary O'Brien-Smith"],
    ["greek@two.example", "Ωμέγα Άλφα"],
  ] as const) {
    await t.signIn({ email, name });
  }
});

const find = async (q: string, more = "") => {
  const found: string[] = [];
  for (let cursor = ""; ; ) {
    const answer = await t.request(`/api/users?q=${encodeURIComponent(q)}${more}${cursor}`, {
      token: admin.accessToken,
    });
    const { data, page } = await answer.json();
    found.push(...data.map(({ email }: { email: string }) => email.split("@")[0]));
    if (!page.nextCursor) return found.sort();
    cursor = `&cursor=${page.nextCursor}`;
  }
};

describe("a search for people", () => {
  test.each([
    ["STRASSE", ["zoe"]],
    ["strasse zoe", ["zoe"]],
    ["zoé", ["zoe"]],
    ["olsen", ["bo"]],
    ["anders bo", ["bo"]],
    ["🦊", ["emoji"]],
    ["fox", ["emoji"]],
    ["party", ["emoji"]],
    ["🎉par", ["emoji"]],
    ["小明", ["wang"]],
    ["王", ["wang"]],
    ["brien", ["obrien"]],
    ["o'bri", ["obrien"]],
    ["smith", ["obrien"]],
    ["ΑΛΦΑ", ["greek"]],
    ["two.example", ["greek", "obrien", "wang"]],
    ["@one.exa", ["emoji", "zoe"]],
    ["@BÜCHER", ["bo"]],
    ["@xn--bcher", ["bo"]],
    ["bo@bücher.example", ["bo"]],
    ["WANG@two", ["wang"]],
    ["olsen fox", []],
    ["lsen", []],
    ["%", []],
  ])("%s finds %p", async (q, found) => {
    expect(await find(q)).toEqual(found);
  });

  test("drops nobody and shows nobody twice, page by page", async () => {
    expect(await find("example", "&limit=1")).toEqual([
      "bo",
      "emoji",
      "greek",
      "obrien",
      "root",
      "wang",
      "zoe",
    ]);
    expect(await find("o", "&limit=1")).toEqual(["bo", "emoji", "obrien", "zoe"]);
  });

  test("follows a new name and a new address; people of an earlier version are found once their words are made", async () => {
    const person = await t.signIn({ email: "erika@three.example", name: "Erika Before" });
    const headers = { token: person.accessToken, method: "PATCH" };
    await t.request("/api/users/me", { ...headers, json: { name: "Erika After" } });
    expect([await find("erika after"), await find("erika before")]).toEqual([["erika"], []]);
    await t.deps.mysql.on().userWord.deleteMany({ where: { userId: person.id } });
    await t.deps.mysql.on().user.updateMany({ where: { id: person.id }, data: { wordsForm: 0 } });
    expect(await find("after")).toEqual([]);
    await planWords(t.deps);
    await t.runner.runDue();
    expect(await find("after")).toEqual(["erika"]);
  });

  test("words are whole, few and found by what they begin with", () => {
    const words = wordsOf("王".repeat(200), "a.b@c.example");
    expect(words.length).toBeLessThanOrEqual(300);
    expect(words.every((word) => word.isWellFormed() && word.length <= 64)).toBe(true);
    expect(wordsOf("Ann Lee", "ann@c.example")).toContain("@c.example");
    expect(termsOf("Lee, Ann")).toEqual(["lee", "ann"]);
  });
});
