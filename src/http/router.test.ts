import { expect, test } from "bun:test";
import fc from "fast-check";
import { TrieRouter } from "hono/router/trie-router";
import { LiteralRouter } from "./router";

const ROUTES = ["/", "/*", "/a", "/a/b", "/a/:id", "/a/:id/b", "/a/b/:id{[0-9]+}", "/a/b/c?", "/b/*", "/b/a"];

test("finds what Hono's own router finds, however often it is asked and whatever was added last", () => {
  const part = fc.constantFrom("a", "b", "c", "7", ":id", "*", "", "x y");
  const path = fc.array(part, { maxLength: 4 }).map((parts) => `/${parts.join("/")}`);
  const method = fc.constantFrom("GET", "POST", "ALL", "PROPFIND");
  const route = fc.tuple(fc.constantFrom("GET", "POST", "ALL"), fc.constantFrom(...ROUTES));
  const ask = fc.tuple(method, path);
  fc.assert(
    fc.property(fc.array(fc.tuple(route, fc.array(ask, { maxLength: 8 })), { maxLength: 12 }), (steps) => {
      const [ours, theirs] = [new LiteralRouter<string>(), new TrieRouter<string>()];
      for (const [index, [[method, path], questions]] of steps.entries()) {
        for (const router of [ours, theirs]) router.add(method, path, `${index} ${method} ${path}`);
        for (const [askedMethod, askedPath] of [...questions, ...questions]) {
          expect(ours.match(askedMethod, askedPath)).toEqual(theirs.match(askedMethod, askedPath));
        }
      }
    }),
  );
});
