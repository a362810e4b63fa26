/**
 * Builds the page from source. The aliases are what the package's own `exports` and `imports` say to a browser: the noble backend and
 * the platform's WebSocket.
 */

import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';

const at = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  root: at('.'),
  base: './',
  logLevel: 'warn',
  resolve: {
    alias: [
      { find: /^@cyphr\/e2ee$/, replacement: at('../../src/index.ts') },
      { find: /^@cyphr\/e2ee\/(pqxdh|ratchet|testing)$/, replacement: at('../../src/$1/index.ts') },
      { find: /^@cyphr\/e2ee\/(.+)$/, replacement: at('../../src/$1.ts') },
      { find: '#backend', replacement: at('../../src/crypto/backend/noble.ts') },
      { find: '#websocket', replacement: at('../../src/transport/socket/platform.ts') },
    ],
  },
  worker: { format: 'es' },
  build: {
    target: 'es2022',
    outDir: at('dist'),
    emptyOutDir: true,
    // The page's policy allows files of its own origin, and nothing inline: no polyfill in a script tag, nothing as a data: URL.
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
  },
});
