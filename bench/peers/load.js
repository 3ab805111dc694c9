/**
 * node load.js < SPECIFICATION — sends requests with autocannon and prints what came of them as JSON. It runs in a
 * process of its own, so that its work is neither the server's nor the benchmark's.
 *
 * The specification is JSON: url, method, headers, body (base64: in that form), connections, seconds, rate (requests a
 * second; absent: as many as are answered), unique (`[n]` in path, headers and body becomes a number of each request,
 * `[account]` one below accounts, and `[KIND]` each of each[KIND] in turn), next (`[next]` becomes one of each.next that
 * no request has, and the answer's field of this name takes its place).
 */
import { readFileSync } from "node:fs";
import autocannon from "autocannon";

const {
  url,
  method,
  headers = {},
  body,
  connections,
  seconds,
  rate,
  unique,
  accounts,
  each: { next: waiting = [], ...each } = {},
  next,
  base64,
} = JSON.parse(readFileSync(0, "utf8"));
const run = Math.random().toString(36).slice(2, 8);
let count = 0;
const { pathname, search } = new URL(url);
const bytes = base64 ? Buffer.from(body, "base64") : undefined;
const fresh = (text) =>
  Object.entries(each).reduce(
    (whole, [kind, values]) => whole.replaceAll(`[${kind}]`, values[count % values.length]),
    text.replaceAll("[n]", `${run}${count}`).replaceAll("[account]", String(count % accounts)),
  );
const setupRequest = (request) => {
  count++;
  const token = next === undefined ? "" : waiting.shift();
  return {
    ...request,
    path: fresh(pathname + search),
    headers: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, fresh(value)])),
    ...(body === undefined ? {} : { body: bytes ?? fresh(body).replace("[next]", token) }),
  };
};
const onResponse = (status, answer) => {
  if (status < 400) waiting.push(JSON.parse(answer).data[next]);
};
let firstRefusal;
const instance = autocannon({
  url,
  connections,
  duration: seconds,
  ...(rate === undefined ? {} : { overallRate: rate }),
  requests: [
    {
      ...{ method, path: pathname + search, headers, body: bytes ?? body },
      ...(unique ? { setupRequest } : {}),
      ...(next === undefined ? {} : { onResponse }),
    },
  ],
});
instance.on("response", (_client, status) => {
  if (status >= 400) firstRefusal ??= status;
});
const result = await instance;
console.log(
  JSON.stringify({
    count: result.requests.total,
    seconds: result.duration,
    p50: result.latency.p50,
    p99: result.latency.p99,
    refused: result.non2xx + result.errors + result.timeouts,
    firstRefusal,
  }),
);
