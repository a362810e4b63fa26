/** Bundles the pages as an application's build would, and serves them from memory under a policy that allows nothing inline. */

import { readdirSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { build, type Rolldown } from 'vite';

const at = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const PAGE = /^([a-z-]+)\.page\.ts$/;

/** What the package's own `exports` and `imports` say to a browser: the noble backend and the platform's WebSocket. */
export const browserAliases = [
  { find: /^@cyphr\/e2ee$/, replacement: at('../../src/index.ts') },
  { find: /^@cyphr\/e2ee\/(pqxdh|ratchet|testing|selftest)$/, replacement: at('../../src/$1/index.ts') },
  { find: /^@cyphr\/e2ee\/(.+)$/, replacement: at('../../src/$1.ts') },
  { find: '#backend', replacement: at('../../src/crypto/backend/noble.ts') },
  { find: '#websocket', replacement: at('../../src/transport/socket/platform.ts') },
];

/** Every `*.page.ts` beside this file as a module that keeps its exports; by path. */
async function bundlePages(): Promise<Map<string, string>> {
  const pages = readdirSync(at('.')).flatMap((name) => PAGE.exec(name)?.[1] ?? []);
  const result = (await build({
    configFile: false,
    root: at('.'),
    logLevel: 'warn',
    resolve: { alias: browserAliases },
    build: {
      write: false,
      minify: false,
      target: 'es2022',
      modulePreload: false,
      rolldownOptions: {
        input: Object.fromEntries(pages.map((name) => [name, at(`${name}.page.ts`)])),
        preserveEntrySignatures: 'strict',
        output: { entryFileNames: '[name].js', chunkFileNames: '[name]-[hash].js' },
      },
    },
  })) as Rolldown.RolldownOutput;
  const files = new Map<string, string>();
  for (const file of result.output) files.set(`/${file.fileName}`, file.type === 'chunk' ? file.code : String(file.source));
  for (const name of pages) {
    files.set(
      `/${name}`,
      `<!doctype html><meta charset="utf-8"><title>${name}</title><script type="module" src="/${name}.boot.js"></script>`,
    );
    // Exports become callable from outside; a violation is reported by the browser, and by the page where it was noticed.
    files.set(
      `/${name}.boot.js`,
      `addEventListener('securitypolicyviolation', ({ effectiveDirective }) => fetch('/report/violation', { method: 'POST', body: effectiveDirective }));
globalThis.page = await import('/${name}.js');`,
    );
  }
  return files;
}

/** The pages' server. */
export interface PageServer {
  /** `http://127.0.0.1:port`: a secure context. */
  readonly origin: string;
  /**
   * What pages have sent with `fetch('/report/<topic>', { method: 'POST', body })`, in the order of arrival. Topic `violation` is what
   * the policy refused: each is reported by the browser, and by the page.
   */
  reports(topic: string): readonly string[];
  /** Resolves when there are `count` reports on the topic. */
  reported(topic: string, count: number): Promise<void>;
  /** The reports on the topic, which are forgotten. */
  takeReports(topic: string): string[];
  close(): Promise<void>;
}

/** Builds and serves the pages on a free port. Pages may talk to their own origin, and to `relayUrl` (`ws://…`). */
export async function servePages(relayUrl: string): Promise<PageServer> {
  const files = await bundlePages();
  const policy = `default-src 'self'; connect-src 'self' ${relayUrl} ${relayUrl.replace(/^ws/, 'http')}; report-uri /report/violation`;
  const topics = new Map<string, string[]>();
  /** Who waits for reports looks again at each. */
  const waiting = new Set<() => void>();

  const server = createServer((request, response) => {
    const path = request.url ?? '/';
    if (request.method === 'POST') {
      let body = '';
      request.on('data', (chunk) => {
        body += chunk;
      });
      request.on('end', () => {
        topics.set(path, [...(topics.get(path) ?? []), body]);
        for (const look of waiting) look();
        response.writeHead(204).end();
      });
      return;
    }
    // The browser forgets what this origin has stored, as a person does in its settings.
    if (path === '/clear') return void response.writeHead(200, { 'clear-site-data': '"storage"' }).end();
    const file = files.get(path);
    const type = path.endsWith('.js') ? 'text/javascript' : 'text/html';
    response.writeHead(file === undefined ? 404 : 200, {
      'content-security-policy': policy,
      'content-type': type,
      'cache-control': 'no-store',
    });
    response.end(file);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));

  const reports = (topic: string): readonly string[] => topics.get(`/report/${topic}`) ?? [];
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    reports,
    takeReports(topic) {
      const taken = [...reports(topic)];
      topics.delete(`/report/${topic}`);
      return taken;
    },
    reported: (topic, count) =>
      new Promise((resolve) => {
        const look = (): void => {
          if (reports(topic).length < count) return;
          waiting.delete(look);
          resolve();
        };
        waiting.add(look);
        look();
      }),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
