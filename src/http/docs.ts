import { join } from "node:path";
import type { Hono } from "hono";
// Not the package itself, whose entry loads the whole page's code into the server (30 MB).
import absolutePath from "swagger-ui-dist/absolute-path.js";
import { compressed } from "./compress";
import { type AppEnv, factory } from "./factory";
import { type OpenApiDocument, openApiDocument } from "./openapi";
import { problem } from "./problems";

const ASSETS: Record<string, string> = {
  "swagger-ui.css": "text/css; charset=utf-8",
  "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
  "start.js": "text/javascript; charset=utf-8",
};

const PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Aizy API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body style="margin:0">
<div id="docs"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
`;

const START = `SwaggerUIBundle({ url: "/openapi.json", dom_id: "#docs", deepLinking: true, tryItOutEnabled: true });\n`;

/** /openapi.json and /docs: served from here, so they work without the Internet and send nothing anywhere. */
export function docsRoutes(app: () => Hono<AppEnv>) {
  let document: OpenApiDocument | undefined;
  return factory
    .createApp()
    .get("/openapi.json", compressed(), (c) => {
      document ??= openApiDocument(app());
      return c.json(document as object, 200);
    })
    .get("/docs", (c) => {
      c.header(
        "Content-Security-Policy",
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'",
      );
      return c.html(PAGE, 200);
    })
    .get("/docs/:asset", compressed(), async (c) => {
      const asset = c.req.param("asset");
      const type = Object.hasOwn(ASSETS, asset) ? ASSETS[asset] : undefined;
      if (type === undefined) return problem(c, "not_found", "There is no such page of the documentation.");
      const body = asset === "start.js" ? START : await Bun.file(join(absolutePath(), asset)).arrayBuffer();
      return c.body(body, 200, { "Content-Type": type, "Cache-Control": "public, max-age=3600" });
    });
}
