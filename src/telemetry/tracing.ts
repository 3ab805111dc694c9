/** Traces by OpenTelemetry, sent to the collector that OTEL_EXPORTER_OTLP_ENDPOINT names. */
import { type Context, ROOT_CONTEXT, type Span, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import { W3CTraceContextPropagator } from "@opentelemetry/core";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BatchSpanProcessor, TracerProvider } from "@opentelemetry/sdk-trace";
import { currentScope, inScope, type Scope } from "./scope";

/** How long a stopping process tries to send its last spans, in milliseconds. */
const CLOSE_LIMIT = 2000;

/** A job, as far as its span tells of it. */
interface TracedJob {
  id: string;
  kind: string;
  attempts: number;
  requestId: string | null;
  traceparent: string | null;
}

export interface Tracing {
  /**
   * Begins the span of a request, inside the caller's trace when `header` gives a valid `traceparent`.
   * @returns what goes into the request's scope, and what is called once, when it has been answered
   */
  request(header: (name: string) => string | undefined): {
    scope: Pick<Scope, "span" | "traceparent">;
    end(answered: { method: string; route: string; status: number; requestId: string }): void;
  };
  /** Runs a job in a span inside the trace of what enqueued it. */
  job<T>(job: TracedJob, work: () => Promise<T>): Promise<T>;
  /** Runs a call of a store in a span inside that of the request or job. What gives no promise has none. */
  call<T>(name: string, work: () => T): T;
  /** Sends what is left, for two seconds at most. */
  close(): Promise<void>;
}

const traceparentOf = (span: Span): string => {
  const { traceId, spanId, traceFlags } = span.spanContext();
  return `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, "0")}`;
};

/** The name of an error and not its text: that may hold what people typed. */
function fail(span: Span, error: unknown): void {
  span.setAttribute("error.type", error instanceof Error ? error.name : "unknown");
  span.setStatus({ code: SpanStatusCode.ERROR });
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
  const inside = (header: (name: string) => string | undefined): Context =>
    propagator.extract(ROOT_CONTEXT, header, { get: (read, name) => read(name), keys: () => [] });
  return {
    request(header) {
      const span = tracer.startSpan("request", { kind: SpanKind.SERVER }, inside(header));
      return {
        scope: { span, traceparent: traceparentOf(span) },
        end({ method, route, status, requestId }) {
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
        },
      };
    },
    async job({ id, kind, attempts, requestId, traceparent }, work) {
      const parent = inside((name) => (name === "traceparent" ? (traceparent ?? undefined) : undefined));
      const attributes = {
        "aizy.job_id": id,
        "aizy.job_attempt": attempts,
        ...(requestId === null ? {} : { "aizy.request_id": requestId }),
      };
      const span = tracer.startSpan(`job ${kind}`, { kind: SpanKind.CONSUMER, attributes }, parent);
      try {
        return await inScope({ requestId, job: id, span, traceparent: traceparentOf(span) }, work);
      } catch (error) {
        fail(span, error);
        throw error;
      } finally {
        span.end();
      }
    },
    call<T>(name: string, work: () => T): T {
      const above = currentScope()?.span;
      if (above === undefined) return work();
      const span = tracer.startSpan(name, { kind: SpanKind.CLIENT }, trace.setSpan(ROOT_CONTEXT, above));
      const made = work();
      if (typeof (made as { then?: unknown } | null | undefined)?.then !== "function") return made;
      // Queries of both libraries begin when somebody waits for them, and again when another does.
      const running = Promise.resolve(made);
      // Beside the promise that is given on: what it rejects with is for who awaits that one.
      running.then(
        () => span.end(),
        (error) => {
          fail(span, error);
          span.end();
        },
      );
      return running as T;
    },
    async close() {
      const limit = new Promise((resolve) => setTimeout(resolve, CLOSE_LIMIT).unref());
      // What a collector does not take is lost; the exporter would try again for ten seconds, and then throw.
      await Promise.race([provider.shutdown().catch(() => undefined), limit]);
    },
  };
}
