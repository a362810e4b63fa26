/** `npm run web`: builds the page, serves it, and runs a relay for it. */

import { mkdirSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { speakPlainly } from '../command-line.js';
import { buildPage, startWeb } from './server.js';

speakPlainly(`npm run web -- [--port 8780] [--relay-port 8787] [--data .demo/web]
  Builds the chat page, serves it, and runs a relay for it. --port 0 and --relay-port 0 take free ones.`);
const { values } = parseArgs({
  options: {
    port: { type: 'string', default: '8780' },
    'relay-port': { type: 'string', default: '8787' },
    data: { type: 'string', default: '.demo/web' },
  },
});

mkdirSync(values.data, { recursive: true });
await buildPage();
const web = await startWeb({ data: values.data, port: Number(values.port), relayPort: Number(values['relay-port']) });
console.log(`${web.pageUrl}\n  Open it in two browser windows, and choose a name in each.\n  The relay: ${web.relayUrl}`);

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => web.close().then(() => process.exit(0)));
}
