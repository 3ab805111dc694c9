import { describe, expect, test } from "bun:test";
import { useTestApp } from "../../test/app";
import { isPrivateAddress } from "../http/address";

const t = useTestApp();

const measurements = async () => {
  const answer = await t.request("/metrics");
  expect(answer.status).toBe(200);
  expect(answer.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
  return answer.text();
};
/** The value of the series with these labels, in any order of the labels. */
const seriesOf = (text: string, name: string, labels: Record<string, string>) => {
  const line = text
    .split("\n")
    .find(
      (row) =>
        row.startsWith(`${name}{`) &&
        Object.entries(labels).every(([label, value]) => row.includes(`${label}="${value}"`)),
    );
  return line === undefined ? undefined : Number(line.split(" ").at(-1));
};

describe("/metrics", () => {
  test("a histogram of requests by method, route and status", async () => {
    const labels = { method: "GET", route: "/api/products/:id", status: "404" };
    for (const id of ["01a00000-0000-7000-8000-000000000001", "01a00000-0000-7000-8000-000000000002"]) {
      expect((await t.request(`/api/products/${id}`)).status).toBe(404);
    }
    const text = await measurements();
    expect(text).toContain("# TYPE http_request_duration_seconds histogram");
    expect(seriesOf(text, "http_request_duration_seconds_count", labels)).toBe(2);
    expect(seriesOf(text, "http_request_duration_seconds_bucket", { ...labels, le: "+Inf" })).toBe(2);
    expect(seriesOf(text, "http_request_duration_seconds_sum", labels)).toBeGreaterThan(0);
    expect(text).toMatch(/^process_resident_memory_bytes \d{7,}$/m);
    expect(text).toMatch(/^process_cpu_seconds_total \d/m);
    expect(text).toMatch(/^aizy_processes 1$/m);
    // Itself: it is being answered.
    expect(text).toMatch(/^http_requests_in_flight 1$/m);
  });

  test("what a caller writes never becomes a label", async () => {
    for (const path of ["/nowhere-at-all", "/api/products/%22%7Devil", "/wp-login.php"])
      await t.request(path);
    await t.request("/api/products", { method: "PROPFIND" });
    const text = await measurements();
    expect(text).not.toMatch(/nowhere-at-all|evil|wp-login/i);
    expect(seriesOf(text, "http_request_duration_seconds_count", { method: "other" })).toBe(1);
  });

  test.each(["x-forwarded-for", "forwarded", "via"])(
    "through a proxy (%s) it is not there",
    async (header) => {
      const answer = await t.request("/metrics", { headers: { [header]: "10.0.0.1" } });
      expect(answer.status).toBe(404);
      expect(await answer.text()).not.toContain("http_request");
    },
  );

  test("for a caller from outside it is not there", async () => {
    const from = (address: string) =>
      t.app.request("/metrics", {}, { server: { requestIP: () => ({ address }) } });
    expect((await from("203.0.113.7")).status).toBe(404);
    expect((await from("2001:db8::1")).status).toBe(404);
    expect((await from("10.1.2.3")).status).toBe(200);
    expect((await from("::ffff:192.168.1.1")).status).toBe(200);
  });
});

test("private addresses", () => {
  for (const address of [
    "127.0.0.1",
    "10.255.0.1",
    "172.31.0.1",
    "192.168.0.9",
    "::1",
    "fd00::1",
    "fe80::1",
  ]) {
    expect(isPrivateAddress(address)).toBe(true);
  }
  for (const address of ["172.32.0.1", "11.0.0.1", "8.8.8.8", "2a00::1", "::2"]) {
    expect(isPrivateAddress(address)).toBe(false);
  }
});
