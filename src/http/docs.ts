import { join } from "node:path";
import type { Hono } from "hono";
import { generateSpecs } from "hono-openapi";
// Not the package itself, whose entry loads the whole page's code into the server (30 MB).
import absolutePath from "swagger-ui-dist/absolute-path.js";
import type { Deps } from "../deps";
import { ERRORS, type ErrorCode } from "../lib/errors";
import { compressed } from "./compress";
import { type AppEnv, factory } from "./factory";
import { problem } from "./problems";

/** The part of an operation of the document that is looked at here. */
interface Operation {
  requestBody?: object;
  parameters?: object[];
  responses: Record<number, object>;
}

const METHODS = ["get", "post", "put", "patch", "delete"] as const;

/** What any route that reads a part of the request may answer, whatever else it says of itself. */
const OF_BODIES: ErrorCode[] = ["malformed_json", "payload_too_large", "unsupported_media_type"];

/** Adds an answer that validation may give, where the route does not describe one with that status. */
function addProblem(operation: Operation, code: ErrorCode): void {
  const [status, title] = ERRORS[code];
  operation.responses[status] ??= {
    description: `${code}: ${title}`,
    content: { "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" } } },
  };
}

/** The OpenAPI document of an application. */
export async function openApiDocument(app: Hono<AppEnv>) {
  const document = await generateSpecs(app as unknown as Hono, {
    documentation: {
      openapi: "3.1.0",
      info: {
        title: "Aizy",
        version: "1",
        description:
          "A commerce backend. Success is `{ data }`; errors are RFC 9457 problem documents with a stable `code`.",
      },
      components: {
        securitySchemes: { bearer: { type: "http", scheme: "bearer", bearerFormat: "JWT" } },
      },
    },
    // It would be a 400, which here is a body that is no JSON.
    defaultValidationErrorResponse: false,
  });
  for (const path of Object.values(document.paths ?? {})) {
    for (const method of METHODS) {
      const operation = path?.[method] as Operation | undefined;
      if (operation === undefined) continue;
      if (operation.requestBody) for (const code of OF_BODIES) addProblem(operation, code);
      if (operation.requestBody || operation.parameters?.length) addProblem(operation, "invalid_input");
    }
  }
  return document;
}

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
export function docsRoutes(_deps: Deps, app: () => Hono<AppEnv>) {
  let document: ReturnType<typeof openApiDocument> | undefined;
  return factory
    .createApp()
    .get("/openapi.json", compressed(), async (c) => {
      document ??= openApiDocument(app());
      return c.json((await document) as object, 200);
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
      const type = ASSETS[asset];
      if (type === undefined) return problem(c, "not_found", "There is no such page of the documentation.");
      const body = asset === "start.js" ? START : await Bun.file(join(absolutePath(), asset)).arrayBuffer();
      return c.body(body, 200, { "Content-Type": type, "Cache-Control": "public, max-age=3600" });
    });
}
