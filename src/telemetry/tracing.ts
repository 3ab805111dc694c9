/** Traces by OpenTelemetry: one span a request, sent to the collector that OTEL_EXPORTER_OTLP_ENDPOINT names. */
import { ROOT_CONTEXT, SpanKind, SpanStatusCode } from "@opentelemetry/api";
import { W3CTraceContextPropagator } from "@opentelemetry/core";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BatchSpanProcessor, TracerProvider } from "@opentelemetry/sdk-trace";

/** How long a stopping process tries to send its last spans, in milliseconds. */
const CLOSE_LIMIT = 2000;

export interface Tracing {
  /**
   * Begins the span of a request, inside the caller's trace when `header` gives a valid `traceparent`.
   * @returns to be called once, when it has been answered
   */
  request(
    header: (name: string) => string | undefined,
  ): (answered: { method: string; route: string; status: number; requestId: string }) => void;
  /** Sends what is left, for two seconds at most. */
  close(): Promise<void>;
}

/**
 * @param endpoint of OTLP over HTTP, such as http://localhost:4318; spans go to `/v1/traces` there. A collector
 *   that does not answer costs spans, never a request
 */
export function createTracing(endpoint: string): Tracing {
  const exporter = new OTLPTraceExporter({ url: `${endpoint.replace(/\/$/, "")}/v1/traces` });
  const provider = new TracerProvider({
    resource: resourceFromAttributes({ "service.name": "aizy-backend" }),
    spanProcessors: [new BatchSpanProcessor({ exporter })],
  });
  const tracer = provider.getTracer("aizy-backend");
  const propagator = new W3CTraceContextPropagator();
  return {
    request(header) {
      const parent = propagator.extract(ROOT_CONTEXT, header, {
        get: (read, name) => read(name),
        keys: () => [],
      });
      const span = tracer.startSpan("request", { kind: SpanKind.SERVER }, parent);
      return ({ method, route, status, requestId }) => {
        span.updateName(`${method} ${route}`);
        // The route's own path and not the URL: that may hold what people typed.
        span.setAttributes({
          "http.request.method": method,
          "http.route": route,
          "http.response.status_code": status,
          "aizy.request_id": requestId,
        });
        if (status >= 500) span.setStatus({ code: SpanStatusCode.ERROR });
        span.end();
      };
    },
    async close() {
      const limit = new Promise((resolve) => setTimeout(resolve, CLOSE_LIMIT).unref());
      // What a collector does not take is lost; the exporter would try again for ten seconds, and then throw.
      await Promise.race([provider.shutdown().catch(() => undefined), limit]);
    },
  };
}
