/**
 * Observations as OpenTelemetry spans and metrics: `@cyphr/e2ee/otel`. Needs no package: pass the tracer and the meter of the
 * `@opentelemetry/api` that your application uses (1.9 or later).
 */

import type { Observation } from './client/types.js';

/** The part of OpenTelemetry's `Span` that is used. */
interface Span {
  setStatus(status: { code: number; message?: string }): unknown;
  end(endTime?: number): void;
}
/** The part of OpenTelemetry's `Tracer` that is used. */
export interface Tracer {
  startSpan(name: string, options?: { startTime?: number; attributes?: Record<string, string | number> }): Span;
}
/** The part of OpenTelemetry's `Meter` that is used. */
export interface Meter {
  createHistogram(name: string, options?: { unit?: string }): { record(value: number, attributes?: Record<string, string | number>): void };
  createGauge(name: string): { record(value: number): void };
  createCounter(name: string): { add(value: number, attributes?: Record<string, string | number>): void };
}

/** `SpanStatusCode.ERROR`. */
const STATUS_ERROR = 2;

/**
 * Makes the `observe` hook that reports to OpenTelemetry: spans `cyphr.<name>` with their duration in the histogram
 * `cyphr.duration` (ms), gauges `cyphr.<name>`, and log records as the counter `cyphr.events`. Like the observations, it sees no
 * ids, keys or content.
 *
 * @example
 * createClient({ …, observe: otelObserver({ tracer: trace.getTracer('app'), meter: metrics.getMeter('app') }) });
 */
export function otelObserver({ tracer, meter }: { readonly tracer: Tracer; readonly meter: Meter }): (record: Observation) => void {
  const duration = meter.createHistogram('cyphr.duration', { unit: 'ms' });
  const events = meter.createCounter('cyphr.events');
  const gauges = new Map<string, ReturnType<Meter['createGauge']>>();
  return (record) => {
    if (record.kind === 'log') {
      events.add(1, { event: record.event, level: record.level, ...(record.code === undefined ? {} : { code: record.code }) });
    } else if (record.kind === 'gauge') {
      const gauge = gauges.get(record.name) ?? meter.createGauge(`cyphr.${record.name}`);
      gauges.set(record.name, gauge);
      gauge.record(record.value);
    } else {
      const { name, startMs, durationMs, outcome, correlation, paddedBytes, deviceCount } = record;
      const attributes: Record<string, string | number> = { correlation, outcome };
      if (paddedBytes !== undefined) attributes['padded_bytes'] = paddedBytes;
      if (deviceCount !== undefined) attributes['device_count'] = deviceCount;
      const span = tracer.startSpan(`cyphr.${name}`, { startTime: startMs, attributes });
      if (outcome !== 'ok') span.setStatus({ code: STATUS_ERROR, message: outcome });
      span.end(startMs + durationMs);
      duration.record(durationMs, { name, outcome });
    }
  };
}
