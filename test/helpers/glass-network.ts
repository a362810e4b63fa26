import { TransportError } from '../../src/errors.js';
import type { Address } from '../../src/step.js';
import { memoryNetwork } from '../../src/transport/memory.js';
import type { Directory, Login, Network, Transport } from '../../src/transport/port.js';

/** A network in memory that a test can take down and look into. */
export interface GlassNetwork extends Network {
  /** Nobody reaches the directory. */
  directoryDown: boolean;
  /** Sending fails with this. */
  sendFails: Error | undefined;
  /** Called before each envelope is handed over; what it rejects with, `send` rejects with. */
  beforeSend: (bytes: Uint8Array, to: Address) => Promise<void>;
  readonly sent: Uint8Array[];
  readonly published: string[];
  readonly fetched: string[];
  /** Ports that were closed. */
  closedCount: number;
}

export function glassNetwork(): GlassNetwork {
  const inner = memoryNetwork();
  const self: GlassNetwork = {
    directoryDown: false,
    sendFails: undefined,
    beforeSend: async () => {},
    sent: [],
    published: [],
    fetched: [],
    closedCount: 0,
    directory(login: Login): Directory {
      const directory = inner.directory(login);
      const up = (): void => {
        if (self.directoryDown) throw new TypeError('fetch failed');
      };
      return {
        async publish(keys, options) {
          up();
          await directory.publish(keys, options);
          self.published.push(
            JSON.stringify(keys, (_, value) => (value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value)),
          );
        },
        async fetch(account, options) {
          up();
          self.fetched.push(account);
          return directory.fetch(account, options);
        },
        async remaining() {
          up();
          return directory.remaining!();
        },
        async leave(slot, bytes, options) {
          up();
          return directory.leave!(slot, bytes, options);
        },
        async pickUp(slot, options) {
          up();
          return directory.pickUp!(slot, options);
        },
      };
    },
    transport(login: Login): Transport {
      const transport = inner.transport(login);
      return {
        limits: transport.limits,
        async send(to, envelope, options) {
          const { sendFails } = self;
          if (sendFails !== undefined) throw sendFails;
          await self.beforeSend(envelope, to);
          await transport.send(to, envelope, options);
          self.sent.push(new Uint8Array(envelope));
        },
        deliveries: (options) => transport.deliveries(options),
        async close() {
          self.closedCount += 1;
          await transport.close();
        },
      };
    },
  };
  return self;
}

/** The network says: not now. */
export function offline(): TransportError {
  return new TransportError('ERR_OFFLINE', 'down');
}

/** What a client takes of a network that has more for tests: it refuses what is no option. */
export function portsOf({ transport, directory }: Network): Network {
  return { transport, directory };
}
