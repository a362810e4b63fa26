/**
 * The page and its relay from one process. The page's server knows a fixed set of files, read once, and nothing else: a path is looked
 * up among them, never in the file system.
 */

import { readdirSync, readFileSync } from 'node:fs';
import { createServer, type OutgoingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';
import { startRelay } from '../relay/relay.js';

const CONFIG = fileURLToPath(new URL('vite.config.ts', import.meta.url));
const DIST = fileURLToPath(new URL('dist', import.meta.url));
const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
};

/** Builds the page into `dist/`. */
export async function buildPage(): Promise<void> {
  await build({ configFile: CONFIG });
}

/** What the page may do: load its own files, and talk to its own origin and to one relay (`ws://` or `wss://`). */
export function contentSecurityPolicy(relayUrl: string): string {
  return [
    "default-src 'self'",
    `connect-src 'self' ${relayUrl} ${relayUrl.replace(/^ws/, 'http')}`,
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "object-src 'none'",
    // No string becomes markup or script anywhere in the page: the browser refuses it (src/trusted-types.ts).
    "require-trusted-types-for 'script'",
    'trusted-types default',
  ].join('; ');
}

function securityHeaders(relayUrl: string): OutgoingHttpHeaders {
  return {
    'content-security-policy': contentSecurityPolicy(relayUrl),
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-resource-policy': 'same-origin',
    'permissions-policy': 'camera=(), microphone=(), geolocation=(), display-capture=(), payment=(), usb=()',
  };
}

export interface PageOptions {
  readonly relayUrl: string;
  readonly host?: string | undefined;
  /** 0 (the default) takes a free one. */
  readonly port?: number | undefined;
}

export interface Page {
  /** `http://localhost:port`: by this name, because passkeys don't know addresses. */
  readonly url: string;
  close(): Promise<void>;
}

/** Serves the built page; resolves when it listens. */
export async function servePage({ relayUrl, host = '127.0.0.1', port = 0 }: PageOptions): Promise<Page> {
  const files = new Map<string, { readonly body: Buffer; readonly type: string }>();
  for (const entry of readdirSync(DIST, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const type = TYPES[extname(path)];
    if (type !== undefined) files.set(`/${relative(DIST, path).split(sep).join('/')}`, { body: readFileSync(path), type });
  }
  const index = files.get('/index.html');
  if (index !== undefined) files.set('/', index);
  // The one thing that the page can't know when it is built.
  files.set('/config.json', { body: Buffer.from(JSON.stringify({ relay: relayUrl })), type: 'application/json' });
  const headers = securityHeaders(relayUrl);

  const server = createServer((request, response) => {
    const [path = '/'] = (request.url ?? '/').split('?');
    const file = files.get(path);
    const isRead = request.method === 'GET' || request.method === 'HEAD';
    if (file === undefined || !isRead) {
      response.writeHead(isRead ? 404 : 405, { ...headers, 'content-type': 'text/plain' }).end(isRead ? 'Not found' : 'Not allowed');
      return;
    }
    // Names in assets/ hold a hash of their content.
    const cache = path.startsWith('/assets/') ? 'public, max-age=31536000, immutable' : 'no-cache';
    response.writeHead(200, { ...headers, 'content-type': file.type, 'content-length': file.body.length, 'cache-control': cache });
    response.end(request.method === 'HEAD' ? undefined : file.body);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
  const { port: bound } = server.address() as AddressInfo;
  return {
    url: `http://localhost:${bound}`,
    async close() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}

export interface WebOptions {
  /** The relay's folder; made if it is missing. */
  readonly data: string;
  readonly port?: number | undefined;
  readonly relayPort?: number | undefined;
}

export interface Web {
  readonly pageUrl: string;
  readonly relayUrl: string;
  close(): Promise<void>;
}

/** The relay, and the page that talks to it. The page must have been built. */
export async function startWeb({ data, port, relayPort }: WebOptions): Promise<Web> {
  const relay = await startRelay({ data, port: relayPort, logLevel: 'warn' });
  try {
    const page = await servePage({ relayUrl: relay.url, port });
    return {
      pageUrl: page.url,
      relayUrl: relay.url,
      async close() {
        await page.close();
        await relay.close();
      },
    };
  } catch (error) {
    await relay.close();
    throw error;
  }
}
