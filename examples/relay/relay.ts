/**
 * The reference relay: a directory of signed keys and a mailbox per device, on one port, on one disk.
 *
 * It sees who connects, which device an envelope is for, how long it is and when it came. It can drop and delay. It can't read,
 * forge or change anything: `verifyLogin` is all the cryptography that it has.
 */

import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type DestinationStream, pino } from 'pino';
import { WebSocketServer } from 'ws';
import { createAuth } from './auth.js';
import { openDirectory } from './directory.js';
import { createDropBox } from './dropbox.js';
import { defaultLimits, Later, Refused, type RelayLimits, rateLimiters } from './limits.js';
import { openMailboxes } from './mailboxes.js';
import { createRoutes } from './routes.js';
import { type Online, serveSocket } from './socket.js';
import { openStatements } from './statements.js';

const FRAME_MAX_BYTES = 512 * 1024;
const SWEEP_MS = 3_600_000;
const CLOSE_MS = 2_000;
const HEADERS = {
  'access-control-allow-origin': '*',
  'access-control-allow-headers': 'authorization, content-type, cyphr-session',
  'access-control-allow-methods': 'GET, POST, PUT',
  'cache-control': 'no-store',
};

export interface RelayOptions {
  /** Folder for the two databases; made if it is missing. */
  readonly data: string;
  readonly host?: string | undefined;
  /** 0 (the default) takes a free one. */
  readonly port?: number | undefined;
  /** The hosts, with port, by which clients may call this relay, and to which their logins are bound. Default: this machine's. */
  readonly names?: readonly string[] | undefined;
  readonly limits?: Partial<RelayLimits> | undefined;
  /** Folder with an organisation's statements; see statements.ts. Throws at the start if it is missing. */
  readonly statements?: string | undefined;
  readonly logLevel?: string | undefined;
  readonly logTo?: DestinationStream | undefined;
}

export interface Relay {
  /** `ws://host:port` */
  readonly url: string;
  close(): Promise<void>;
}

/** Starts a relay; resolves when it listens. `close` finishes what was begun, then closes the databases. */
export async function startRelay(options: RelayOptions): Promise<Relay> {
  const limits: RelayLimits = { ...defaultLimits, ...options.limits };
  const statements = await openStatements(options.statements);
  const logger = pino({ level: options.logLevel ?? 'info', base: null }, options.logTo ?? pino.destination(2));
  const online = new Map<string, Online>();
  const auth = createAuth();
  const spend = rateLimiters(limits);
  const directory = await openDirectory(join(options.data, 'directory'), limits, {
    taken: (mailbox, stock) => online.get(mailbox)?.notice(stock),
    async gone(mailbox) {
      auth.end(mailbox);
      online.get(mailbox)?.end(4403);
      await mailboxes.drop(mailbox);
    },
  });
  const mailboxes = await openMailboxes(join(options.data, 'mailboxes'), limits, (mailbox) => online.get(mailbox)?.wake());
  const dropBox = createDropBox(limits);
  const routes = createRoutes({ auth, directory, dropBox, statements, limits, spend });
  const names = new Set(options.names);

  const server = createServer((request, response) => {
    const log = logger.child({ correlation: randomBytes(6).toString('hex') });
    const began = Date.now();
    respond(request, response)
      .catch((error) => {
        // Only the class: messages may quote what they choked on.
        log.error({ error: (error as Error)?.constructor?.name }, 'request failed');
        return answer(response, 503, { error: 'failed' });
      })
      .then(({ route, status }) => log.debug({ route, status, ms: Date.now() - began }, 'request'));
  });
  server.headersTimeout = 10_000;
  server.requestTimeout = 30_000;
  server.maxConnections = limits.socketCount;

  async function respond(request: IncomingMessage, response: ServerResponse): Promise<{ route: string; status: number }> {
    if (!URL.canParse(request.url ?? '/', 'http://relay')) return answer(response, 403, { error: 'refused' });
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://relay');
    const route = `${request.method} ${pathname}`;
    if (route === 'GET /healthz') return answer(response, 200, { ok: true });
    if (request.method === 'OPTIONS') return answer(response, 200, {});
    const handler = routes.get(route);
    const audience = request.headers.host ?? '';
    try {
      if (handler === undefined || !names.has(audience)) throw new Refused();
      return answer(response, 200, await handler({ request, query: searchParams, audience }), route);
    } catch (error) {
      if (error instanceof Later) return answer(response, 429, { error: 'later', retryAfterMs: error.retryAfterMs });
      if (error instanceof Refused) return answer(response, 403, { error: 'refused' });
      throw error;
    }
  }

  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: FRAME_MAX_BYTES,
    perMessageDeflate: false,
    handleProtocols: (offered) => (offered.has('cyphr.1') ? 'cyphr.1' : false),
  });
  server.on('upgrade', (request, socket, head) => {
    socket.on('error', () => {}); // Node leaves it to us: without a listener a reset would end the process
    if (request.url !== '/v1/socket' || !names.has(request.headers.host ?? '')) {
      socket.end('HTTP/1.1 403 Forbidden\r\nconnection: close\r\n\r\n');
      return;
    }
    sockets.handleUpgrade(request, socket, head, (ws) => {
      const log = logger.child({ correlation: randomBytes(6).toString('hex') });
      serveSocket(ws, { auth, directory, mailboxes, online, limits, spend, log: (event, detail) => log.info(detail ?? {}, event) });
    });
  });

  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port ?? 0, options.host ?? '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  if (options.names === undefined) for (const host of ['127.0.0.1', 'localhost', '[::1]']) names.add(`${host}:${port}`);
  const sweep = () =>
    Promise.all([mailboxes.sweep(), directory.clean()]).then(
      ([count]) => logger.info({ count }, 'swept'),
      () => logger.error('sweep failed'),
    );
  const sweeping = setInterval(sweep, SWEEP_MS);
  await sweep();
  logger.info('listening');

  async function close(): Promise<void> {
    clearInterval(sweeping);
    const closed = new Promise((resolve) => server.close(resolve));
    for (const ws of sockets.clients) ws.close(1001);
    dropBox.close();
    server.closeIdleConnections();
    const patience = setTimeout(() => {
      for (const ws of sockets.clients) ws.terminate();
      server.closeAllConnections();
    }, CLOSE_MS);
    await closed;
    clearTimeout(patience);
    await mailboxes.close();
    await directory.close();
    logger.info('stopped');
  }
  let closing: Promise<void> | undefined;
  return { url: `ws://${options.host ?? '127.0.0.1'}:${port}`, close: () => (closing ??= close()) };
}

/** Answers in JSON; `route` is for the log, and stays empty unless it is one of ours. */
function answer(response: ServerResponse, status: number, body: unknown, route = ''): { route: string; status: number } {
  if (!response.headersSent) response.writeHead(status, { ...HEADERS, 'content-type': 'application/json' }).end(JSON.stringify(body));
  return { route, status };
}
