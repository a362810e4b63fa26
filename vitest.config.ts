import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const src = (path: string): string => fileURLToPath(new URL(`./src/${path}`, import.meta.url));

export default defineConfig({
  resolve: {
    alias: [
      { find: '#backend', replacement: src('crypto/backend/node.ts') },
      { find: '#websocket', replacement: src('transport/socket/node.ts') },
      { find: /^@cyphr\/e2ee$/, replacement: src('index.ts') },
      { find: /^@cyphr\/e2ee\/(pqxdh|ratchet|testing|selftest)$/, replacement: `${src('')}$1/index.ts` },
      { find: /^@cyphr\/e2ee\/(.+)$/, replacement: `${src('')}$1.ts` },
    ],
  },
  test: {
    include: ['test/**/*.test.ts'],
    environment: 'node',
    maxWorkers: '100%',
    testTimeout: 60_000,
    hookTimeout: 60_000,
    coverage: {
      provider: 'v8',
      include: ['src/**/*.ts'],
      reporter: ['text', 'lcov'],
      thresholds: {
        'src/crypto/**': { lines: 100, branches: 100, functions: 100, statements: 100 },
        'src/wire/**': { lines: 100, branches: 100, functions: 100, statements: 100 },
        'src/pqxdh/**': { lines: 100, branches: 100, functions: 100, statements: 100 },
        'src/ratchet/**': { lines: 100, branches: 100, functions: 100, statements: 100 },
      },
    },
  },
});
