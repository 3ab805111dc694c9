import { beforeEach, describe, expect, test } from "bun:test";
import { useTestApp } from "../../test/app";
import { acceptedLanguage, durationFor, TEXTS, timeFor } from "./reader";
import { sampleMails } from "./templates";

const t = useTestApp();
beforeEach(() => {
  t.mails.length = 0;
});
const post = (path: string, json: unknown, language?: string, token?: string) =>
  t.request(path, {
    method: "POST",
    json,
    ...(token === undefined ? {} : { token }),
    headers: language === undefined ? {} : { "accept-language": language },
  });
const mailed = async () => {
  await t.runner.runDue();
  return t.mails.splice(0);
};

describe("the language of mails", () => {
  test("is the request's for somebody who chose none, and English where it is none of ours", async () => {
    const register = (email: string, language?: string) =>
      post("/auth/register", { email, password: "correct horse", name: "Ann" }, language);
    const subjects = [];
    for (const [n, language] of ["de-AT,en;q=0.5", "en", "fr", undefined, "<script>"].entries()) {
      await register(`reader-${n}@example.com`, language);
      subjects.push((await mailed())[0]?.subject);
    }
    expect(subjects).toEqual(["Ihr Code", "Your code", "Your code", "Your code", "Your code"]);
  });

  test("and their time zone are as they chose, whoever asks", async () => {
    const person = await t.signIn({ name: "Zoë" });
    await t.request("/api/users/me/preferences", {
      method: "PATCH",
      json: { language: "de-CH", timeZone: "Europe/Zurich" },
      token: person.accessToken,
    });
    t.clock.set("2026-12-31T23:30:00Z");
    const login = { email: person.email, password: person.password };
    const { accessToken } = (await (await post("/auth/login", login, "en")).json()).data;
    await post("/auth/forgot-password", { email: person.email }, "en");
    const asked = await mailed();
    const change = { currentPassword: person.password, newPassword: "another one of tests" };
    await post("/auth/change-password", change, "en", accessToken);
    const mails = [...asked, ...(await mailed())];
    expect(mails.map(({ subject }) => subject).sort()).toEqual([
      "Ihr Passwort wurde geändert",
      "Neues Passwort setzen",
    ]);
    const notice = mails.find(({ subject }) => subject.includes("geändert"));
    expect(notice?.text).toContain("1. Januar 2027");
    expect(notice?.text).toContain("00:30:00 MEZ");
    expect(notice?.html).toContain('<html lang="de">');
  });

  test("each mail says the same in text and HTML, in every language, and no value is left out or unescaped", async () => {
    const now = t.clock.now();
    const counts = [];
    for (const language of Object.keys(TEXTS) as (keyof typeof TEXTS)[]) {
      const mails = await sampleMails({ language, timeZone: "UTC" }, now);
      counts.push(mails.length);
      for (const { subject, text, html } of mails) {
        expect([subject, `${text}${html}`]).toEqual([
          subject,
          expect.not.stringMatching(/undefined|\[object|NaN/),
        ]);
        expect(html).toContain(`<html lang="${language}">`);
        for (const value of ["048151", "#token=abc", "192.0.2.1", "new@example.com"]) {
          expect([subject, value, html.includes(value)]).toEqual([subject, value, text.includes(value)]);
        }
      }
    }
    expect(new Set(counts).size).toBe(1);
  });
});

test("Accept-Language is read by its qualities", () => {
  for (const [header, language] of [
    ["fr, de-CH;q=0.8, en;q=0.5", "de"],
    ["en-US,de", "en"],
    ["de;q=0, en;q=0.1", "en"],
    ["constructor, __proto__", undefined],
    ["de;q=x", undefined],
    ["", undefined],
  ] as const) {
    expect([header, acceptedLanguage(header)]).toEqual([header, language]);
  }
  expect(acceptedLanguage(undefined)).toBeUndefined();
});

test("times and durations are as people of a language write them", () => {
  const time = new Date("2026-07-01T12:00:00Z");
  expect(timeFor({ language: "en", timeZone: "UTC" }, time)).toBe("1 July 2026 at 12:00:00 UTC");
  expect(timeFor({ language: "de", timeZone: "Europe/Berlin" }, time)).toContain("1. Juli 2026");
  const [en, de] = [
    { language: "en", timeZone: "UTC" } as const,
    { language: "de", timeZone: "UTC" } as const,
  ];
  expect([1, 5, 60, 120, 1440, 4320].map((minutes) => durationFor(en, minutes))).toEqual([
    "1 minute",
    "5 minutes",
    "1 hour",
    "2 hours",
    "1 day",
    "3 days",
  ]);
  expect([5, 60, 4320].map((minutes) => durationFor(de, minutes))).toEqual([
    "5 Minuten",
    "einer Stunde",
    "3 Tagen",
  ]);
});
