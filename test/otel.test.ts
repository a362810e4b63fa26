import { createClient, type Observation } from '@cyphr/e2ee';
import { otelObserver } from '@cyphr/e2ee/otel';
import { memoryStore } from '@cyphr/e2ee/store/memory';
import { memoryNetwork } from '@cyphr/e2ee/transport/memory';
import { expect, test } from 'vitest';

/** Records what a tracer and a meter are told. */
function recorder() {
  const spans: { name: string; attributes: Record<string, string | number>; startTime: number; endTime: number; status: number }[] = [];
  const metrics: { name: string; value: number; attributes: Record<string, string | number> }[] = [];
  const metric =
    (name: string) =>
    (value: number, attributes: Record<string, string | number> = {}): void => {
      metrics.push({ name, value, attributes });
    };
  const tracer = {
    startSpan(name: string, { startTime = 0, attributes = {} } = {}) {
      const span = { name, attributes, startTime, endTime: 0, status: 0 };
      spans.push(span);
      return {
        setStatus: ({ code }: { code: number }) => {
          span.status = code;
        },
        end: (endTime = 0) => {
          span.endTime = endTime;
        },
      };
    },
  };
  const meter = {
    createHistogram: (name: string) => ({ record: metric(name) }),
    createGauge: (name: string) => ({ record: metric(name) }),
    createCounter: (name: string) => ({ add: metric(name) }),
  };
  return { spans, metrics, observe: otelObserver({ tracer, meter }) };
}

test('each kind of observation arrives', () => {
  const { spans, metrics, observe } = recorder();
  const records: Observation[] = [
    { kind: 'span', name: 'send', startMs: 100, durationMs: 5, outcome: 'ok', correlation: 'c1', paddedBytes: 512 },
    { kind: 'span', name: 'directory.fetch', startMs: 200, durationMs: 7, outcome: 'ERR_OFFLINE', correlation: 'c2', deviceCount: 2 },
    { kind: 'gauge', name: 'queued', value: 3 },
    { kind: 'gauge', name: 'queued', value: 2 },
    { kind: 'log', level: 'info', event: 'envelope-dropped', correlation: 'c3', code: 'ERR_DECRYPT' },
    { kind: 'log', level: 'debug', event: 'ack-failed', correlation: 'c4' },
  ];
  for (const record of records) observe(record);
  expect(spans).toEqual([
    { name: 'cyphr.send', attributes: { correlation: 'c1', outcome: 'ok', padded_bytes: 512 }, startTime: 100, endTime: 105, status: 0 },
    {
      name: 'cyphr.directory.fetch',
      attributes: { correlation: 'c2', outcome: 'ERR_OFFLINE', device_count: 2 },
      startTime: 200,
      endTime: 207,
      status: 2,
    },
  ]);
  expect(metrics).toEqual([
    { name: 'cyphr.duration', value: 5, attributes: { name: 'send', outcome: 'ok' } },
    { name: 'cyphr.duration', value: 7, attributes: { name: 'directory.fetch', outcome: 'ERR_OFFLINE' } },
    { name: 'cyphr.queued', value: 3, attributes: {} },
    { name: 'cyphr.queued', value: 2, attributes: {} },
    { name: 'cyphr.events', value: 1, attributes: { event: 'envelope-dropped', level: 'info', code: 'ERR_DECRYPT' } },
    { name: 'cyphr.events', value: 1, attributes: { event: 'ack-failed', level: 'debug' } },
  ]);
});

test('a client reports its opening through it', async () => {
  const { spans, observe } = recorder();
  const client = await createClient({ account: 'alice', store: memoryStore(), ...memoryNetwork(), observe });
  await client.close();
  expect(spans.map(({ name }) => name)).toContain('cyphr.open');
});
