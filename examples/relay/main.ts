/** `npm run relay`: the reference relay as a command. */

import { mkdirSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { speakPlainly, TypedWrong } from '../command-line.js';
import { defaultLimits, type RelayLimits } from './limits.js';
import { startRelay } from './relay.js';

speakPlainly(`npm run relay -- [--port 8787] [--host 127.0.0.1] [--data .demo/relay] [--name relay.example]… [--limit sendsPerMinute=100]… [--log info]
                       [--statements FOLDER]
  --port 0 takes a free one; the relay prints its address. Limits: ${Object.keys(defaultLimits).join(', ')}`);
const { values } = parseArgs({
  options: {
    port: { type: 'string', default: '8787' },
    host: { type: 'string', default: '127.0.0.1' },
    data: { type: 'string', default: '.demo/relay' },
    name: { type: 'string', multiple: true },
    limit: { type: 'string', multiple: true, default: [] },
    log: { type: 'string', default: 'warn' },
    statements: { type: 'string' },
  },
});

function parseLimits(given: readonly string[]): Partial<RelayLimits> {
  return Object.fromEntries(
    given.map((text) => {
      const [name = '', value = ''] = text.split('=');
      if (!(name in defaultLimits) || !/^\d+$/.test(value)) throw new TypedWrong(`--limit: no such limit, or no number: ${text}`);
      return [name, Number(value)];
    }),
  );
}

mkdirSync(values.data, { recursive: true });
const relay = await startRelay({
  data: values.data,
  host: values.host,
  port: Number(values.port),
  names: values.name,
  limits: parseLimits(values.limit),
  logLevel: values.log,
  statements: values.statements,
});
console.log(relay.url);

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => relay.close().then(() => process.exit(0)));
}
