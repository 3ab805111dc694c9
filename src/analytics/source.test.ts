import { describe, expect, test } from "bun:test";
import { type Channel, channelOf, sourceOf } from "./intake/source";

const HOSTS = { own: ["shop.example"], ignored: ["paypal.com"] };
const of = (address: string, referrer = "", campaign = {}) =>
  sourceOf({ address, referrer: URL.parse(referrer) }, campaign, HOSTS);
const SHOP = "https://www.shop.example/lamps";

describe("where a visit came from", () => {
  test("click ids are paid, whatever the referrer; a campaign says more than they do", () => {
    for (const [id, source] of [
      ["gclid", "google"],
      ["GBRAID", "google"],
      ["wbraid", "google"],
      ["msclkid", "bing"],
      ["ttclid", "tiktok"],
      ["ScCid", "snapchat"],
    ]) {
      expect(of(`${SHOP}?${id}=abc`, "https://www.google.com/")).toBe(`${source} / cpc`);
    }
    expect(of(`${SHOP}?gclid=`, "https://www.google.com/")).toBe("google / organic");
    expect(of(`${SHOP}?gclid=%20`, "https://www.google.com/")).toBe("google / organic");
    // On every link that leaves the network, paid or not: apps send no referrer.
    expect(of(`${SHOP}?fbclid=x`)).toBe("facebook / social");
    expect(of(`${SHOP}?gclid=x&utm_source=Brand&utm_medium=CPC`)).toBe("brand / cpc");
  });

  test("campaigns count whatever their case and spaces", () => {
    for (const query of [
      "utm_source=News%20Letter&utm_medium=Email",
      "UTM_Source=%20news++letter%0a&utm_medium=+email+",
    ])
      expect(of(`${SHOP}?${query}`)).toBe("news letter / email");
    expect(of(SHOP, "", { source: " News  Letter", medium: "EMAIL " })).toBe("news letter / email");
    expect(of(`${SHOP}?utm_source=%20`, "https://a.example/")).toBe("a.example / referral");
  });

  test("search engines are their search pages, not their mail and accounts, nor what looks like them", () => {
    for (const host of ["www.google.com", "google.co.uk", "www.google.de", "m.google.fr", "GOOGLE.COM."])
      expect([host, of(SHOP, `https://${host}/`)]).toEqual([host, "google / organic"]);
    expect(of(SHOP, "https://de.search.yahoo.com/")).toBe("yahoo / organic");
    expect(of(SHOP, "https://search.brave.com/")).toBe("brave / organic");
    for (const host of ["l.facebook.com", "www.facebook.com", "facebook.com"])
      expect(of(SHOP, `https://${host}/`)).toBe("facebook / social");
    for (const host of ["pinterest.co.uk", "www.pinterest.de", "in.pinterest.com"])
      expect(of(SHOP, `https://${host}/`)).toBe("pinterest / social");
    for (const host of [
      "mail.google.com",
      "accounts.google.com",
      "docs.google.com",
      "mail.yahoo.com",
      "login.yahoo.com",
      "google.evil.example",
      "google.com.evil.example",
      "notgoogle.com",
      "google.example",
      "bing.evil.com",
      "duckduckgo.com.evil.net",
      "brave.com",
      "mfacebook.com",
      "lfacebook.com",
      "facebook.com.evil.net",
      "pinterest.zone",
      "notpinterest.com",
      "x.com.evil.net",
    ])
      expect([host, of(SHOP, `https://${host}/`)]).toEqual([host, `${host} / referral`]);
  });

  test("own hosts and their sub-domains are internal, and so is coming back from a payment", () => {
    for (const host of [
      "shop.example",
      "www.shop.example",
      "checkout.shop.example",
      "www.paypal.com",
      "paypal.com",
    ])
      expect([host, of(SHOP, `https://${host}/`)]).toEqual([host, "internal"]);
    for (const host of ["myshop.example", "notpaypal.com", "shop.example.evil.com"])
      expect([host, of(SHOP, `https://${host}/`)]).toEqual([host, `${host} / referral`]);
    expect(of(SHOP)).toBe("direct");
  });

  test("channels", () => {
    const channels: [string, Channel][] = [
      ["direct", "direct"],
      ["google / organic", "organic_search"],
      ["google / cpc", "paid_search"],
      ["facebook / cpc", "paid_social"],
      ["facebook / social", "organic_social"],
      ["newsletter / email", "email"],
      ["partner / affiliate", "affiliate"],
      ["adnet / display", "display"],
      ["news.example / referral", "referral"],
      ["flyer / qr", "other"],
    ];
    for (const [source, channel] of channels) expect([source, channelOf(source)]).toEqual([source, channel]);
  });
});
